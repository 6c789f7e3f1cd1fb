// The requests that only look: programs, clients, the broker itself. They read counters and
// published copies, and make no one wait.
#include <unistd.h>

#include "broker/session.h"
#include "broker/wire_lists.h"
#include "broker/wire_records.h"

namespace uarena::broker {

using ipc::Record;
using ipc::Request;

Result<Record> Session::prog_list(Request& request) {
  std::vector<uarena_prog_info> records;
  for (const auto& program : services_.programs.list(std::get<uarena_list>(request.body).after))
    records.push_back(to_wire(*program));
  return make_list_reply(request, records);
}

Result<Record> Session::client_list(Request& request) {
  const auto& body = std::get<uarena_list>(request.body);
  if (body.arena_id == 0) return make_list_reply(request, services_.clients(body.after));
  auto attached = services_.clients_of(body.arena_id);
  std::erase_if(attached, [&](const uarena_client_info& c) { return c.id <= body.after; });
  return make_list_reply(request, attached);
}

Result<Record> Session::status(Request& request) {
  return ipc::make_reply(request.type, request.seq, services_.status());
}

// What others have is for those to see who set their limits.
Result<Record> Session::account_list(Request& request) {
  const uint64_t after = std::get<uarena_list>(request.body).after;
  const bool sees_all = peer_.uid == 0 || peer_.uid == ::geteuid();
  std::vector<uarena_account_info> records;
  services_.accounts.for_each([&](const Account& account) {
    const uarena_account_info info = to_wire(account, uint64_t{account.uid()} + 1);
    if (info.id > after && (sees_all || account.uid() == peer_.uid)) records.push_back(info);
  });
  if (UARENA_ACCOUNT_BROKER > after)
    records.push_back(to_wire(services_.accounts.memory(), UARENA_ACCOUNT_BROKER));
  return make_list_reply(request, records);
}

Result<Record> Session::arena_stats(Request& request) {
  auto arena = find_arena(request);
  if (!arena) return std::unexpected(arena.error());
  uarena_arena_stats_reply reply{};
  reply.faults = to_wire((*arena)->faults().tally->summary());
  set_pages(reply, (*arena)->counts().by_origin);
  return ipc::make_reply(request.type, request.seq, reply);
}

Result<Record> Session::client_stats(Request& request) {
  const auto& body = std::get<uarena_client_stats>(request.body);
  const Session* client = services_.client(body.client_id);
  if (client == nullptr)
    return fail(Why::not_found, ENOENT, "there is no client {}", body.client_id);
  constexpr size_t kFit =
      (UARENA_MAX_RECORD - sizeof(uarena_client_stats_reply)) / sizeof(uarena_attachment_info);
  auto records = client->attachments(body.after, kFit + 1);
  uarena_client_stats_reply reply{};
  reply.faults = to_wire(client->faults());
  reply.more = records.size() > kFit;
  if (reply.more != 0) records.pop_back();
  reply.count = static_cast<uint32_t>(records.size());
  reply.record_size = sizeof(uarena_attachment_info);
  return ipc::make_reply(request.type, request.seq, reply, ipc::bytes_of(records));
}

std::vector<uarena_attachment_info> Session::attachments(uint64_t after, size_t most) const {
  std::vector<uarena_attachment_info> infos;
  for (auto i = attachments_.upper_bound(after); i != attachments_.end(); ++i) {
    const Attachment& attachment = i->second;
    if (!attachment.armed) continue;
    if (infos.size() == most) break;
    const Arena& arena = *attachment.arena;
    uarena_attachment_info info{};
    info.arena_id = arena.id();
    ipc::set_text(info.arena_name, arena.name());
    info.map_flags = arena.attr().map_flags;
    info.fault = static_cast<uint32_t>(arena.faulting().way);
    info.syscalls = attachment.full ? UARENA_SYSCALLS_SERVED : UARENA_SYSCALLS_EFAULT;
    info.refusal = can_be_signalled() ? UARENA_REFUSAL_SIGNAL : UARENA_REFUSAL_POISON;
    if (attachment.exact) info.refusal = UARENA_REFUSAL_EXACT;
    set_pages(info, arena.counts().by_origin);
    const uffd::FaultCounters& counters = *attachment.counters;
    info.faults = to_wire({counters.read(), counters.pending(), counters.latency().summary()});
    infos.push_back(info);
  }
  return infos;
}

}  // namespace uarena::broker
