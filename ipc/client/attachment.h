// One arena in this process: the mapping at its one address, and our own copy of the userfaultfd.
//
// The mapping must never be there writable and unregistered, since then the kernel would fill its
// pages behind the broker's back. Hence the order: map without access, tell the broker, wait until
// it has armed the range, then open it:
//
//   ATTACH -> memory file -> mmap PROT_NONE -> munlock, DONTFORK, DONTDUMP -> userfaultfd
//   -> ATTACH_READY -> Armed -> mprotect read-write
//
// Our copy of the userfaultfd keeps faults waiting when the broker dies, until a successor takes
// them over; without it the kernel would fill in zeros. It also means that a mapping whose broker
// will never come back has to give up the copy before it is unmapped: whoever waits would wait for
// ever.
//
// Where the arena's faults are direct, there is no userfaultfd: ATTACH_READY comes without one.
#pragma once

#include <cstdint>
#include <memory>

#include "ipc/abi.h"
#include "ipc/base/fd.h"
#include "ipc/base/memory_map.h"
#include "ipc/base/result.h"
#include "ipc/client/channel.h"
#include "ipc/client/guard_keeper.h"

namespace uarena::ipc {

struct AttachWay {
  bool exact = false;  // SEGV_ON_FAULT by guards of this process: some 30 ms and 8 MB for 4 GiB
  bool user_mode_only = false;  // system calls into absent pages fail with EFAULT
  bool readonly = false;        // nothing can be written there
};

class Attachment {
 public:
  // All or nothing: on failure the address range is free again and the broker has been told.
  // EEXIST: something occupies the range, and the sentence names it.
  static Result<Attachment> attach(Channel& control, uint64_t arena_id, AttachWay way = {});

  Attachment(Attachment&&) = default;
  Attachment& operator=(Attachment&&) = default;
  // Unmaps.
  ~Attachment();

  void* base() const { return map_.data(); }
  const uarena_arena_info& info() const { return info_; }
  // System calls into absent pages make them, too.
  bool syscalls_served() const {
    return direct() || (full_ && (info_.map_flags & kSegvOnFault) == 0);
  }

  // Unmaps, then tells the broker. What the broker says does not matter to the caller: the memory
  // is gone either way, and a lost connection detaches by itself.
  void detach(Channel& control);
  // The broker is gone: lets go of faults that wait, and unmaps.
  void drop();
  // In a child after fork, which never had the mapping (MADV_DONTFORK): whatever lies at that
  // address now is not ours. Only the descriptor is closed.
  void forget();

 private:
  static constexpr uint32_t kSegvOnFault = 1u << 17;  // BPF_F_SEGV_ON_FAULT
  Attachment() = default;
  // The kernel fills the pages, without a userfaultfd.
  bool direct() const { return info_.fault == UARENA_FAULT_DIRECT; }

  Result<void> map(const Fd& memory);
  Result<void> guard();
  Result<void> arm(Channel& control, AttachWay way);

  uarena_arena_info info_{};
  Fd userfaultfd_;
  bool full_ = false;
  std::unique_ptr<GuardKeeper> guards_;  // when exact
  // Last, so that it is the first to go: a fault of another thread waits no longer than that.
  MemoryMap map_;
};

}  // namespace uarena::ipc
