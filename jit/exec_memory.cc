// First-fit over a map of free runs, and the file operations behind it.
#include "jit/exec_memory.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

// Since Linux 6.3; the headers of Debian 12 don't know it. It only says that the file's mode has
// no x bits and never will: mapping it executable is allowed, and vm.memfd_noexec=2 demands it.
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace uarena::jit {
namespace {

constexpr std::byte kInt3{0xcc};

size_t round_up(size_t value, size_t step) { return (value + step - 1) / step * step; }

}  // namespace

Result<ExecMemory*> ExecMemory::instance() {
  // Never destroyed: programs may outlive static destructors.
  static const Result<ExecMemory*> instance = create();
  return instance;
}

Result<ExecMemory*> ExecMemory::create() {
  Fd file(::memfd_create("uarena-code", MFD_CLOEXEC | MFD_NOEXEC_SEAL));
  if (!file && errno == EINVAL) file.reset(::memfd_create("uarena-code", MFD_CLOEXEC));
  if (!file) return fail_errno(errno, "cannot create the file for compiled code");
  auto view = MemoryMap::create(nullptr, kCapacity, PROT_READ | PROT_EXEC, MAP_SHARED, file.get(),
                                0, "compiled code");
  if (!view) return std::unexpected(view.error());
  auto* memory = new ExecMemory;
  memory->file_ = std::move(file);
  memory->view_ = std::move(*view);
  return memory;
}

Result<ExecBlock> ExecMemory::add(std::span<const std::byte> code) {
  const std::scoped_lock lock(mutex_);
  const size_t size = round_up(code.size(), kGranule);
  const auto offset = take(size);
  if (!offset) return std::unexpected(offset.error());
  if (auto written = write(*offset, code); !written) {
    give_back(*offset, size);
    return std::unexpected(written.error());
  }
  return ExecBlock(this, view_.data() + *offset, code.size());
}

size_t ExecMemory::file_bytes() const {
  const std::scoped_lock lock(mutex_);
  return end_;
}

Result<size_t> ExecMemory::take(size_t size) {
  auto run = std::ranges::find_if(free_, [size](const auto& f) { return f.second >= size; });
  if (run == free_.end()) {
    // The last run may reach to the end of the file and then counts.
    const bool open_end = !free_.empty() && free_.rbegin()->first + free_.rbegin()->second == end_;
    const size_t start = open_end ? free_.rbegin()->first : end_;
    if (auto grown = grow(round_up(start + size, kStep)); !grown) {
      return std::unexpected(grown.error());
    }
    run = std::prev(free_.end());
  }
  const auto [offset, available] = *run;
  free_.erase(run);
  if (available > size) free_.emplace(offset + size, available - size);
  return offset;
}

Result<void> ExecMemory::grow(size_t to) {
  if (to > kCapacity) {
    return fail(ENOSPC, "compiled programs take up all {} MiB that are there for code",
                kCapacity >> 20);
  }
  if (::ftruncate(file_.get(), static_cast<off_t>(to)) != 0) {
    return fail_errno(errno, "cannot enlarge the file for compiled code to {} bytes", to);
  }
  // On failure end_ stays: the next attempt fills the same range again.
  if (auto filled = fill(end_, to - end_); !filled) return filled;
  insert_free(end_, to - end_);
  end_ = to;
  return {};
}

void ExecMemory::give_back(size_t offset, size_t size) {
  // The pages are there, so the write can't run out of memory.
  const auto filled = fill(offset, size);
  UARENA_ASSERT(filled.has_value(), "cannot clear freed code: {}", filled.error().message);
  insert_free(offset, size);
  shrink();
}

void ExecMemory::insert_free(size_t offset, size_t size) {
  auto after = free_.lower_bound(offset);
  if (after != free_.end() && offset + size == after->first) {
    size += after->second;
    after = free_.erase(after);
  }
  if (after != free_.begin()) {
    auto before = std::prev(after);
    if (before->first + before->second == offset) {
      before->second += size;
      return;
    }
  }
  free_.emplace(offset, size);
}

// Cuts whole steps off a free tail.
void ExecMemory::shrink() {
  const auto last = std::prev(free_.end());
  if (last->first + last->second != end_) return;
  const size_t to = round_up(last->first, kStep);
  if (to >= end_ || ::ftruncate(file_.get(), static_cast<off_t>(to)) != 0) return;
  end_ = to;
  last->second = to - last->first;
  if (last->second == 0) free_.erase(last);
}

Result<void> ExecMemory::write(size_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "cannot write {} bytes of compiled code", bytes.size());
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += static_cast<size_t>(n);
  }
  return {};
}

Result<void> ExecMemory::fill(size_t offset, size_t size) {
  const std::vector<std::byte> int3(size, kInt3);
  return write(offset, int3);
}

void ExecMemory::release(const std::byte* code, size_t size) {
  const std::scoped_lock lock(mutex_);
  give_back(static_cast<size_t>(code - view_.data()), round_up(size, kGranule));
}

ExecBlock::ExecBlock(ExecBlock&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)),
      code_(std::exchange(other.code_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

ExecBlock& ExecBlock::operator=(ExecBlock&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(code_, other.code_);
  std::swap(size_, other.size_);
  return *this;
}

ExecBlock::~ExecBlock() {
  if (memory_ != nullptr) memory_->release(code_, size_);
}

}  // namespace uarena::jit
