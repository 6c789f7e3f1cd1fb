// A mapping of memory with one owner, unmapped when the owner goes.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "ipc/base/result.h"

namespace uarena {

class MemoryMap {
 public:
  MemoryMap() = default;
  MemoryMap(MemoryMap&& other) noexcept
      : base_(std::exchange(other.base_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  MemoryMap& operator=(MemoryMap&& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(size_, other.size_);
    return *this;
  }
  MemoryMap(const MemoryMap&) = delete;
  MemoryMap& operator=(const MemoryMap&) = delete;
  ~MemoryMap() {
    if (base_ != nullptr) ::munmap(base_, size_);
  }

  // mmap(2) with its own errors, named by `what`.
  static Result<MemoryMap> create(void* hint, size_t size, int protection, int flags, int fd,
                                  off_t offset, const char* what) {
    void* base = ::mmap(hint, size, protection, flags, fd, offset);
    if (base == MAP_FAILED) return fail_errno(errno, "cannot map {} ({} bytes)", what, size);
    MemoryMap map;
    map.base_ = base;
    map.size_ = size;
    return map;
  }

  std::byte* data() const { return static_cast<std::byte*>(base_); }
  uint64_t address() const { return reinterpret_cast<uint64_t>(base_); }
  size_t size() const { return size_; }
  explicit operator bool() const { return base_ != nullptr; }
  // Gives the mapping up without unmapping it.
  void release() {
    base_ = nullptr;
    size_ = 0;
  }

 private:
  void* base_ = nullptr;
  size_t size_ = 0;
};

}  // namespace uarena
