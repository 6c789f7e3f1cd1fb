// Some calls end when somebody else pleases: the last close of a file in a person's FUSE mount, an
// ioctl that needs the memory lock of a process which keeps it. Whoever serves others must not make
// them, so they are made here, each on a thread of its own. They are rare: no peer that means well
// makes them long.
//
// Threads: any.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace uarena {

// Makes the call on another thread, which takes no signals, and returns at once. `call` is
// destroyed on that thread too. False, and the call is lost with all that it holds, when no thread
// could be started: better something lost than everyone waiting.
bool call_slowly(std::function<void()> call);

// Calls on behalf of many owners, those of one owner one after the other: a thread for each owner
// that makes somebody wait. Destroying this waits for nothing.
class SlowCalls {
 public:
  SlowCalls();

  // As call_slowly, after all earlier calls of the same owner.
  bool start(uint64_t owner, std::function<void()> call);
  // Calls of the owner that have not ended.
  size_t under_way(uint64_t owner) const;
  // Waits until there are none of anybody, or the limit has passed: false.
  bool wait(std::chrono::milliseconds limit) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace uarena
