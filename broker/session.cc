#include "broker/session.h"

#include <sys/socket.h>
#include <unistd.h>

#include "ipc/base/log.h"
#include "ipc/base/page.h"

namespace uarena::broker {

using ipc::Record;
using ipc::Request;

Result<SessionCharges> SessionCharges::take(Account& account) {
  auto connection = account.charge(Resource::connections, 1);
  if (!connection) return std::unexpected(connection.error());
  auto descriptors = account.charge(Resource::descriptors, kDescriptors);
  if (!descriptors) return std::unexpected(descriptors.error());
  return SessionCharges{std::move(*connection), std::move(*descriptors)};
}

SessionCharges SessionCharges::take_anyway(Account& account) {
  return {account.charge_anyway(Resource::connections, 1),
          account.charge_anyway(Resource::descriptors, kDescriptors)};
}

Session::Session(Services& services, uint64_t client_id, ipc::PeerCredentials peer,
                 SessionCharges charges, Time now, int socket)
    : services_(services),
      client_id_(client_id),
      peer_(std::move(peer)),
      charges_(std::move(charges)),
      handshake_(now),
      socket_(socket),
      run_client_(std::make_shared<RunClient>()) {
  run_client_->client_id = client_id;
  run_client_->who = {peer_.uid, peer_.gid, peer_.groups};
  run_client_->load_refusal = services.load_policy.refusal(peer_);
  run_client_->caller.pid = static_cast<uint32_t>(peer_.pid);
  run_client_->caller.uid = peer_.uid;
  run_client_->caller.gid = peer_.gid;
  ipc::set_text(run_client_->caller.comm, peer_.comm);
}

Session::~Session() {
  services_.runners.drop_client(client_id_);
  for (auto& [id, attachment] : attachments_) let_go(attachment, true);
}

bool Session::answer(Record&& record, Time now) {
  auto request = ipc::decode_request_untrusted(std::move(record));
  if (!request) {
    log(LogLevel::warning, "client.bad_request",
        {{"client", client_id_},
         {"errno", request.error().error.code},
         {"error", request.error().error.message}});
    if (!request.error().seq) return false;
    send_(ipc::make_error(*request.error().seq, request.error().error));
    return true;
  }
  auto reply = carry_out(*request, now);
  if (!reply)
    refuse(*request, reply.error());
  else if (*reply)
    send_(std::move(**reply));
  return true;
}

void Session::refuse(const Request& request, const Error& error) {
  log(LogLevel::debug, "client.refused",
      {{"client", client_id_},
       {"request", ipc::message_name(request.type)},
       {"errno", error.code},
       {"error", error.message}});
  send_(ipc::make_error(request.seq, error));
}

// None: the answer comes later.
Result<std::optional<Record>> Session::carry_out(Request& request, Time now) {
  if (std::exchange(again_, false))
    if (auto done = done_before(request); !done || *done) return done;
  if (resumed_) pick_up_attach(request);
  if (auto legal = handshake_.admit(request); !legal) return std::unexpected(legal.error());
  switch (request.type) {
    case UARENA_MSG_HELLO:
      return hello(request);
    case UARENA_MSG_ARENA_CREATE:
      return arena_create(request);
    case UARENA_MSG_ARENA_GET:
      return arena_get(request);
    case UARENA_MSG_ARENA_LIST:
      return arena_list(request);
    case UARENA_MSG_ARENA_DELETE:
      return arena_delete(request);
    case UARENA_MSG_ATTACH:
      return attach(request, now);
    case UARENA_MSG_ATTACH_READY:
      if (auto begun = attach_ready(request); !begun) return std::unexpected(begun.error());
      return std::nullopt;
    case UARENA_MSG_DETACH:
      return detach(request);
    case UARENA_MSG_RUN_CHANNEL:
      return run_channel(request);
    case UARENA_MSG_PROG_LIST:
      return prog_list(request);
    case UARENA_MSG_CLIENT_LIST:
      return client_list(request);
    case UARENA_MSG_STATUS:
      return status(request);
    case UARENA_MSG_ARENA_ACCESS:
      return arena_access(request);
    case UARENA_MSG_ACCOUNT_LIST:
      return account_list(request);
    case UARENA_MSG_ARENA_STATS:
      return arena_stats(request);
    case UARENA_MSG_CLIENT_STATS:
      return client_stats(request);
    default:
      UARENA_ASSERT(false, "the handshake admitted {}", ipc::message_name(request.type));
  }
}

Result<Record> Session::hello(Request& request) {
  const auto& body = std::get<uarena_hello>(request.body);
  auto abi = ipc::negotiate_abi(body.abi_min, body.abi_max);
  if (!abi) return std::unexpected(abi.error());
  if (!handshake_.is_greeted()) {
    auto kept = services_.estate.hold({EstateEntry::Kind::client, client_id_}, socket_);
    if (!kept) return std::unexpected(kept.error());
    kept_ = std::move(*kept);
    handshake_.greeted();
  }
  uarena_hello_reply reply{};
  reply.abi = *abi;
  reply.page_size = kPageSize;
  reply.client_id = client_id_;
  if (can_be_signalled()) reply.features |= UARENA_FEATURE_SIGNAL;
  return ipc::make_reply(request.type, request.seq, reply);
}

Result<Record> Session::run_channel(Request& request) {
  if (run_client_->channels >= kMaxRunChannels)
    return fail(EMFILE, "a client may have {} run channels", kMaxRunChannels);
  auto charge = services_.accounts.of(peer_.uid).charge(Resource::descriptors, 1);
  if (!charge) return std::unexpected(charge.error());
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return fail_errno(errno, "cannot make a run channel");
  Fd ours(ends[0]), theirs(ends[1]);
  auto slot = services_.estate.take_slot();
  if (!slot) return std::unexpected(slot.error());
  auto kept =
      services_.estate.hold({EstateEntry::Kind::run, client_id_, slot->number()}, ours.get());
  if (!kept) return std::unexpected(kept.error());
  if (auto adopted = services_.runners.adopt(
          {std::move(ours), run_client_, std::move(*slot), std::move(*kept), std::move(*charge)});
      !adopted)
    return std::unexpected(adopted.error());
  Record reply = ipc::make_reply(request.type, request.seq, uarena_empty{});
  reply.fds.push_back(std::move(theirs));
  return reply;
}

bool Session::can_be_signalled() const {
  return services_.can_signal_others || peer_.uid == ::geteuid();
}

uarena_client_info Session::info() const {
  uarena_client_info info{};
  info.id = client_id_;
  info.pid = static_cast<uint32_t>(peer_.pid);
  info.uid = peer_.uid;
  info.programs = run_client_->programs;
  info.signal = can_be_signalled();
  for (const auto& [id, attachment] : attachments_) {
    if (!attachment.armed) continue;
    ++info.arenas;
    if (attachment.full) ++info.full;
  }
  info.faults = faults_->counts().all();
  ipc::set_text(info.comm, peer_.comm);
  return info;
}

}  // namespace uarena::broker
