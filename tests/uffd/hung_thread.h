// Makes one fault thread hang: a fault of this process whose resolver does not come back before the
// test says so.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "ipc/base/memory_map.h"
#include "ipc/base/page.h"
#include "uffd/fault_loop.h"

namespace uarena::uffd::testing {

class HungThread {
 public:
  // Returns when the thread hangs.
  HungThread(FaultLoop& loop, size_t thread)
      : loop_(loop),
        memory_(::memfd_create("hung", MFD_CLOEXEC)),
        gate_(std::make_shared<Gate>(memory_.dup())) {
    EXPECT_EQ(::ftruncate(memory_.get(), kPageSize), 0);
    page_ = std::move(*MemoryMap::create(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED,
                                         memory_.get(), 0, "a page"));
    auto uffd = Userfaultfd::create_own(0);
    EXPECT_TRUE(uffd->register_missing(page_.address(), kPageSize));
    id_ = *loop.adopt_probe(thread, std::move(*uffd), Peer{}, gate_);
    toucher_ = std::thread([this] { *reinterpret_cast<volatile char*>(page_.data()); });
    gate_->wait_inside();
  }
  ~HungThread() {
    release();
    toucher_.join();
    loop_.drop(id_);
  }
  void release() { gate_->open(); }

 private:
  class Gate final : public Resolver {
   public:
    explicit Gate(Fd memory) : memory_(std::move(memory)) {}
    Verdict resolve(const Fault&) noexcept override {
      std::unique_lock lock(mutex_);
      inside_ = true;
      changed_.notify_all();
      changed_.wait(lock, [this] { return open_; });
      EXPECT_EQ(::pwrite(memory_.get(), "", 1, 0), 1);
      return Verdict::present;
    }
    void wait_inside() {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return inside_; });
    }
    void open() {
      const std::lock_guard lock(mutex_);
      open_ = true;
      changed_.notify_all();
    }

   private:
    Fd memory_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool inside_ = false, open_ = false;
  };

  FaultLoop& loop_;
  Fd memory_;
  std::shared_ptr<Gate> gate_;
  MemoryMap page_;
  FaultLoop::Id id_ = 0;
  std::thread toucher_;
};

}  // namespace uarena::uffd::testing
