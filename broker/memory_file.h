// The bytes of one arena: a memfd of exactly the arena's size, which the broker creates, keeps and
// hands to clients. Byte 0 is the page at user_vm_start; pages that nobody allocated are holes.
//
// Clients hold the same descriptor, so the file is made such that they can't change what the broker
// relies on: mode 0600 (no reopening through /proc by another uid), never executable
// (MFD_NOEXEC_SEAL where the kernel knows it), sealed in size (SHRINK | GROW, a truncated file
// would kill everyone who maps it) and against further seals (SEAL). They can write and punch:
// contents and presence of pages are untrusted; the truth about pages is in the state file.
//
// Thread-safe: every call is one system call on the descriptor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ipc/base/fd.h"
#include "ipc/base/page.h"
#include "ipc/base/result.h"

namespace uarena::broker {

// A sealed memfd of `size` bytes, all holes; `name` shows in /proc/PID/maps.
Result<Fd> create_sealed_memfd(const std::string& name, uint64_t size);
// Whether `fd` is a memory file of that size that can't be changed; `what` is for the sentence.
Result<void> check_sealed_memfd_untrusted(int fd, uint64_t size, std::string_view what);

class MemoryFile {
 public:
  static Result<MemoryFile> create(const std::string& name, uint64_t size);

  // A predecessor's. EINVAL: it is no memory file, or not of that size and sealed in it.
  static Result<MemoryFile> open_untrusted(Fd fd, uint64_t size);

  int fd() const { return fd_.get(); }
  uint64_t size() const { return size_; }

  // Takes the pages out of the file and out of every process that maps them.
  Result<void> punch(PageRange pages);
  // Fills `bytes` from the offset; absent pages read as zeros and stay absent.
  Result<void> read(uint64_t offset, std::span<std::byte> bytes) const;
  // The pages that the bytes touch come to exist; the caller has claimed them before.
  Result<void> write(uint64_t offset, std::span<const std::byte> bytes);
  // Pages that the file holds: the trip-wire against clients that fill it behind our back.
  uint64_t blocks() const;

 private:
  MemoryFile(Fd fd, uint64_t size) : fd_(std::move(fd)), size_(size) {}
  Fd fd_;
  uint64_t size_ = 0;
};

}  // namespace uarena::broker
