// Pages that a program allocates: allocated and freed while a client has the arena mapped, and
// touched by that client for the first time. On both sides this process is the client: it has the
// arena mapped, and sleeps while the program runs, unless the work says that it runs, too.
#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>

#include "ipc/base/fd.h"
#include "ipc/base/memory_map.h"
#include "ipc/base/page.h"
#include "tools/bench/bare_faults.h"
#include "tools/bench/bench.h"
#include "tools/bench/both_sides.h"
#include "tools/bench/contexts.h"

namespace uarena::bench {
namespace {

constexpr uint64_t kPagesPerWork = 2048;

using Side = Result<double> (BothSides::*)(const char* name, std::span<std::byte> context,
                                           uint64_t units);

// A thread of the client that reads its arena all the time.
class Reader {
 public:
  explicit Reader(std::byte* arena)
      : thread_([this, arena] {
          auto* const byte = reinterpret_cast<volatile std::byte*>(arena);
          while (!stop_.load(std::memory_order_relaxed)) static_cast<void>(*byte);
        }) {}
  ~Reader() { stop_ = true; }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

 private:
  std::atomic<bool> stop_{false};
  std::jthread thread_;
};

// The page at the arena's beginning is allocated and stays, so that reading it is no fault.
Result<void> keep_a_page(BothSides& both) {
  bench_range_ctx context{1, 0};
  if (auto ours = both.ours("allocate", bytes_of(context), 1); !ours)
    return std::unexpected(ours.error());
  if (auto kernel = both.kernel("allocate", bytes_of(context), 1); !kernel)
    return std::unexpected(kernel.error());
  *reinterpret_cast<volatile char*>(both.our_arena()) = 1;
  *reinterpret_cast<volatile char*>(both.kernel_arena()) = 1;
  return {};
}

Result<Pair> alloc_free(const std::string& socket, const std::string& path, uint64_t pages,
                        bool running, BothSides::Attach attach = BothSides::Attach::yes) {
  auto both = BothSides::load(socket, path, attach);
  if (!both) return std::unexpected(both.error());
  if (auto kept = keep_a_page(**both); !kept) return std::unexpected(kept.error());
  const uint64_t pairs = std::max<uint64_t>(4, std::min<uint64_t>(1000, kPagesPerWork / pages));
  const auto run = [=, b = *both](Side side, std::byte* arena) {
    std::optional<Reader> reader;
    if (running) reader.emplace(arena);
    bench_pairs_ctx context{pairs, pages, 0};
    return ((*b).*side)("alloc_free", bytes_of(context), pairs);
  };
  return Pair{[=, b = *both] { return run(&BothSides::ours, b->our_arena()); },
              [=, b = *both] { return run(&BothSides::kernel, b->kernel_arena()); }};
}

double touch_pages(volatile char* base, bool write) {
  const uint64_t start = now_ns();
  for (uint64_t page = 0; page < kPagesPerWork; ++page) {
    if (write)
      base[page * kPageSize] = 1;
    else
      static_cast<void>(base[page * kPageSize]);
  }
  return static_cast<double>(now_ns() - start) / static_cast<double>(kPagesPerWork);
}

Result<double> first_touch(BothSides& both, Side side, bool write) {
  bench_range_ctx context{kPagesPerWork, 0};
  if (auto made = (both.*side)("allocate", bytes_of(context), 1); !made) return made;
  const double ns = touch_pages(reinterpret_cast<volatile char*>(context.address), write);
  if (auto freed = (both.*side)("release", bytes_of(context), 1); !freed) return freed;
  return ns;
}

Result<Pair> present(const std::string& socket, const std::string& path, bool write) {
  auto both = BothSides::load(socket, path, BothSides::Attach::yes);
  if (!both) return std::unexpected(both.error());
  return Pair{[=, b = *both] { return first_touch(*b, &BothSides::ours, write); },
              [=, b = *both] { return first_touch(*b, &BothSides::kernel, write); }};
}

// One page is made and punched again, mapped once: what an allocation and a free are without
// anything to keep about them.
Result<Pair> alloc_free_floor(const std::string& socket, const std::string& path) {
  auto both = BothSides::load(socket, path, BothSides::Attach::yes);
  if (!both) return std::unexpected(both.error());
  if (auto kept = keep_a_page(**both); !kept) return std::unexpected(kept.error());
  constexpr uint64_t kPairs = 1000;
  auto bare = BareFaults::open(kPageSize, [](uffd::Userfaultfd&, uint64_t) {});
  if (!bare) return std::unexpected(bare.error());
  return Pair{[b = *bare]() -> Result<double> {
                const uint64_t start = now_ns();
                for (uint64_t n = 0; n < kPairs; ++n) {
                  b->uffd().zeropage(reinterpret_cast<uint64_t>(b->base()), kPageSize);
                  b->empty();
                }
                return static_cast<double>(now_ns() - start) / kPairs;
              },
              [b = *both] {
                bench_pairs_ctx context{kPairs, 1, 0};
                return b->kernel("alloc_free", bytes_of(context), kPairs);
              }};
}

// A memory file whose pages are there is mapped anew, and touched.
Result<Pair> present_floor(const std::string& socket, const std::string& path, bool write) {
  auto both = BothSides::load(socket, path, BothSides::Attach::yes);
  if (!both) return std::unexpected(both.error());
  constexpr uint64_t kBytes = kPagesPerWork * kPageSize;
  const auto file = std::make_shared<Fd>(::memfd_create("floor", MFD_CLOEXEC));
  if (!*file || ::fallocate(file->get(), 0, 0, kBytes) != 0)
    return fail_errno(errno, "cannot make a memory file");
  return Pair{[=]() -> Result<double> {
                auto map = MemoryMap::create(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                                             file->get(), 0, "a memory file");
                if (!map) return std::unexpected(map.error());
                return touch_pages(reinterpret_cast<volatile char*>(map->data()), write);
              },
              [=, b = *both] { return first_touch(*b, &BothSides::kernel, write); }};
}

// From a connected socket to a mapping whose first page is there.
Result<double> attach(const std::string& socket, uint64_t arena, unsigned flags) {
  uarena_conn* conn = nullptr;
  void* base = nullptr;
  const uint64_t start = now_ns();
  int error = uarena_connect(socket.c_str(), &conn);
  if (error == 0) error = uarena_attach(conn, arena, flags, &base);
  if (error == 0) *static_cast<volatile char*>(base) = 1;
  const uint64_t ns = now_ns() - start;
  if (error == 0) error = uarena_detach(conn, arena);
  uarena_close(conn);
  if (error != 0) return fail(-error, "{}", uarena_error());
  return static_cast<double>(ns);
}

Result<double> map_in_kernel() {
  testing::KernelMapAttr attr;
  attr.max_entries = kMaxArenaPages;
  const uint64_t start = now_ns();
  auto fd = testing::create_kernel_map(attr);
  if (!fd) return std::unexpected(fd.error());
  auto map = MemoryMap::create(nullptr, kMaxArenaSize, PROT_READ | PROT_WRITE, MAP_SHARED,
                               fd->get(), 0, "the kernel's arena");
  if (!map) return std::unexpected(map.error());
  *reinterpret_cast<volatile char*>(map->data()) = 1;
  return static_cast<double>(now_ns() - start);
}

// An arena that is there for others to attach.
class Arena {
 public:
  static Result<std::shared_ptr<Arena>> create(const std::string& socket, uint32_t more_flags) {
    auto arena = std::make_shared<Arena>();
    uarena_attr attr{UARENA_MAP_TYPE_ARENA,          0, 0, kMaxArenaPages,
                     UARENA_F_MMAPABLE | more_flags, 0};
    int error = uarena_connect(socket.c_str(), &arena->conn_);
    if (error == 0) error = uarena_create(arena->conn_, "bench.attach", &attr, &arena->info_);
    if (error != 0) return fail(-error, "{}", uarena_error());
    return arena;
  }
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() {
    if (info_.id != 0) uarena_delete(conn_, info_.id);
    uarena_close(conn_);
  }
  uint64_t id() const { return info_.id; }
  Result<void> allocate_first() {
    auto* const start = reinterpret_cast<void*>(info_.user_vm_start);
    if (uarena_alloc(conn_, info_.id, start, 1, -1, 0) == start) return {};
    return fail(errno, "{}", uarena_error());
  }

 private:
  uarena_conn* conn_ = nullptr;
  uarena_info info_{};
};

}  // namespace

std::vector<Work> alloc_works(const std::string& socket, const std::string& bpf_directory) {
  const std::string object = bpf_directory + "/bench_alloc_free.bpf.o";
  std::vector<Work> works = {
      {"present.read", "a client reads pages that a program allocated", "ns/page", "lower",
       "bpf_arena", [=] { return present(socket, object, false); }},
      {"present.write", "a client writes pages that a program allocated", "ns/page", "lower",
       "bpf_arena", [=] { return present(socket, object, true); }},
      {"attach.4g", "connect, attach 4 GiB and touch one page", "ns/attach", "lower", "bpf_arena",
       [=]() -> Result<Pair> {
         auto arena = Arena::create(socket, 0);
         if (!arena) return std::unexpected(arena.error());
         return Pair{[=, a = *arena] { return attach(socket, a->id(), 0); }, map_in_kernel};
       }},
      {"attach.4g.exact", "the same with guards over 4 GiB, and a page that was there", "ns/attach",
       "lower", "bpf_arena",
       [=]() -> Result<Pair> {
         auto arena = Arena::create(socket, UARENA_F_SEGV_ON_FAULT);
         if (!arena) return std::unexpected(arena.error());
         if (auto made = (*arena)->allocate_first(); !made) return std::unexpected(made.error());
         return Pair{[=, a = *arena] { return attach(socket, a->id(), UARENA_EXACT); },
                     map_in_kernel};
       }},
  };
  for (const bool running : {false, true})
    for (const uint64_t pages : {1, 16, 512})
      works.push_back({"alloc_free." + std::to_string(pages) + (running ? ".running" : ""),
                       running ? "the same while the client runs"
                               : "a program allocates pages in one call and frees them",
                       "ns/pair", "lower", "bpf_arena",
                       [=] { return alloc_free(socket, object, pages, running); }});
  for (const uint64_t pages : {1, 16, 512})
    works.push_back({"alloc_free." + std::to_string(pages) + ".exact",
                     "the same while the client has guards", "ns/pair", "lower", "bpf_arena", [=] {
                       return alloc_free(socket, object, pages, false, BothSides::Attach::exact);
                     }});
  works.push_back({"floor.alloc_free.1", "a page is made and punched in a memory file", "ns/pair",
                   "lower", "bpf_arena", [=] { return alloc_free_floor(socket, object); }});
  for (const bool write : {false, true})
    works.push_back({write ? "floor.present.write" : "floor.present.read",
                     "pages of a plain memory file that are there are touched", "ns/page", "lower",
                     "bpf_arena", [=] { return present_floor(socket, object, write); }});
  for (Work& work : works) work.wakes = true;
  return works;
}

}  // namespace uarena::bench
