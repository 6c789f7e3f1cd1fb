// The transitions; see handshake.h for the picture.
#include "ipc/handshake.h"

#include <algorithm>

namespace uarena::ipc {
namespace {

// The arena that a request of the attach handshake is about.
std::optional<uint64_t> arena_of(const Request& request) {
  switch (request.type) {
    case UARENA_MSG_ATTACH:
      return std::get<uarena_attach>(request.body).arena_id;
    case UARENA_MSG_ATTACH_READY:
      return std::get<uarena_attach_ready>(request.body).arena_id;
    case UARENA_MSG_DETACH:
      return std::get<uarena_detach>(request.body).arena_id;
    default:
      return std::nullopt;
  }
}

}  // namespace

Handshake Handshake::run_channel() {
  Handshake handshake;
  handshake.place_ = Place::run;
  handshake.greeted_ = true;
  return handshake;
}

Result<void> Handshake::admit(const Request& request) const {
  const MessageRule* rule = message_rule(request.type);
  UARENA_ASSERT(rule != nullptr, "type {}", request.type);
  if (rule->place != place_)
    return fail(EPROTO, "{} belongs on the {}", rule->name,
                rule->place == Place::run ? "run channel" : "control connection");
  if (request.type == UARENA_MSG_HELLO) {
    if (greeted_) return fail(EPROTO, "HELLO came twice");
    return {};
  }
  if (!greeted_) return fail(EPROTO, "{} came before HELLO", rule->name);
  if (const auto arena_id = arena_of(request)) return admit_arena(request.type, *arena_id);
  return {};
}

Result<void> Handshake::admit_arena(uint16_t type, uint64_t arena_id) const {
  const auto found = arenas_.find(arena_id);
  const bool known = found != arenas_.end();
  const bool attaching = known && found->second.stage == Stage::attaching;
  const bool arming = known && found->second.stage == Stage::arming;
  if (type == UARENA_MSG_ATTACH && known)
    return fail(EALREADY, "arena {} is {} on this connection", arena_id,
                attaching || arming ? "being attached" : "attached already");
  if (arming)
    return fail(EBUSY, "arena {} is being attached: its ATTACH_READY has not been answered",
                arena_id);
  if (type == UARENA_MSG_ATTACH_READY && !attaching)
    return fail(EPROTO, "ATTACH_READY for arena {}, which {}", arena_id,
                known ? "is attached already" : "no ATTACH came for");
  if (type == UARENA_MSG_DETACH && !known)
    return fail(EPROTO, "DETACH of arena {}, which is not attached on this connection", arena_id);
  return {};
}

void Handshake::greeted() { greeted_ = true; }

void Handshake::attaching(uint64_t arena_id, Time now) {
  arenas_[arena_id] = {Stage::attaching, now + kReadyLimit};
}

void Handshake::arming(uint64_t arena_id) {
  UARENA_ASSERT(arenas_.contains(arena_id), "arena {} was not attaching", arena_id);
  arenas_[arena_id] = {Stage::arming, std::nullopt};
}

void Handshake::armed(uint64_t arena_id) {
  UARENA_ASSERT(arenas_.contains(arena_id), "arena {} was not attaching", arena_id);
  arenas_[arena_id] = {Stage::armed, std::nullopt};
}

void Handshake::detached(uint64_t arena_id) { arenas_.erase(arena_id); }

std::optional<Handshake::Time> Handshake::deadline() const {
  if (!greeted_) return hello_by_;
  std::optional<Time> first;
  for (const auto& [arena_id, arena] : arenas_)
    if (const auto& by = arena.ready_by) first = std::min(first.value_or(*by), *by);
  return first;
}

Error Handshake::overdue() const {
  if (!greeted_)
    return {ETIMEDOUT, fmt::format("HELLO did not come within {} s", kHelloLimit.count())};
  return {ETIMEDOUT, fmt::format("ATTACH_READY did not come within {} s", kReadyLimit.count())};
}

Result<uint32_t> negotiate_abi(uint32_t min, uint32_t max) {
  if (min > UARENA_ABI_VERSION || max < UARENA_ABI_VERSION)
    return fail(Why::version, EPROTONOSUPPORT,
                "the client speaks versions {} to {}, this broker {}", min, max,
                UARENA_ABI_VERSION);
  return UARENA_ABI_VERSION;
}

}  // namespace uarena::ipc
