// The requests about arenas, and the three steps of an attach (decision 6 of the handshake): Attach
// returns the memory file, the client maps it and sends a raw userfaultfd, and only when that is
// registered and a fault thread has it does the client hear Armed.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "broker/arena_attr.h"
#include "broker/death_point.h"
#include "broker/fault_policy.h"
#include "broker/run_requests.h"
#include "broker/session.h"
#include "broker/wire_lists.h"
#include "broker/wire_records.h"
#include "ipc/base/log.h"
#include "ipc/mode_text.h"
#include "uffd/features.h"

namespace uarena::broker {

using ipc::Record;
using ipc::Request;

uarena_arena_info Session::arena_info(const Arena& arena) const {
  const ArenaStanding standing = services_.arenas.standing(arena.id());
  return to_wire(arena, standing.clients, standing.programs);
}

Result<std::shared_ptr<Arena>> Session::find_arena(const Request& request) const {
  const uint64_t id = std::get<uarena_arena_ref>(request.body).id;
  auto arena = id != 0 ? services_.arenas.find(id) : services_.arenas.find(request.name());
  if (arena) return arena;
  if (id != 0) return fail(Why::not_found, ENOENT, "there is no arena with id {}", id);
  return fail(Why::not_found, ENOENT, "there is no arena called {}", request.name());
}

Result<Record> Session::arena_create(Request& request) {
  const auto& body = std::get<uarena_arena_create>(request.body);
  const ArenaAttr attr{body.map_type,    body.key_size,  body.value_size,
                       body.max_entries, body.map_flags, body.map_extra};
  const uint32_t mode = body.mode != 0 ? body.mode : UARENA_MODE_ALL;
  auto arena = services_.arenas.create(
      request.name(), attr, services_.accounts.of(peer_.uid), {client_id_, request.seq},
      {static_cast<FaultWay>(body.fault), body.fault_around}, {.gid = peer_.gid, .mode = mode});
  if (!arena) return std::unexpected(arena.error());
  UARENA_DEATH_POINT("create.done");
  log_created(client_id_, **arena);
  uarena_arena_reply reply{};
  reply.info = arena_info(**arena);
  return ipc::make_reply(request.type, request.seq, reply);
}

Result<Record> Session::arena_get(Request& request) {
  auto arena = find_arena(request);
  if (!arena) return std::unexpected(arena.error());
  uarena_arena_reply reply{};
  reply.info = arena_info(**arena);
  return ipc::make_reply(request.type, request.seq, reply);
}

Result<Record> Session::arena_list(Request& request) {
  std::vector<uarena_arena_info> records;
  for (const ArenaStanding& s : services_.arenas.list(std::get<uarena_list>(request.body).after))
    records.push_back(to_wire(*s.arena, s.clients, s.programs));
  return make_list_reply(request, records);
}

// Who holds the arena, in words, so that a person knows what to end; the first few of many. Those
// who have let go since they were counted are missing.
std::string Session::users_of(const Arena& arena) const {
  constexpr size_t kMostNamed = 8;
  std::vector<std::string> users;
  for (const uarena_client_info& client : services_.clients_of(arena.id()))
    users.push_back(fmt::format("process {} ({})", client.pid, ipc::get_text(client.comm)));
  for (const auto& program : services_.programs.list(0))
    if (program->object->arena.get() == &arena)
      users.push_back(fmt::format("program {} ({})", program->id, program->name));
  if (users.size() > kMostNamed) {
    const size_t more = users.size() - kMostNamed;
    users.resize(kMostNamed);
    users.push_back(fmt::format("{} more", more));
  }
  return fmt::format("{}", fmt::join(users, ", "));
}

Result<Record> Session::arena_access(Request& request) {
  const auto& body = std::get<uarena_arena_access>(request.body);
  const auto arena = services_.arenas.find(body.arena_id);
  if (!arena) return fail(Why::not_found, ENOENT, "there is no arena with id {}", body.arena_id);
  const ArenaAccess now = arena->access();
  ArenaAccess wanted = now;
  if ((body.which & UARENA_ACCESS_UID) != 0) wanted.uid = body.uid;
  if ((body.which & UARENA_ACCESS_GID) != 0) wanted.gid = body.gid;
  if ((body.which & UARENA_ACCESS_MODE) != 0) wanted.mode = body.mode;
  if (auto allowed = check_change(now, wanted, who(), arena->name()); !allowed)
    return std::unexpected(allowed.error());
  if (auto set = arena->set_access(wanted, services_.accounts.of(wanted.uid)); !set)
    return std::unexpected(set.error());
  log(LogLevel::info, "arena.access",
      {{"client", client_id_},
       {"id", arena->id()},
       {"uid", wanted.uid},
       {"gid", wanted.gid},
       {"mode", ipc::mode_text(wanted.mode)}});
  uarena_arena_reply reply{};
  reply.info = arena_info(*arena);
  return ipc::make_reply(request.type, request.seq, reply);
}

Result<Record> Session::arena_delete(Request& request) {
  auto arena = find_arena(request);
  if (!arena) return std::unexpected(arena.error());
  if (auto allowed = may_remove(peer_.uid, (*arena)->owner_uid(), "arena"); !allowed)
    return std::unexpected(allowed.error());
  if (auto removed = services_.arenas.remove((*arena)->id()); !removed) {
    const std::string users = removed.error().code == EBUSY ? users_of(**arena) : std::string();
    if (users.empty()) return std::unexpected(removed.error());
    return fail(EBUSY, "arena \"{}\" is in use by {}", (*arena)->name(), users);
  }
  log(LogLevel::info, "arena.deleted",
      {{"client", client_id_}, {"id", (*arena)->id()}, {"name", (*arena)->name()}});
  return ipc::make_reply(request.type, request.seq, uarena_empty{});
}

Result<void> Session::check_exact(const Arena& arena) {
  if (!arena.segv_on_fault())
    return fail(EINVAL, "arena {} is not SEGV_ON_FAULT: there is nothing to be exact about",
                arena.name());
  if (!uffd::features().guards)
    return fail(EOPNOTSUPP,
                "exact needs guards that go together with userfaultfd, which this kernel does not "
                "have: attach without UARENA_ATTACH_EXACT");
  return {};
}

namespace {

// A mapping that can't be written can't be registered with a userfaultfd.
Result<void> check_readonly(const Arena& arena) {
  if (arena.direct()) return {};
  return fail(
      EOPNOTSUPP,
      "arena {} can't be attached read-only: reading an absent page asks the broker for it, "
      "and the kernel lets it answer only for mappings that can be written; arenas whose "
      "faults are direct can",
      arena.name());
}

// The memory file, or the same file opened for reading alone. It is the broker's, with mode 0600,
// so another uid can't open it again for more.
Result<Fd> file_for(const Arena& arena, bool readonly) {
  const int memory = arena.memory_fd();
  Fd file(readonly ? ::open(fmt::format("/proc/self/fd/{}", memory).c_str(), O_RDONLY | O_CLOEXEC)
                   : ::fcntl(memory, F_DUPFD_CLOEXEC, 3));
  if (!file) return fail_errno(errno, "cannot hand over the memory file of arena {}", arena.name());
  return file;
}

// Where clients' faults are direct, nobody reads any.
uint64_t most_pending(const Arena& arena) { return arena.direct() ? 0 : uffd::EventReader::kBatch; }

}  // namespace

Result<AttachmentCharges> AttachmentCharges::take(Account& account, const Arena& arena) {
  auto descriptor = account.charge(Resource::descriptors, 1);
  if (!descriptor) return std::unexpected(descriptor.error());
  auto pending = account.charge(Resource::pending_faults, most_pending(arena));
  if (!pending) return std::unexpected(pending.error());
  return AttachmentCharges{std::move(*descriptor), std::move(*pending)};
}

AttachmentCharges AttachmentCharges::take_anyway(Account& account, const Arena& arena) {
  return {account.charge_anyway(Resource::descriptors, 1),
          account.charge_anyway(Resource::pending_faults, most_pending(arena))};
}

Result<Record> Session::attach(Request& request, Time now) {
  const auto& body = std::get<uarena_attach>(request.body);
  auto arena = services_.arenas.find(body.arena_id);
  if (!arena) return fail(Why::not_found, ENOENT, "there is no arena with id {}", body.arena_id);
  const bool readonly = (body.flags & UARENA_ATTACH_READONLY) != 0;
  const Right right = readonly ? Right::read : Right::write;
  if (auto allowed = check_access(arena->access(), who(), right, arena->name()); !allowed)
    return std::unexpected(allowed.error());
  if (readonly)
    if (auto possible = check_readonly(*arena); !possible) return std::unexpected(possible.error());
  if ((body.flags & UARENA_ATTACH_EXACT) != 0)
    if (auto possible = check_exact(*arena); !possible) return std::unexpected(possible.error());
  // K19: the arena's address and length, and no others; the length first, as the kernel does.
  if (body.length != 0 && body.length != arena->size())
    return fail(body.length > arena->size() ? E2BIG : EINVAL,
                "arena {} is attached with its {} bytes, not with {}", arena->name(), arena->size(),
                body.length);
  if (body.addr != 0 && body.addr != arena->user_vm_start())
    return fail(EINVAL, "arena {} is attached at {:#x} and nowhere else, not at {:#x}",
                arena->name(), arena->user_vm_start(), body.addr);
  if (auto mappable = check_mappable(arena->user_vm_start(), arena->size()); !mappable)
    return std::unexpected(mappable.error());
  uarena_arena_reply reply{};
  auto charges = AttachmentCharges::take(services_.accounts.of(peer_.uid), *arena);
  if (!charges) return std::unexpected(charges.error());
  Attachment attachment;
  attachment.charges = std::move(*charges);
  attachment.arena = arena;
  attachment.use = services_.arenas.use(arena, ArenaUse::Kind::client);
  if (!attachment.use)
    return fail(Why::not_found, ENOENT, "arena {} has just been deleted", arena->name());
  auto file = file_for(*arena, readonly);
  if (!file) return std::unexpected(file.error());
  attachments_.insert_or_assign(arena->id(), std::move(attachment));
  handshake_.attaching(arena->id(), now);
  reply.info = arena_info(*arena);
  Record record = ipc::make_reply(request.type, request.seq, reply);
  record.fds.push_back(std::move(*file));
  return record;
}

uffd::FaultAudience Session::audience_of(const Arena& arena,
                                         std::shared_ptr<uffd::FaultCounters> counters) const {
  return {std::move(counters), {arena.faults().tally, faults_}, arena.faults().trace, client_id_};
}

namespace {

// From now on nobody answers a client's faults; its userfaultfd, asked for once, by a thread that
// may wait for the client: where faults bring pages around them, the thread that answers them may
// be waiting for its memory lock.
std::function<std::optional<uffd::Userfaultfd>()> ended_faults(Services& services,
                                                               uffd::FaultLoop::Id id,
                                                               bool may_wait) {
  if (may_wait) return [&faults = services.faults, id] { return faults.drop(id); };
  const auto dropped = std::make_shared<std::optional<uffd::Userfaultfd>>(services.faults.drop(id));
  return [dropped] { return std::move(*dropped); };
}

}  // namespace

struct Session::Arming {
  Fd uffd;
  uffd::Peer peer;
  std::shared_ptr<Arena> arena;
  uffd::FaultAudience audience;
  EstateEntry entry;
  bool resumed;
  bool exact;
  pid_t pid;
  Account& account;
};

// On a thread of its own: may wait for the client's memory lock.
Result<Session::Armed> Session::arm_untrusted(Services& services, Arming& arming) {
  auto uffd = uffd::Userfaultfd::adopt_untrusted(
      std::move(arming.uffd), arming.arena->user_vm_start(), arming.arena->size(), arming.resumed);
  if (!uffd) return std::unexpected(uffd.error());
  auto kept = services.estate.hold(arming.entry, uffd->fd());
  if (!kept) return std::unexpected(kept.error());
  Armed armed;
  if (arming.exact)
    if (auto done = arm_exact(services, arming, uffd->dup(), armed); !done)
      return std::unexpected(done.error());
  auto faults = services.faults.adopt(std::move(*uffd), std::move(arming.peer),
                                      std::make_shared<FaultPolicy>(arming.arena),
                                      std::move(arming.audience), arming.arena->faulting().around);
  if (!faults) return std::unexpected(faults.error());
  armed.faults = *faults;
  armed.kept = std::move(*kept);
  return armed;
}

// SEGV_ON_FAULT by guards. The pages that are there are mapped before the client hears of it.
Result<void> Session::arm_exact(Services& services, Arming& arming, uffd::Userfaultfd uffd,
                                Armed& armed) {
  if (!uffd) return fail_errno(errno, "no second descriptor for the userfaultfd");
  auto descriptors = arming.account.charge(Resource::descriptors, kExactDescriptors);
  if (!descriptors) return std::unexpected(descriptors.error());
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return fail_errno(errno, "no socket for the helper thread");
  Fd ours(ends[0]);
  armed.helper.reset(ends[1]);
  auto kept = services.estate.hold(
      {EstateEntry::Kind::guards, arming.entry.first, arming.entry.second}, ours.get());
  if (!kept) return std::unexpected(kept.error());
  auto client =
      ExactClient::start(arming.arena, arming.pid, std::move(uffd), std::move(ours), false);
  if (!client) return std::unexpected(client.error());
  armed.exact.emplace(ExactHold(arming.arena, *client), std::move(*kept), std::move(*descriptors));
  (*client)->map_all();
  return {};
}

// Registering the range takes the client's memory lock, which the client can keep as long as it
// likes, so it is done by a thread that waits for this process only.
Result<void> Session::attach_ready(Request& request) {
  const auto& body = std::get<uarena_attach_ready>(request.body);
  const uint64_t arena_id = body.arena_id;
  Attachment& attachment = attachments_.at(arena_id);
  if (attachment.arena->direct()) return ready_direct(request, attachment);
  if (request.fds.empty())
    return fail(EINVAL, "arena {} is served: ATTACH_READY comes with a userfaultfd",
                attachment.arena->name());
  const auto process = static_cast<uint64_t>(peer_.pid);
  if (services_.slow_calls.under_way(process) >= kMaxSlowCalls)
    return fail(EBUSY, "process {} keeps its memory locked: {} attachments of it are waiting",
                peer_.pid, kMaxSlowCalls);
  Fd pidfd = peer_.pidfd.dup();
  if (!pidfd) return fail_errno(errno, "cannot keep hold of process {}", peer_.pid);
  attachment.counters = std::make_shared<uffd::FaultCounters>();

  const bool full = (body.flags & UARENA_READY_FULL) != 0;
  const bool exact = (body.flags & UARENA_READY_EXACT) != 0;
  if (exact)
    if (auto possible = check_exact(*attachment.arena); !possible) return possible;

  const auto arming = std::make_shared<Arming>(
      std::move(request.fds.at(0)), uffd::Peer{peer_.pid, std::move(pidfd), peer_.uid},
      attachment.arena, audience_of(*attachment.arena, attachment.counters),
      EstateEntry{full ? EstateEntry::Kind::full_uffd : EstateEntry::Kind::uffd, client_id_,
                  arena_id},
      resumed_, exact, peer_.pid, services_.accounts.of(peer_.uid));
  const bool around = attachment.arena->faulting().around > 1;
  const auto arm = [&services = services_, arming, arena_id, client = client_id_, process,
                    seq = request.seq, full, around] {
    auto result = std::make_shared<Result<Armed>>(arm_untrusted(services, *arming));
    services.post(client,
                  [&services, seq, arena_id, process, full, around, result](Session* session) {
                    if (session != nullptr)
                      return session->armed(seq, arena_id, std::move(*result), full);
                    if (!*result) return;
                    const auto faults = ended_faults(services, *(*result)->faults, around);
                    services.slow_calls.start(process, [faults] { faults().reset(); });
                  });
  };
  if (!services_.slow_calls.start(process, arm))
    return fail(EAGAIN, "no thread could be started for the attachment");
  handshake_.arming(arena_id);
  return {};
}

// The client's kernel fills its pages, and nobody is to be asked. A successor must know of the
// attachment all the same.
Result<void> Session::ready_direct(Request& request, Attachment& attachment) {
  const Arena& arena = *attachment.arena;
  if (!request.fds.empty() || std::get<uarena_attach_ready>(request.body).flags != 0)
    return fail(EINVAL, "faults in arena {} are direct: ATTACH_READY comes without a userfaultfd",
                arena.name());
  const Fd stands_for_it(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stands_for_it) return fail_errno(errno, "cannot keep the attachment for a successor");
  auto kept = services_.estate.hold({EstateEntry::Kind::direct, client_id_, arena.id()},
                                    stands_for_it.get());
  if (!kept) return std::unexpected(kept.error());
  attachment.counters = std::make_shared<uffd::FaultCounters>();
  handshake_.arming(arena.id());
  armed(request.seq, arena.id(), Armed{std::nullopt, std::move(*kept), std::nullopt, Fd()}, true);
  return {};
}

// The answer to ATTACH_READY.
void Session::armed(uint64_t seq, uint64_t arena_id, Result<Armed> result, bool full) {
  if (!result) {
    handshake_.attaching(arena_id, Time::clock::now());
    return send_(ipc::make_error(seq, result.error()));
  }
  Attachment& attachment = attachments_.at(arena_id);
  attachment.armed = true;
  attachment.faults = result->faults;
  attachment.kept = std::move(result->kept);
  if (result->exact) attachment.exact.emplace(std::move(*result->exact));
  attachment.full = full;
  handshake_.armed(arena_id);
  log(LogLevel::info, "client.armed",
      {{"client", client_id_},
       {"arena", arena_id},
       {"full", full},
       {"exact", attachment.exact.has_value()}});
  UARENA_DEATH_POINT("attach.armed");
  Record reply = ipc::make_reply(UARENA_MSG_ATTACH_READY, seq, uarena_empty{});
  if (result->helper) reply.fds.push_back(std::move(result->helper));
  send_(std::move(reply));
}

// With `still_mapped` the client may go on without us: it was cut off, or the broker is stopping.
// Its own copy of the userfaultfd would then keep its faults waiting for ever, so the range is
// unregistered: whoever waits goes on, and from now on the kernel fills absent pages, in
// SEGV_ON_FAULT arenas too. After a detach the mapping is gone, and another may be registered there
// already. (After a death there is nobody.) Closing and unregistering take the client's memory
// lock.
void Session::let_go(Attachment& attachment, bool still_mapped) {
  if (!attachment.faults) return;
  const Arena& arena = *attachment.arena;
  const auto faults = ended_faults(services_, *attachment.faults, arena.faulting().around > 1);
  attachment.faults.reset();
  attachment.exact.reset();
  attachment.kept = EstateHold();
  services_.slow_calls.start(
      static_cast<uint64_t>(peer_.pid),
      [faults, still_mapped, start = arena.user_vm_start(), size = arena.size()] {
        auto uffd = faults();
        if (uffd && still_mapped) [[maybe_unused]]
          const auto nothing_left = uffd->unregister(start, size);
      });
}

Result<Record> Session::detach(Request& request) {
  const uint64_t id = std::get<uarena_detach>(request.body).arena_id;
  let_go(attachments_.at(id), false);
  attachments_.erase(id);
  handshake_.detached(id);
  log(LogLevel::info, "client.detached", {{"client", client_id_}, {"arena", id}});
  return ipc::make_reply(request.type, request.seq, uarena_empty{});
}

}  // namespace uarena::broker
