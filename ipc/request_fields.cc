// One parse function for all structs, one overload of `check` per struct that has something to
// check.
#include "ipc/request_fields.h"

#include <algorithm>

#include "ipc/base/log.h"
#include "ipc/message_table.h"

namespace uarena::ipc {
namespace {

Result<void> check_zero(std::string_view field, uint64_t value) {
  if (value != 0) return fail(EINVAL, "{} is {:#x}, it must be 0", field, value);
  return {};
}

Result<void> check_flags(uint64_t flags, uint64_t known) {
  if ((flags & ~known) != 0)
    return fail(EINVAL, "flags {:#x} has unknown bits, known are {:#x}", flags, known);
  return {};
}

Result<void> check_mode(uint32_t mode) {
  if (mode > UARENA_MODE_ALL)
    return fail(EINVAL, "mode is {:#x}, allowed are 0 to {:#x}", mode, UARENA_MODE_ALL);
  return {};
}

// Structs whose every value is allowed here.
template <typename T>
Result<void> check(uint16_t, const T&) {
  return {};
}

Result<void> check(uint16_t, const uarena_hello& m) {
  if (m.abi_min > m.abi_max)
    return fail(EINVAL, "abi_min {} is above abi_max {}", m.abi_min, m.abi_max);
  return check_flags(m.flags, 0);
}

Result<void> check(uint16_t, const uarena_arena_create& m) {
  if (m.fault > UARENA_FAULT_DIRECT)
    return fail(EINVAL, "fault is {}, allowed are 0 (served) and 1 (direct)", m.fault);
  return check_mode(m.mode);
}

Result<void> check(uint16_t, const uarena_arena_access& m) {
  constexpr uint32_t kKnown = UARENA_ACCESS_UID | UARENA_ACCESS_GID | UARENA_ACCESS_MODE;
  if (auto ok = check_flags(m.which, kKnown); !ok) return ok;
  // chown(2) takes it for "as it is".
  if (m.uid == UINT32_MAX || m.gid == UINT32_MAX)
    return fail(EINVAL, "{} is no uid and no gid", UINT32_MAX);
  return check_mode(m.mode);
}

Result<void> check(uint16_t type, const uarena_list& m) {
  if (type == UARENA_MSG_CLIENT_LIST) return {};
  return check_zero("arena_id", m.arena_id);
}

Result<void> check(uint16_t, const uarena_attach& m) {
  if (auto ok = check_flags(m.flags, UARENA_ATTACH_EXACT | UARENA_ATTACH_READONLY); !ok) return ok;
  return check_zero("reserved", m.reserved);
}

Result<void> check(uint16_t, const uarena_attach_ready& m) {
  if (auto ok = check_flags(m.flags, UARENA_READY_FULL | UARENA_READY_EXACT); !ok) return ok;
  return check_zero("reserved", m.reserved);
}

Result<void> check(uint16_t, const uarena_prog_load& m) {
  if (m.log_level > 2) return fail(EINVAL, "log_level is {}, allowed are 0..2", m.log_level);
  return check_flags(m.flags, UARENA_LOAD_INTERPRET);
}

Result<void> check(uint16_t, const uarena_prog_run& m) {
  if (m.repeat > UARENA_MAX_REPEAT)
    return fail(EINVAL, "repeat is {}, allowed are 0..{}", m.repeat, UARENA_MAX_REPEAT);
  if (m.data_size > UARENA_MAX_DATA)
    return fail(EINVAL, "a packet of {} bytes is too large, allowed are 0..{}", m.data_size,
                UARENA_MAX_DATA);
  if (m.ctx_size > UARENA_MAX_CTX)
    return fail(EINVAL, "a context of {} bytes is too large, allowed are 0..{}", m.ctx_size,
                UARENA_MAX_CTX);
  return {};
}

Result<void> check(uint16_t type, const uarena_prog_ref& m) {
  const uint32_t last =
      type == UARENA_MSG_PROG_DUMP ? uint32_t{UARENA_DUMP_STDERR} : uint32_t{UARENA_DUMP_XLATED};
  if (m.what > last) return fail(EINVAL, "what is {}, allowed are 0..{}", m.what, last);
  return check_zero("reserved", m.reserved);
}

Result<void> check(uint16_t type, const uarena_page_op& m) {
  // PAGE_ALLOC's are arguments of the kfunc, whose own rules judge them (K33-K37).
  if (type == UARENA_MSG_PAGE_ALLOC) return {};
  if (auto ok = check_zero("node_id", static_cast<uint32_t>(m.node_id)); !ok) return ok;
  return check_flags(m.flags, 0);
}

Result<void> check(uint16_t, const uarena_page_read& m) {
  if (m.length == 0 || m.length > UARENA_MAX_PAGE_READ)
    return fail(EINVAL, "length is {}, allowed are 1..{} bytes", m.length, UARENA_MAX_PAGE_READ);
  return check_zero("reserved", m.reserved);
}

Result<void> check(uint16_t, const uarena_fault_trace& m) {
  return check_zero("reserved", m.reserved);
}

template <typename T>
Result<RequestBody> parse(uint16_t type, std::span<const std::byte> fixed) {
  T value{};
  std::memcpy(&value, fixed.data(), std::min(fixed.size(), sizeof value));
  if (auto ok = check(type, value); !ok) return std::unexpected(std::move(ok.error()));
  return RequestBody(value);
}

}  // namespace

Result<RequestBody> parse_request_fields_untrusted(uint16_t type,
                                                   std::span<const std::byte> fixed) {
  switch (type) {
    case UARENA_MSG_HELLO:
      return parse<uarena_hello>(type, fixed);
    case UARENA_MSG_ARENA_CREATE:
      return parse<uarena_arena_create>(type, fixed);
    case UARENA_MSG_ARENA_GET:
    case UARENA_MSG_ARENA_DELETE:
    case UARENA_MSG_ARENA_STATS:
      return parse<uarena_arena_ref>(type, fixed);
    case UARENA_MSG_ARENA_LIST:
    case UARENA_MSG_PROG_LIST:
    case UARENA_MSG_CLIENT_LIST:
    case UARENA_MSG_ACCOUNT_LIST:
      return parse<uarena_list>(type, fixed);
    case UARENA_MSG_ATTACH:
      return parse<uarena_attach>(type, fixed);
    case UARENA_MSG_ATTACH_READY:
      return parse<uarena_attach_ready>(type, fixed);
    case UARENA_MSG_DETACH:
      return parse<uarena_detach>(type, fixed);
    case UARENA_MSG_RUN_CHANNEL:
    case UARENA_MSG_STATUS:
      return parse<uarena_empty>(type, fixed);
    case UARENA_MSG_PROG_LOAD:
      return parse<uarena_prog_load>(type, fixed);
    case UARENA_MSG_PROG_RUN:
      return parse<uarena_prog_run>(type, fixed);
    case UARENA_MSG_PROG_DUMP:
    case UARENA_MSG_PROG_UNLOAD:
      return parse<uarena_prog_ref>(type, fixed);
    case UARENA_MSG_PAGE_ALLOC:
    case UARENA_MSG_PAGE_FREE:
    case UARENA_MSG_PAGE_RESERVE:
    case UARENA_MSG_PREFAULT:
      return parse<uarena_page_op>(type, fixed);
    case UARENA_MSG_PAGE_LIST:
      return parse<uarena_page_list>(type, fixed);
    case UARENA_MSG_PAGE_READ:
      return parse<uarena_page_read>(type, fixed);
    case UARENA_MSG_CLIENT_STATS:
      return parse<uarena_client_stats>(type, fixed);
    case UARENA_MSG_ARENA_ACCESS:
      return parse<uarena_arena_access>(type, fixed);
    case UARENA_MSG_FAULT_TRACE:
      return parse<uarena_fault_trace>(type, fixed);
    default:
      UARENA_ASSERT(false, "type {} has a row but no struct", type);
  }
}

Result<void> check_name(std::string_view what, std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  };
  if (name.empty() || name.size() >= UARENA_NAME_SIZE)
    return fail(EINVAL, "{} has {} bytes, allowed are 1..{}", what, name.size(),
                UARENA_NAME_SIZE - 1);
  if (!std::all_of(name.begin(), name.end(), allowed))
    return fail(EINVAL, "{} \"{}\" has a character that is not one of [A-Za-z0-9_.-]", what,
                escaped(name));
  return {};
}

}  // namespace uarena::ipc
