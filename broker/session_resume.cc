// A session that a predecessor has begun. The client knows nothing of the change: it has the same
// connection, the same attachments, the same run channels.
//
// The first record in its socket may have been carried out already, for it leaves the socket only
// when it has been answered. Most requests can be carried out twice and come to the same; for the
// others what they have made or taken away tells whether they were.
#include "broker/fault_policy.h"
#include "broker/session.h"
#include "broker/wire_records.h"
#include "ipc/base/log.h"

namespace uarena::broker {

using ipc::Record;
using ipc::Request;

void Session::resume(EstateHold kept) {
  handshake_.greeted();
  kept_ = std::move(kept);
  resumed_ = again_ = true;
}

Result<void> Session::resume_attachment(std::shared_ptr<Arena> arena, Fd fd, EstateHold kept,
                                        KeptGuards guards) {
  Attachment attachment;
  attachment.charges = AttachmentCharges::take_anyway(services_.accounts.of(peer_.uid), *arena);
  attachment.use = services_.arenas.use(arena, ArenaUse::Kind::client);
  UARENA_ASSERT(attachment.use, "arena {} is not registered", arena->id());
  attachment.counters = std::make_shared<uffd::FaultCounters>();
  attachment.armed = true;
  const bool direct = kept.entry().kind == EstateEntry::Kind::direct;
  if (direct != arena->direct())
    return fail(EINVAL, "arena {} is {}", arena->name(), arena->direct() ? "direct" : "served");
  attachment.full = direct || kept.entry().kind == EstateEntry::Kind::full_uffd;
  attachment.kept = std::move(kept);
  attachment.arena = arena;
  if (!direct)
    if (auto resumed = resume_faults(attachment, std::move(fd), std::move(guards)); !resumed)
      return resumed;
  handshake_.attaching(arena->id(), Time::clock::now());
  handshake_.armed(arena->id());
  attachments_.insert_or_assign(arena->id(), std::move(attachment));
  return {};
}

Result<void> Session::resume_faults(Attachment& attachment, Fd fd, KeptGuards guards) {
  const auto& arena = attachment.arena;
  auto uffd =
      uffd::Userfaultfd::take_over_untrusted(std::move(fd), arena->user_vm_start(), arena->size());
  if (!uffd) return std::unexpected(uffd.error());
  Fd pidfd = peer_.pidfd.dup();
  if (!pidfd) return fail_errno(errno, "cannot keep hold of process {}", peer_.pid);
  if (guards.socket) {
    auto client = ExactClient::start(arena, peer_.pid, uffd->dup(), std::move(guards.socket), true);
    if (!client) return std::unexpected(client.error());
    attachment.exact.emplace(
        ExactHold(arena, *client), std::move(guards.kept),
        services_.accounts.of(peer_.uid).charge_anyway(Resource::descriptors, kExactDescriptors));
  }
  auto own = std::make_shared<uffd::Userfaultfd>(uffd->dup());
  auto faults =
      services_.faults.adopt(std::move(*uffd), uffd::Peer{peer_.pid, std::move(pidfd), peer_.uid},
                             std::make_shared<FaultPolicy>(arena),
                             audience_of(*arena, attachment.counters), arena->faulting().around);
  if (!faults) return std::unexpected(faults.error());
  attachment.faults = *faults;
  // Faults that the predecessor had read and not answered are raised again.
  if (*own) own->wake(arena->user_vm_start(), arena->size());
  services_.slow_calls.start(static_cast<uint64_t>(peer_.pid), [own] { *own = {}; });
  return {};
}

Result<void> Session::resume_channel(Fd socket, LedgerSlot in_hand, EstateHold kept) {
  return services_.runners.adopt(
      {std::move(socket), run_client_, std::move(in_hand), std::move(kept),
       services_.accounts.of(peer_.uid).charge_anyway(Resource::descriptors, 1)});
}

// The answer to a request that the predecessor had carried out and not answered; none: it had not.
Result<std::optional<Record>> Session::done_before(Request& request) {
  const auto empty = [&]() -> std::optional<Record> {
    return ipc::make_reply(request.type, request.seq, uarena_empty{});
  };
  switch (request.type) {
    case UARENA_MSG_HELLO: {
      auto reply = hello(request);
      if (!reply) return std::unexpected(reply.error());
      return std::move(*reply);
    }
    case UARENA_MSG_ARENA_CREATE: {
      const auto arena = services_.arenas.find(request.name());
      if (!arena || arena->identity().creator_client != client_id_ ||
          arena->identity().creator_seq != request.seq)
        break;
      uarena_arena_reply reply{};
      reply.info = arena_info(*arena);
      return ipc::make_reply(request.type, request.seq, reply);
    }
    case UARENA_MSG_ARENA_DELETE:
      if (find_arena(request)) break;
      // A number that was given out belonged to an arena, which is gone. A name may never have.
      if (const uint64_t id = std::get<uarena_arena_ref>(request.body).id; id != 0)
        return services_.estate.ledger().given(Ledger::Counter::arena, id) ? empty() : std::nullopt;
      return fail(EOWNERDEAD,
                  "the broker died while it carried out ARENA_DELETE, and there is no arena "
                  "called {} now: whether it deleted one is unknown",
                  request.name());
    case UARENA_MSG_ATTACH_READY: {
      const auto& body = std::get<uarena_attach_ready>(request.body);
      const auto found = attachments_.find(body.arena_id);
      if (found == attachments_.end() || !found->second.armed) break;
      const auto& exact = found->second.exact;
      if ((body.flags & UARENA_READY_EXACT) == 0 || (exact && exact->hold.client().helper_exists()))
        return empty();
      arm_again(found->second);
      break;
    }
    case UARENA_MSG_DETACH:
      if (!attachments_.contains(std::get<uarena_detach>(request.body).arena_id)) return empty();
      break;
    default:
      break;
  }
  return std::nullopt;
}

// The answer to an exact client brings a socket. The predecessor died before it made that, or took
// the client's end of it along.
void Session::arm_again(Attachment& attachment) {
  let_go(attachment, false);
  attachment.armed = false;
  handshake_.attaching(attachment.arena->id(), Time::clock::now());
}

// The predecessor had answered ATTACH, and nothing that it left says so. It gave the client no more
// than the memory file, so an ATTACH_READY may count as both.
void Session::pick_up_attach(const Request& request) {
  if (request.type != UARENA_MSG_ATTACH_READY) return;
  const uint64_t id = std::get<uarena_attach_ready>(request.body).arena_id;
  if (attachments_.contains(id)) return;
  Attachment attachment;
  attachment.arena = services_.arenas.find(id);
  if (!attachment.arena) return;
  attachment.charges =
      AttachmentCharges::take_anyway(services_.accounts.of(peer_.uid), *attachment.arena);
  attachment.use = services_.arenas.use(attachment.arena, ArenaUse::Kind::client);
  if (!attachment.use) return;
  attachments_.insert_or_assign(id, std::move(attachment));
  handshake_.attaching(id, Time::clock::now());
}

}  // namespace uarena::broker
