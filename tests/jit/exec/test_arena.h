// A kernel view to fault on: 4 GiB + guards of PROT_NONE with a small file mapped into it, whose
// second half lies beyond the end of the file. So one view has pages that are present, pages that
// raise SIGBUS (as a hole does in the broker's view) and pages that raise SIGSEGV.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>

#include "ipc/base/fd.h"
#include "ipc/base/memory_map.h"
#include "ipc/base/page.h"
#include "jit/engine.h"
#include "jit/runtime.h"

namespace uarena::jit {

class TestArena {
 public:
  static constexpr uint32_t kPages = 4;
  static constexpr uint64_t kUserVmStart = 0x7e9000100000;
  // Arena pointers (low 32 bits count).
  static constexpr uint64_t kPresent = kUserVmStart;
  static constexpr uint64_t kPresentEnd = kUserVmStart + kPages * kPageSize;
  static constexpr uint64_t kBeyondFile = kPresentEnd;                     // SIGBUS
  static constexpr uint64_t kUnmapped = kPresentEnd + kPages * kPageSize;  // SIGSEGV

  TestArena() {
    EXPECT_TRUE(install_fault_handler());
    reservation_ =
        *MemoryMap::create(nullptr, kMaxArenaSize + kGuardSize, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, "test arena");
    file_ = Fd(::memfd_create("test-arena", MFD_CLOEXEC));
    EXPECT_EQ(::ftruncate(file_.get(), kPages * kPageSize), 0);
    view_.kern_vm_start = reservation_.address() + kGuardSize / 2;
    view_.user_vm_start = kUserVmStart;
    view_.size = 2 * kPages * kPageSize;
    void* pages = ::mmap(at(kPresent), view_.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                         file_.get(), 0);
    EXPECT_NE(pages, MAP_FAILED);
    reset();
  }

  const ArenaView& view() const { return view_; }
  std::byte* at(uint64_t ptr) const {
    return reinterpret_cast<std::byte*>(view_.kern_vm_start + static_cast<uint32_t>(ptr));
  }
  // Byte n of the present pages is n * 37 + 11: no two neighbours alike, many sign bits set.
  void reset() const {
    for (size_t n = 0; n < kPages * kPageSize; ++n) {
      at(kPresent)[n] = static_cast<std::byte>(n * 37 + 11);
    }
  }
  uint64_t read(uint64_t ptr, unsigned bytes) const {
    uint64_t value = 0;
    std::memcpy(&value, at(ptr), bytes);
    return value;
  }
  // Takes the present pages away, as a client's MADV_REMOVE or the broker's free do, or brings
  // them back (zero-filled).
  void set_present(bool present) const {
    EXPECT_EQ(::ftruncate(file_.get(), present ? kPages * kPageSize : 0), 0);
  }

 private:
  MemoryMap reservation_;
  Fd file_;
  ArenaView view_;
};

}  // namespace uarena::jit
