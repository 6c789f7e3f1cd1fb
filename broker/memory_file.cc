// Thin calls on a sealed memfd. The size of the file can't change after creation, so offsets that
// lie inside the arena stay inside the file for good.
#include "broker/memory_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U  // Linux 6.3; newer than the installed headers
#endif

namespace uarena::broker {

Result<Fd> create_sealed_memfd(const std::string& name, uint64_t size) {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  Fd fd(::memfd_create(name.c_str(), kFlags | MFD_NOEXEC_SEAL));
  if (!fd && errno == EINVAL) fd = Fd(::memfd_create(name.c_str(), kFlags));
  if (!fd) return fail_errno(errno, "cannot create a memory file of {} bytes", size);
  if (::fchmod(fd.get(), 0600) != 0) return fail_errno(errno, "cannot set a memory file to 0600");
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0)
    return fail_errno(errno, "cannot give a memory file {} bytes", size);
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return fail_errno(errno, "cannot seal a memory file");
  return fd;
}

Result<MemoryFile> MemoryFile::create(const std::string& name, uint64_t size) {
  Result<Fd> fd = create_sealed_memfd(name, size);
  if (!fd) return std::unexpected(fd.error());
  return MemoryFile(std::move(*fd), size);
}

Result<void> check_sealed_memfd_untrusted(int fd, uint64_t size, std::string_view what) {
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW;
  if (const int seals = ::fcntl(fd, F_GET_SEALS); seals < 0 || (seals & kSeals) != kSeals)
    return fail(EINVAL, "{} is no memory file that is sealed in size", what);
  struct stat st = {};
  if (::fstat(fd, &st) != 0) return fail_errno(errno, "cannot look at {}", what);
  if (st.st_size < 0 || static_cast<uint64_t>(st.st_size) != size)
    return fail(EINVAL, "{} has {} bytes, not {}", what, st.st_size, size);
  return {};
}

Result<MemoryFile> MemoryFile::open_untrusted(Fd fd, uint64_t size) {
  if (auto good = check_sealed_memfd_untrusted(fd.get(), size, "an arena's memory file"); !good)
    return std::unexpected(good.error());
  return MemoryFile(std::move(fd), size);
}

Result<void> MemoryFile::punch(PageRange pages) {
  UARENA_ASSERT(pages.end() * kPageSize <= size_, "pages {}+{}", pages.first, pages.count);
  if (::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  static_cast<off_t>(pages.first * kPageSize),
                  static_cast<off_t>(pages.count * kPageSize)) != 0)
    return fail_errno(errno, "cannot take {} pages from {} out of the memory file", pages.count,
                      pages.first);
  return {};
}

Result<void> MemoryFile::read(uint64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::pread(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "cannot read the memory file at {:#x}", offset);
    if (n == 0) return fail(EINVAL, "{:#x} is behind the end of the memory file", offset);
    offset += static_cast<uint64_t>(n);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

Result<void> MemoryFile::write(uint64_t offset, std::span<const std::byte> bytes) {
  UARENA_ASSERT(offset <= size_ && bytes.size() <= size_ - offset, "{} bytes at {:#x} of {:#x}",
                bytes.size(), offset, size_);
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail_errno(n < 0 ? errno : EIO, "cannot write to the memory file");
    offset += static_cast<uint64_t>(n);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

uint64_t MemoryFile::blocks() const {
  constexpr uint64_t kSectorsPerPage = kPageSize / 512;  // st_blocks counts units of 512 bytes
  struct stat st = {};
  const int rc = ::fstat(fd_.get(), &st);
  UARENA_ASSERT(rc == 0, "fstat of a memory file: errno {}", errno);
  return static_cast<uint64_t>(st.st_blocks) / kSectorsPerPage;
}

}  // namespace uarena::broker
