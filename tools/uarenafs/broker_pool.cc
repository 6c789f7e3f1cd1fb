// A loop in ask() ends: idle connections that turn out to be lost are dropped one by one, and what
// fails on a new one is the answer.
#include "tools/uarenafs/broker_pool.h"

#include "ipc/base/log.h"

namespace uarena::inspectfs {

Result<BrokerPool::Connection> BrokerPool::lend() {
  {
    const std::lock_guard lock(mutex_);
    if (Clock::now() < quiet_until_)
      return fail(Why::unreachable, ETIMEDOUT, "the broker did not answer a moment ago");
    while (!idle_.empty()) {
      Connection connection = std::move(idle_.back());
      idle_.pop_back();
      if (connection.inspector.link().control().is_lost()) continue;
      connection.was_idle = true;
      return connection;
    }
  }
  auto connection = connect();
  if (!connection) note_lost(connection.error());
  return connection;
}

Result<BrokerPool::Connection> BrokerPool::connect() {
  auto inspector = ipc::Inspector::connect(socket_, limit_);
  if (!inspector) return std::unexpected(std::move(inspector.error()));
  auto status = inspector->status();
  if (!status) return std::unexpected(std::move(status.error()));
  // Two brokers don't start in the same nanosecond.
  const uint64_t epoch = status->started_ns;
  const std::lock_guard lock(mutex_);
  if (!reachable_ || epoch != epoch_)
    log(LogLevel::info, "broker.connected",
        {{"socket", socket_.empty() ? ipc::default_socket_path() : socket_},
         {"pid", status->pid},
         {"version", ipc::get_text(status->version)}});
  if (epoch != epoch_) idle_.clear();
  epoch_ = epoch;
  reachable_ = true;
  said_ = false;
  return Connection{std::move(*inspector), epoch, false};
}

void BrokerPool::give_back(Connection connection) {
  const std::lock_guard lock(mutex_);
  if (connection.epoch == epoch_ && idle_.size() < kMostIdle)
    idle_.push_back(std::move(connection));
}

// One line when it goes, not one per request that finds it gone.
void BrokerPool::note_lost(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (error.code == ETIMEDOUT) quiet_until_ = Clock::now() + kQuiet;
  log(said_ ? LogLevel::debug : LogLevel::warning, "broker.lost",
      {{"errno", error.code}, {"error", error.message}});
  said_ = true;
  reachable_ = false;
}

}  // namespace uarena::inspectfs
