// Poisons pages of one client, on a thread of its own. Where somebody is changing the client's
// mapping at that moment, UFFDIO_POISON waits for the memory lock of the client's process, and a
// client can keep that lock: a munmap of a dirty mapping of its own FUSE file holds it until the
// file system has answered. A fault thread, which others need too, must not wait for it. Pages that
// are asked for meanwhile stand in a line, so a client costs one thread at most.
//
// Threads: one at a time calls poison().
#pragma once

#include <cstdint>
#include <memory>

#include "uffd/userfaultfd.h"

namespace uarena::uffd {

class Poisoner {
 public:
  // Pages that may wait: more than a process has threads that fault, unless it plays with us.
  static constexpr size_t kMostWaiting = 4096;

  enum class Answer {
    taken,    // soon poisoned, or somebody's page by then: who waits for it is woken either way
    not_now,  // nothing was done: too many wait, or no descriptor or thread can be had
  };
  // `page` is a whole page of the registered range of `uffd`, which is always the same.
  Answer poison(const Userfaultfd& uffd, uint64_t page);

 private:
  struct Line;
  std::shared_ptr<Line> line_;
};

}  // namespace uarena::uffd
