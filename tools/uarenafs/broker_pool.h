// The way to the broker for many threads at once: connections that are lent for one question each,
// made when none is idle, and made anew when the broker was away.
//
// Every answer has a limit, so a broker that has been stopped costs each thread kAnswerLimit and no
// more; for kQuiet after that nobody tries, so that a program that looks at a hundred files does
// not wait a hundred times.
//
// Thread-safe.
#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <type_traits>
#include <vector>

#include "ipc/client/inspect.h"

namespace uarena::inspectfs {

class BrokerPool {
 public:
  static constexpr std::chrono::milliseconds kAnswerLimit{5000};
  static constexpr std::chrono::milliseconds kQuiet{1000};
  static constexpr size_t kMostIdle = 4;

  // `socket` empty: where the client library looks, each time anew.
  explicit BrokerPool(std::string socket, std::chrono::milliseconds limit = kAnswerLimit)
      : socket_(std::move(socket)), limit_(limit) {}

  // question(Inspector&, epoch) -> Result<T>, asked on a connection of the thread's own. The epoch
  // tells brokers apart: ids mean something in one epoch only. A question that finds its connection
  // lost is asked again on a new one, so it must change nothing.
  // Why::unreachable: no broker (any errno), or none that answers in time (ETIMEDOUT).
  template <typename Question>
  auto ask(Question&& question) -> std::invoke_result_t<Question, ipc::Inspector&, uint64_t> {
    while (true) {
      auto lent = lend();
      if (!lent) return std::unexpected(std::move(lent.error()));
      auto answer = question(lent->inspector, lent->epoch);
      const bool was_idle = lent->was_idle;
      if (answer || answer.error().why == Why::not_found) {
        give_back(std::move(*lent));
        return answer;
      }
      // Whatever failed, this connection is not used again.
      if (answer.error().why != Why::unreachable) return answer;
      note_lost(answer.error());
      if (!was_idle || answer.error().code == ETIMEDOUT) return answer;
    }
  }

 private:
  using Clock = std::chrono::steady_clock;

  struct Connection {
    ipc::Inspector inspector;
    uint64_t epoch;
    bool was_idle;
  };

  Result<Connection> lend();
  Result<Connection> connect();
  void give_back(Connection connection);
  void note_lost(const Error& error);

  const std::string socket_;
  const std::chrono::milliseconds limit_;
  std::mutex mutex_;
  std::vector<Connection> idle_;
  uint64_t epoch_ = 0;      // of the broker that was connected to last
  bool reachable_ = false;  // as far as we have said in the log
  bool said_ = false;       // that it is not reachable
  Clock::time_point quiet_until_;
};

}  // namespace uarena::inspectfs
