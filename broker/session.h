// What one client has and may do: its place in the handshake, its attached arenas, its run
// channels. A Session answers records with records and does no I/O on the socket itself; the
// connection that feeds it lives in client.cc. When the session goes, everything that it held goes
// with it, in whatever state the client died.
//
// Threads: the control thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "broker/account_table.h"
#include "broker/arena_registry.h"
#include "broker/estate.h"
#include "broker/exact_client.h"
#include "broker/load_policy.h"
#include "broker/program_registry.h"
#include "broker/runner_pool.h"
#include "ipc/base/slow_calls.h"
#include "ipc/codec.h"
#include "ipc/credentials.h"
#include "ipc/handshake.h"
#include "uffd/fault_loop.h"

namespace uarena::broker {

class Session;

// What a session needs of the rest of the broker.
struct Services {
  ArenaRegistry& arenas;
  ProgramRegistry& programs;
  AccountTable& accounts;
  uffd::FaultLoop& faults;
  RunnerPool& runners;
  Estate& estate;
  SlowCalls& slow_calls;           // by process: what needs a client's memory lock
  bool can_signal_others = false;  // CAP_KILL
  const LoadPolicy& load_policy;
  // Runs it on the control thread, with the client's session or, if that has gone, null.
  std::function<void(uint64_t client_id, std::function<void(Session*)>)> post;
  std::function<std::vector<uarena_client_info>(uint64_t after)> clients;
  std::function<uarena_status_reply()> status;
  // Those that have the arena attached.
  std::function<std::vector<uarena_client_info>(uint64_t arena)> clients_of = [](uint64_t) {
    return std::vector<uarena_client_info>();
  };
  // A client's session, for this moment; null when there is none.
  std::function<const Session*(uint64_t client)> client = [](uint64_t) { return nullptr; };
};

// What a connection is charged for, besides what it asks for.
struct SessionCharges {
  static constexpr uint64_t kDescriptors = 2;  // the socket, and the process's pidfd
  static Result<SessionCharges> take(Account& account);
  // A predecessor's client is not lost to a limit.
  static SessionCharges take_anyway(Account& account);

  Charge connection;
  Charge descriptors;
};

// What an attachment is charged for, from ATTACH to its end.
struct AttachmentCharges {
  static Result<AttachmentCharges> take(Account& account, const Arena& arena);
  static AttachmentCharges take_anyway(Account& account, const Arena& arena);

  Charge descriptor;      // the userfaultfd, or what stands for it
  Charge pending_faults;  // as many as may be read of it at a time
};

class Session {
 public:
  using Time = ipc::Handshake::Time;
  static constexpr uint32_t kMaxRunChannels = 8;
  // Attachments of one process that wait for its memory lock, on all its connections.
  static constexpr size_t kMaxSlowCalls = 64;
  // Of an exact attachment, beside that of every one: the helper's socket, another userfaultfd.
  static constexpr uint64_t kExactDescriptors = 2;

  // `socket` is the control connection, which stays the caller's; the estate gets a copy of it.
  Session(Services& services, uint64_t client_id, ipc::PeerCredentials peer, SessionCharges charges,
          Time now, int socket);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  uint64_t client_id() const { return client_id_; }
  uint32_t uid() const { return peer_.uid; }

  // A predecessor's session goes on: it was greeted, and these are its attachments and run
  // channels. (session_resume.cc) Call before the first record.
  void resume(EstateHold kept);
  struct KeptGuards {  // of an exact attachment; else without a socket
    Fd socket;
    EstateHold kept;
  };
  Result<void> resume_attachment(std::shared_ptr<Arena> arena, Fd uffd, EstateHold kept,
                                 KeptGuards guards);
  Result<void> resume_channel(Fd socket, LedgerSlot in_hand, EstateHold kept);

  // Where answers go. Call before the first record.
  using Send = std::function<void(ipc::Record&&)>;
  void answers_go_to(Send send) { send_ = std::move(send); }

  // Answers one record, now or later (ATTACH_READY waits for the client's memory lock). False: it
  // was so broken that nothing can be answered; close.
  bool answer(ipc::Record&& record, Time now);

  // When the client must have gone on, and what to tell when it has not.
  std::optional<Time> deadline() const { return handshake_.deadline(); }
  Error overdue() const { return handshake_.overdue(); }

  uarena_client_info info() const;
  uffd::FaultSummary faults() const { return faults_->summary(); }
  // Armed ones in arenas with ids above `after`, at most `most`.
  std::vector<uarena_attachment_info> attachments(uint64_t after, size_t most) const;
  bool holds(uint64_t arena_id) const { return attachments_.contains(arena_id); }

 private:
  // What an exact attachment has beside the others.
  struct Exact {
    ExactHold hold;
    EstateHold kept;  // our end of the helper's socket
    Charge descriptors;
  };
  struct Attachment {
    std::shared_ptr<Arena> arena;
    ArenaUse use;
    bool armed = false;
    std::optional<uffd::FaultLoop::Id> faults;  // once armed, unless they are direct
    std::shared_ptr<uffd::FaultCounters> counters;
    bool full = false;
    std::optional<Exact> exact;
    EstateHold kept;  // the userfaultfd, or what stands for it
    AttachmentCharges charges;
  };
  struct Arming;
  struct Armed {
    std::optional<uffd::FaultLoop::Id> faults;
    EstateHold kept;
    std::optional<Exact> exact;
    Fd helper;  // the client's end of its socket
  };

  Result<std::optional<ipc::Record>> carry_out(ipc::Request& request, Time now);
  void refuse(const ipc::Request& request, const Error& error);

  // session.cc
  Result<ipc::Record> hello(ipc::Request& request);
  Result<ipc::Record> run_channel(ipc::Request& request);
  // session_arenas.cc
  Result<ipc::Record> arena_create(ipc::Request& request);
  Result<ipc::Record> arena_get(ipc::Request& request);
  Result<ipc::Record> arena_list(ipc::Request& request);
  Result<ipc::Record> arena_delete(ipc::Request& request);
  Result<ipc::Record> arena_access(ipc::Request& request);
  const Who& who() const { return run_client_->who; }
  Result<ipc::Record> attach(ipc::Request& request, Time now);
  Result<void> attach_ready(ipc::Request& request);
  static Result<Armed> arm_untrusted(Services& services, Arming& arming);
  static Result<void> arm_exact(Services& services, Arming& arming, uffd::Userfaultfd uffd,
                                Armed& armed);
  Result<void> ready_direct(ipc::Request& request, Attachment& attachment);
  void armed(uint64_t seq, uint64_t arena_id, Result<Armed> result, bool full);
  Result<ipc::Record> detach(ipc::Request& request);
  Result<std::shared_ptr<Arena>> find_arena(const ipc::Request& request) const;
  uffd::FaultAudience audience_of(const Arena& arena,
                                  std::shared_ptr<uffd::FaultCounters> counters) const;
  void let_go(Attachment& attachment, bool still_mapped);
  static Result<void> check_exact(const Arena& arena);
  std::string users_of(const Arena& arena) const;
  bool can_be_signalled() const;
  uarena_arena_info arena_info(const Arena& arena) const;
  // session_resume.cc
  Result<void> resume_faults(Attachment& attachment, Fd uffd, KeptGuards guards);
  Result<std::optional<ipc::Record>> done_before(ipc::Request& request);
  void arm_again(Attachment& attachment);
  void pick_up_attach(const ipc::Request& request);
  // session_inspect.cc
  Result<ipc::Record> prog_list(ipc::Request& request);
  Result<ipc::Record> client_list(ipc::Request& request);
  Result<ipc::Record> status(ipc::Request& request);
  Result<ipc::Record> account_list(ipc::Request& request);
  Result<ipc::Record> arena_stats(ipc::Request& request);
  Result<ipc::Record> client_stats(ipc::Request& request);

  Services& services_;
  uint64_t client_id_;
  ipc::PeerCredentials peer_;
  SessionCharges charges_;
  ipc::Handshake handshake_;
  int socket_;
  EstateHold kept_;       // the control connection, once greeted
  bool resumed_ = false;  // begun with a predecessor
  bool again_ = false;    // the next record may have been carried out by it
  Send send_;
  std::shared_ptr<RunClient> run_client_;
  // Of all its attachments, also those that it has let go.
  const std::shared_ptr<uffd::FaultTally> faults_ = std::make_shared<uffd::FaultTally>();
  std::map<uint64_t, Attachment> attachments_;  // by arena id
};

}  // namespace uarena::broker
