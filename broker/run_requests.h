// What a run channel carries: the requests that may take their time. They are answered here, on a
// runner's thread, one after the other for each channel.
#pragma once

#include "broker/account_table.h"
#include "broker/arena_registry.h"
#include "broker/program_registry.h"
#include "broker/runner_pool.h"
#include "ipc/codec.h"

namespace uarena::broker {

class RunRequests {
 public:
  RunRequests(ArenaRegistry& arenas, ProgramRegistry& programs, AccountTable& accounts)
      : arenas_(arenas), programs_(programs), accounts_(accounts) {}

  // RunnerPool::Handler: reads one record and answers it. What must not be carried out twice is
  // entered in the channel's slot before it is begun; what stands there already was begun by a
  // predecessor, and its outcome is unknown.
  bool serve(RunChannel& channel, Result<ipc::Record> record);

 private:
  std::optional<ipc::Record> reply_to(RunChannel& channel, ipc::Record&& record);
  Result<ipc::Record> answer(RunChannel& channel, ipc::Request& request, Fd* text);
  Result<ipc::Record> load(RunChannel& channel, ipc::Request& request, Fd* log);
  Result<ipc::Record> run(RunChannel& channel, ipc::Request& request);
  Result<ipc::Record> dump(const RunChannel& channel, ipc::Request& request);
  Result<ipc::Record> unload(RunChannel& channel, ipc::Request& request);
  Result<ipc::Record> page_op(RunChannel& channel, ipc::Request& request);
  Result<ipc::Record> page_list(const RunChannel& channel, ipc::Request& request);
  Result<ipc::Record> page_read(const RunChannel& channel, ipc::Request& request);
  Result<ipc::Record> fault_trace(const RunChannel& channel, ipc::Request& request);
  // EACCES: the client has no such right.
  Result<std::shared_ptr<Arena>> arena(const RunChannel& channel, uint64_t id, Right right) const;

  ArenaRegistry& arenas_;
  ProgramRegistry& programs_;
  AccountTable& accounts_;
};

// Whether `uid` may delete or unload what `owner` made: itself, root, and the broker's own uid.
Result<void> may_remove(uint32_t uid, uint32_t owner, const char* what);

// The log's line about a new arena, whichever request made it.
void log_created(uint64_t client_id, const Arena& arena);

}  // namespace uarena::broker
