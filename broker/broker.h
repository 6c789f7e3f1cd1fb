// The broker as a whole: it makes the parts, ties them together, and holds the one thing that is
// nobody else's, the table of connected clients. Everything that happens on a connection happens in
// its Session.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "broker/account_table.h"
#include "broker/arena_registry.h"
#include "broker/client.h"
#include "broker/fd_store.h"
#include "broker/front_door.h"
#include "broker/inherited.h"
#include "broker/options.h"
#include "broker/program_registry.h"
#include "broker/run_requests.h"
#include "broker/runner_pool.h"
#include "broker/session.h"
#include "broker/takeover.h"
#include "broker/timer_service.h"
#include "broker/watchdog.h"
#include "ipc/connection.h"
#include "ipc/event_loop.h"
#include "uffd/fault_loop.h"

namespace uarena::broker {

class Broker {
 public:
  // Everything but the first event: handlers installed, threads started, socket bound. `inherited`
  // is all that this process was passed at its start.
  static Result<std::unique_ptr<Broker>> create(const Options& options, Inherited inherited = {});
  ~Broker();

  // Serves until SIGTERM or SIGINT.
  void run();

  // Lets go of everything: the socket, the clients, whose faults go on without us, the programs
  // that run. Only a client that means ill can make any of these wait; false when one still does
  // after kCloseLimit: the broker is then not to be destroyed, but the process to be ended.
  bool close();
  static constexpr std::chrono::seconds kCloseLimit{5};

 private:
  Broker(const Options& options, std::unique_ptr<FdStore> store, std::unique_ptr<Estate> estate)
      : options_(options), store_(std::move(store)), estate_(std::move(estate)) {}
  Result<void> start(Inherited inherited, EstateEntries left);
  void take_over(EstateEntries& left);
  Result<void> resume(LeftClient& client);
  Result<void> take_devices(Inherited& inherited);
  void close_leftovers(Inherited& inherited);
  Result<void> start_watchdog();
  void post(uint64_t client_id, std::function<void(Session*)> call);
  Result<void> add_client(uint64_t id, Fd socket, std::unique_ptr<Session> session);
  Account& meet(const ipc::PeerCredentials& peer);
  void accept(Fd socket, ipc::PeerCredentials peer);
  static void turn_away(Fd socket, const ipc::PeerCredentials& peer, const Error& why);
  Result<void> configure();
  void reload();
  std::string status_line() const;
  void remove(uint64_t client_id, const Error& reason);
  std::vector<uarena_client_info> client_infos(uint64_t after) const;
  std::vector<uarena_client_info> clients_of(uint64_t arena_id) const;
  const Session* find_session(uint64_t client_id) const;
  uarena_status_reply status() const;

  Options options_;
  uint64_t started_ns_ = 0;
  bool can_signal_others_ = false;
  LoadPolicy load_policy_;
  Fd cpu_dma_latency_;  // that it is open is all there is to it
  std::unique_ptr<FdStore> store_;
  std::unique_ptr<Estate> estate_;  // what a successor needs
  bool closed_ = false;
  // In the order of who needs whom: what is destroyed first stands last.
  AccountTable accounts_;
  ArenaRegistry arenas_{estate_.get()};
  TimerService timers_;
  ProgramRegistry programs_{arenas_, estate_.get(), &timers_};
  RunRequests run_requests_{arenas_, programs_, accounts_};
  std::unique_ptr<uffd::FaultLoop> faults_;
  std::unique_ptr<RunnerPool> runners_;
  SlowCalls slow_calls_;
  std::unique_ptr<Services> services_;
  ipc::EventLoop loop_;
  std::map<uint64_t, std::unique_ptr<Client>> clients_;
  std::optional<FrontDoor> door_;
  std::unique_ptr<Watchdog> watchdog_;
};

}  // namespace uarena::broker
