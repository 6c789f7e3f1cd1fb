// SEGV_ON_FAULT: from the touch of an absent page to the handler. On both sides the arena is mapped
// in this process; ours is attached with guards (exact) or without (the broker queues the signal).
#include <sys/syscall.h>
#include <unistd.h>

#include <csetjmp>
#include <csignal>

#include "ipc/base/memory_map.h"
#include "ipc/base/page.h"
#include "tests/support/kernel_loader.h"
#include "tools/bench/bare_faults.h"
#include "tools/bench/bench.h"
#include "uarena.h"

namespace uarena::bench {
namespace {

constexpr uint32_t kPages = 1024;  // each is touched once

sigjmp_buf back;
volatile uint64_t arrived = 0;

class Handler {
 public:
  Handler() {
    struct sigaction action{};
    action.sa_handler = [](int) {
      arrived = now_ns();
      siglongjmp(back, 1);
    };
    ::sigaction(SIGSEGV, &action, &before_);
  }
  ~Handler() { ::sigaction(SIGSEGV, &before_, nullptr); }
  Handler(const Handler&) = delete;

 private:
  struct sigaction before_{};
};

// Nanoseconds from the touch to the handler; 0: there was a page.
uint64_t touch(volatile std::byte* at) {
  const uint64_t start = now_ns();
  if (sigsetjmp(back, 1) == 0) {
    *at = std::byte{1};
    return 0;
  }
  return arrived - start;
}

Result<double> touch_all(volatile std::byte* base) {
  const Handler handler;
  uint64_t sum = 0;
  for (uint32_t page = 0; page < kPages; ++page) {
    const uint64_t ns = touch(base + page * kPageSize);
    if (ns == 0) return fail(EINVAL, "page {} was there", page);
    sum += ns;
  }
  return static_cast<double>(sum) / kPages;
}

class OurArena {
 public:
  static Result<std::shared_ptr<OurArena>> open(const std::string& socket, unsigned flags) {
    auto arena = std::make_shared<OurArena>();
    const uarena_attr attr{
        UARENA_MAP_TYPE_ARENA, 0, 0, kPages, UARENA_F_MMAPABLE | UARENA_F_SEGV_ON_FAULT, 0};
    int error = uarena_connect(socket.c_str(), &arena->conn_);
    if (error == 0) error = uarena_create(arena->conn_, "bench.segv", &attr, &arena->info_);
    if (error == 0) error = uarena_attach(arena->conn_, arena->info_.id, flags, &arena->base_);
    if (error != 0) return fail(-error, "{}", uarena_error());
    return arena;
  }
  OurArena() = default;
  OurArena(const OurArena&) = delete;
  ~OurArena() {
    if (base_ != nullptr) uarena_detach(conn_, info_.id);
    if (info_.id != 0) uarena_delete(conn_, info_.id);
    uarena_close(conn_);
  }
  std::byte* base() const { return static_cast<std::byte*>(base_); }

 private:
  uarena_conn* conn_ = nullptr;
  uarena_info info_{};
  void* base_ = nullptr;
};

Result<std::shared_ptr<MemoryMap>> kernel_arena() {
  testing::KernelMapAttr attr;
  attr.max_entries = kPages;
  attr.map_flags |= UARENA_F_SEGV_ON_FAULT;
  auto fd = testing::create_kernel_map(attr);
  if (!fd) return std::unexpected(fd.error());
  auto map = MemoryMap::create(nullptr, kPages * kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED,
                               fd->get(), 0, "the kernel's arena");
  if (!map) return std::unexpected(map.error());
  return std::make_shared<MemoryMap>(std::move(*map));
}

Work segv(const char* name, const char* what, const std::string& socket, unsigned flags) {
  const auto set_up = [=]() -> Result<Pair> {
    auto ours = OurArena::open(socket, flags);
    if (!ours) return std::unexpected(ours.error());
    auto kernel = kernel_arena();
    if (!kernel) return std::unexpected(kernel.error());
    return Pair{[a = *ours] { return touch_all(a->base()); },
                [k = *kernel] { return touch_all(k->data()); }};
  };
  return {name, what, "ns/touch", "lower", "bpf_arena", set_up, true};
}

// A thread that knows nothing but whom to signal.
Work signal_floor() {
  const auto set_up = []() -> Result<Pair> {
    auto bare = BareFaults::open(kPages * kPageSize,
                                 [tid = ::gettid()](uffd::Userfaultfd& uffd, uint64_t page) {
                                   ::syscall(SYS_tgkill, ::getpid(), tid, SIGSEGV);
                                   uffd.wake(page, kPageSize);
                                 });
    if (!bare) return std::unexpected(bare.error());
    auto kernel = kernel_arena();
    if (!kernel) return std::unexpected(kernel.error());
    return Pair{[b = *bare] { return touch_all(b->base()); },
                [k = *kernel] { return touch_all(k->data()); }};
  };
  return {"floor.segv.signal",
          "a thread answers each fault with a signal",
          "ns/touch",
          "lower",
          "bpf_arena",
          set_up,
          true};
}

}  // namespace

std::vector<Work> segv_works(const std::string& socket) {
  return {
      segv("segv.exact", "an absent page under a guard is touched", socket, UARENA_EXACT),
      segv("segv.signal", "an absent page is touched, and the broker queues the signal", socket, 0),
      signal_floor()};
}

}  // namespace uarena::bench
