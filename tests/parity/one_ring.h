// An io_uring for one transfer at a time, by the bare system calls.
#pragma once

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>

#include "ipc/base/fd.h"

namespace uarena::testing {

class OneRing {
 public:
  OneRing() {
    io_uring_params params{};
    ring_.reset(static_cast<int>(::syscall(SYS_io_uring_setup, 1, &params)));
    if (!ring_ || (params.features & IORING_FEAT_SINGLE_MMAP) == 0) return;
    const size_t size =
        std::max<size_t>(params.sq_off.array + params.sq_entries * sizeof(uint32_t),
                         params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe));
    const auto map = [&](size_t bytes, off_t offset) {
      void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring_.get(), offset);
      return at == MAP_FAILED ? nullptr : static_cast<char*>(at);
    };
    rings_ = map(size, IORING_OFF_SQ_RING);
    entries_ = reinterpret_cast<io_uring_sqe*>(map(sizeof(io_uring_sqe), IORING_OFF_SQES));
    offsets_ = params;
  }
  // Whether there is one; a machine may have io_uring switched off.
  bool usable() const { return rings_ != nullptr && entries_ != nullptr; }

  // IORING_OP_READ or IORING_OP_WRITE: bytes, or a negative errno.
  int64_t transfer(uint8_t operation, int fd, const void* memory, uint32_t bytes) const {
    io_uring_sqe& entry = entries_[0];
    entry = {};
    entry.opcode = operation;
    entry.fd = fd;
    entry.addr = reinterpret_cast<uint64_t>(memory);
    entry.len = bytes;
    reinterpret_cast<uint32_t*>(rings_ + offsets_.sq_off.array)[0] = 0;
    number(offsets_.sq_off.tail).fetch_add(1, std::memory_order_release);
    if (::syscall(SYS_io_uring_enter, ring_.get(), 1, 1, IORING_ENTER_GETEVENTS, nullptr, 0) != 1)
      return -errno;
    std::atomic_ref<uint32_t> head = number(offsets_.cq_off.head);
    if (number(offsets_.cq_off.tail).load(std::memory_order_acquire) == head.load()) return -EINTR;
    const auto* done = reinterpret_cast<const io_uring_cqe*>(rings_ + offsets_.cq_off.cqes);
    const int64_t result = done[head.load() % offsets_.cq_entries].res;
    head.fetch_add(1, std::memory_order_release);
    return result;
  }

 private:
  std::atomic_ref<uint32_t> number(uint32_t offset) const {
    return std::atomic_ref<uint32_t>(*reinterpret_cast<uint32_t*>(rings_ + offset));
  }

  Fd ring_;  // the mappings go with the process
  char* rings_ = nullptr;
  io_uring_sqe* entries_ = nullptr;
  io_uring_params offsets_{};
};

}  // namespace uarena::testing
