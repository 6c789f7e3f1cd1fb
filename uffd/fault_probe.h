// Asks one fault thread whether it still answers: a page of our own memory that is never there,
// whose fault only that thread can answer. touch() raises the fault and returns when it has been
// answered, on the whole way that a client's fault goes: message, turn, resolver, wake.
//
// The answer is the kernel's page of zeros, so that it takes no memory and can't fail for want of
// it.
//
// Threads: touch() by one thread at a time, give_up() by any.
#pragma once

#include <memory>

#include "ipc/base/memory_map.h"
#include "uffd/fault_loop.h"

namespace uarena::uffd {

class FaultProbe {
 public:
  // `thread`: 0..loop.threads()-1. The loop must outlive the probe.
  static Result<std::unique_ptr<FaultProbe>> create(FaultLoop& loop, size_t thread);
  ~FaultProbe();
  FaultProbe(const FaultProbe&) = delete;

  // Waits for the fault thread, however long that takes.
  void touch();
  // Whoever is in touch() comes back, answered or not, and so does everyone from now on: nothing is
  // asked any more.
  void give_up();

 private:
  class Answer;
  FaultProbe(FaultLoop& loop, MemoryMap page, Fd userfaultfd)
      : loop_(loop), page_(std::move(page)), userfaultfd_(std::move(userfaultfd)) {}

  FaultLoop& loop_;
  MemoryMap page_;
  Fd userfaultfd_;  // the session has a duplicate
  FaultLoop::Id id_ = 0;
};

}  // namespace uarena::uffd
