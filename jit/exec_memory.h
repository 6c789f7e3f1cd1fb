// Memory for compiled code that is never writable and executable at once, not even by two views:
// code lives in one memfd whose only mapping is read+execute, and is written with pwrite(2). So
// the process has no writable alias of its code for a stray store to hit, and
// MemoryDenyWriteExecute= (no W+X mapping, no mprotect to X) stays on.
//
// Layout: the file is as long as the code that exists, in steps of 64 KiB; behind its end the
// mapping raises SIGBUS. Whatever is in the file and not code is int3. Blocks are handed out
// first-fit at 64-byte boundaries; freed ones become int3 again, and a free tail shortens the file.
//
// Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>

#include "ipc/base/fd.h"
#include "ipc/base/memory_map.h"
#include "ipc/base/result.h"

namespace uarena::jit {

class ExecMemory;

// Code in executable memory; frees it when destroyed. Nobody may run it then.
class ExecBlock {
 public:
  ExecBlock() = default;
  ExecBlock(ExecBlock&& other) noexcept;
  ExecBlock& operator=(ExecBlock&& other) noexcept;
  ExecBlock(const ExecBlock&) = delete;
  ExecBlock& operator=(const ExecBlock&) = delete;
  ~ExecBlock();

  const std::byte* code() const { return code_; }
  size_t size() const { return size_; }

 private:
  friend class ExecMemory;
  ExecBlock(ExecMemory* memory, const std::byte* code, size_t size)
      : memory_(memory), code_(code), size_(size) {}
  ExecMemory* memory_ = nullptr;
  const std::byte* code_ = nullptr;
  size_t size_ = 0;
};

class ExecMemory {
 public:
  static constexpr size_t kCapacity = size_t{256} << 20;
  static constexpr size_t kGranule = 64;
  static constexpr size_t kStep = size_t{64} << 10;

  // The one of this process. Fails if it could not be set up (the same error every time).
  static Result<ExecMemory*> instance();

  // Copies position-independent code. ENOSPC when kCapacity is used up, ENOMEM from the kernel.
  Result<ExecBlock> add(std::span<const std::byte> code);

  size_t file_bytes() const;  // for tests and metrics
  ExecMemory(const ExecMemory&) = delete;
  ExecMemory& operator=(const ExecMemory&) = delete;

 private:
  friend class ExecBlock;
  ExecMemory() = default;
  static Result<ExecMemory*> create();
  Result<size_t> take(size_t size);
  Result<void> grow(size_t to);
  void give_back(size_t offset, size_t size);
  void insert_free(size_t offset, size_t size);
  void shrink();
  Result<void> write(size_t offset, std::span<const std::byte> bytes);
  Result<void> fill(size_t offset, size_t size);
  void release(const std::byte* code, size_t size);

  mutable std::mutex mutex_;
  Fd file_;
  MemoryMap view_;                 // kCapacity bytes, read+execute
  size_t end_ = 0;                 // of the file
  std::map<size_t, size_t> free_;  // offset -> size; neighbours are merged
};

}  // namespace uarena::jit
