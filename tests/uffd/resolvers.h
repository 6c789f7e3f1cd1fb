// Stand-ins for the arena: resolvers that fill, refuse, or hold a fault until the test says so.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "tests/uffd/client.h"
#include "uffd/resolver.h"

namespace uarena::uffd::testing {

// Puts the page into the memory file, as an arena with room does.
class FillingResolver : public Resolver {
 public:
  explicit FillingResolver(const Fd& memory) : memory_(memory.dup()) {}
  Verdict resolve(const Fault& fault) noexcept override {
    ++calls;
    put_byte(memory_, fault.address - kArena, 0);
    return Verdict::present;
  }
  std::atomic<uint64_t> calls{0};

 private:
  Fd memory_;
};

class RefusingResolver : public Resolver {
 public:
  Verdict resolve(const Fault&) noexcept override {
    ++calls;
    return Verdict::refuse;
  }
  std::atomic<uint64_t> calls{0};
};

// Holds every fault until it is opened, then does what the next resolver says.
class GateResolver : public Resolver {
 public:
  explicit GateResolver(Resolver& next) : next_(next) {}
  Verdict resolve(const Fault& fault) noexcept override {
    std::unique_lock lock(mutex_);
    ++inside_;
    changed_.notify_all();
    changed_.wait_for(lock, kLimit, [this] { return open_; });
    lock.unlock();
    return next_.resolve(fault);
  }
  // False when fewer than `count` faults came within the limit.
  bool wait_inside(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kLimit, [&] { return inside_ >= count; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  static constexpr std::chrono::milliseconds kLimit{kLimitMs};
  Resolver& next_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int inside_ = 0;
  bool open_ = false;
};

}  // namespace uarena::uffd::testing
