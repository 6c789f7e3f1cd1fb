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

 private:
  Broker(const Options& options, const Inherited& inherited)
      : options_(options), store_(inherited) {}
  Result<void> start(Inherited inherited);
  Result<void> take_devices(Inherited& inherited);
  void close_leftovers(Inherited& inherited);
  Result<void> start_watchdog();
  void accept(Fd socket, ipc::PeerCredentials peer);
  void remove(uint64_t client_id, const Error& reason);
  std::vector<uarena_client_info> client_infos(uint64_t after) const;
  std::vector<uarena_client_info> clients_of(uint64_t arena_id) const;
  uarena_status_reply status() const;

  Options options_;
  uint64_t started_ns_ = 0;
  bool can_signal_others_ = false;
  Fd cpu_dma_latency_;  // that it is open is all there is to it
  FdStore store_;       // of what a successor needs
  // In the order of who needs whom: what is destroyed first stands last.
  AccountTable accounts_;
  ArenaRegistry arenas_;
  ProgramRegistry programs_{arenas_};
  RunRequests run_requests_{arenas_, programs_, accounts_};
  std::unique_ptr<uffd::FaultLoop> faults_;
  std::unique_ptr<RunnerPool> runners_;
  std::unique_ptr<Services> services_;
  ipc::EventLoop loop_;
  std::map<uint64_t, std::unique_ptr<Client>> clients_;
  std::optional<FrontDoor> door_;
  std::unique_ptr<Watchdog> watchdog_;
  uint64_t next_client_ = 1;
};

}  // namespace uarena::broker
