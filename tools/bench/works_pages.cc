// Page faults: a client touches absent pages. Served ones against a plain memory file, which is
// what a fault of shared memory costs where nobody is asked; direct ones, and several pages for one
// fault, against the live kernel's arena; and what a window that grows costs where it can't help.
#include <sys/mman.h>
#include <uarena.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <span>
#include <thread>

#include "ipc/base/fd.h"
#include "ipc/base/memory_map.h"
#include "ipc/base/page.h"
#include "tests/support/kernel_loader.h"
#include "tools/bench/bare_faults.h"
#include "tools/bench/bench.h"
#include "tools/bench/both_sides.h"
#include "tools/bench/contexts.h"

namespace uarena::bench {
namespace {

constexpr uint32_t kPages = kMaxArenaPages;  // of an arena; what random touches are spread over
constexpr uint32_t kTouches = 2048;

// Pages in the order in which they are touched.
using Order = std::vector<uint32_t>;

Order ascending() {
  Order order(kTouches);
  std::iota(order.begin(), order.end(), 0);
  return order;
}

Order anywhere() {
  std::mt19937 random(20261123);  // the same places in every run
  Order order(kTouches);
  for (uint32_t& page : order) page = static_cast<uint32_t>(random() % kPages);
  std::ranges::sort(order);
  order.erase(std::ranges::unique(order).begin(), order.end());
  std::ranges::shuffle(order, random);
  return order;
}

void touch(volatile std::byte* base, std::span<const uint32_t> order) {
  for (const uint32_t page : order) base[page * kPageSize] = std::byte{1};
}

// Nanoseconds for a page. Several threads take a piece each of the order; the time is from the
// first touch to the last.
double touch_all(std::byte* base, const Order& order, unsigned threads) {
  const size_t share = order.size() / threads;
  std::vector<std::jthread> others;
  const uint64_t start = now_ns();
  for (unsigned n = 1; n < threads; ++n)
    others.emplace_back([&, n] { touch(base, std::span(order).subspan(n * share, share)); });
  touch(base, std::span(order).first(share));
  others.clear();
  return static_cast<double>(now_ns() - start) / static_cast<double>(share * threads);
}

// Who answers the faults in an arena.
enum Answer { served, direct, around };

// An arena of the broker, attached in this process.
class AttachedArena {
 public:
  static Result<std::shared_ptr<AttachedArena>> open(const std::string& socket, Answer answer) {
    auto arena = std::make_shared<AttachedArena>();
    uarena_attr attr{UARENA_MAP_TYPE_ARENA, 0, 0, kPages, UARENA_F_MMAPABLE, 0};
    int error = uarena_connect(socket.c_str(), &arena->conn_);
    const uarena_create_opts opts{sizeof opts, answer == direct ? UARENA_DIRECT : UARENA_SERVED,
                                  answer == around ? UARENA_AROUND_AUTO : 1};
    static constexpr const char* kNames[] = {"bench.served", "bench.direct", "bench.around"};
    if (error == 0)
      error = uarena_create_with(arena->conn_, kNames[answer], &attr, &opts, &arena->info_);
    if (error == 0) error = uarena_attach(arena->conn_, arena->info_.id, 0, &arena->base_);
    if (error != 0) return fail(-error, "{}", uarena_error());
    return arena;
  }
  AttachedArena() = default;
  AttachedArena(const AttachedArena&) = delete;
  AttachedArena& operator=(const AttachedArena&) = delete;
  ~AttachedArena() {
    if (base_ != nullptr) uarena_detach(conn_, info_.id);
    if (info_.id != 0) uarena_delete(conn_, info_.id);
    uarena_close(conn_);
  }

  // The pages are freed again.
  Result<double> round(const Order& order, unsigned threads) {
    const double ns = touch_all(static_cast<std::byte*>(base_), order, threads);
    if (const int error = uarena_free(conn_, info_.id, base_, kPages); error != 0)
      return fail(-error, "{}", uarena_error());
    return ns;
  }

 private:
  uarena_conn* conn_ = nullptr;
  uarena_info info_{};
  void* base_ = nullptr;
};

Result<double> plain_round(const Order& order, unsigned threads) {
  const Fd file(::memfd_create("bench", MFD_CLOEXEC));
  constexpr uint64_t kBytes = uint64_t{kPages} * kPageSize;
  if (!file || ::ftruncate(file.get(), kBytes) != 0)
    return fail_errno(errno, "cannot make a memory file");
  auto map = MemoryMap::create(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0,
                               "a memory file");
  if (!map) return std::unexpected(map.error());
  return touch_all(map->data(), order, threads);
}

// The live kernel's arena, mapped in this process. A program frees its pages again; to make an
// arena for each round would have the kernel take the last one apart while the next is measured.
class KernelArena {
 public:
  static Result<std::shared_ptr<KernelArena>> load(const std::string& path) {
    auto object = read_object(path);
    if (!object) return std::unexpected(object.error());
    auto loaded = testing::KernelObject::load(*object);
    if (!loaded) return std::unexpected(loaded.error());
    return std::make_shared<KernelArena>(std::move(*loaded));
  }
  explicit KernelArena(testing::KernelObject object) : object_(std::move(object)) {}

  Result<double> round(const Order& order) {
    std::byte* const base = object_.arena()->memory.data();
    const double ns = touch_all(base, order, 1);
    bench_range_ctx all{kPages, reinterpret_cast<uint64_t>(base)};
    const auto freed = object_.program("release")->run(bytes_of(all));
    if (!freed) return std::unexpected(freed.error());
    return ns;
  }

 private:
  testing::KernelObject object_;
};

enum class Peer { memfd, kernel, served };

struct Places {
  std::string socket;
  std::string bpf_directory;
};

Work faults(const char* name, const char* what, const Places& places, Answer answer, Peer peer,
            const Order& order, unsigned threads = 1) {
  static constexpr const char* kPeers[] = {"memfd", "bpf_arena", "served"};
  const auto set_up = [=]() -> Result<Pair> {
    auto arena = AttachedArena::open(places.socket, answer);
    if (!arena) return std::unexpected(arena.error());
    Pair pair{[=, a = *arena] { return a->round(order, threads); }, nullptr};
    switch (peer) {
      case Peer::memfd:
        pair.peer = [=] { return plain_round(order, threads); };
        break;
      case Peer::kernel: {
        auto kernel = KernelArena::load(places.bpf_directory + "/bench_alloc_free.bpf.o");
        if (!kernel) return std::unexpected(kernel.error());
        pair.peer = [=, k = *kernel] { return k->round(order); };
        break;
      }
      case Peer::served: {
        auto other = AttachedArena::open(places.socket, served);
        if (!other) return std::unexpected(other.error());
        pair.peer = [=, a = *other] { return a->round(order, threads); };
      }
    }
    return pair;
  };
  return {name, what, "ns/page", "lower", kPeers[static_cast<size_t>(peer)], set_up, true};
}

// What fills pages from a memory file can do no better: a plain one's touch.
Work direct_floor(const Places& places, const Order& order) {
  const auto set_up = [=]() -> Result<Pair> {
    auto kernel = KernelArena::load(places.bpf_directory + "/bench_alloc_free.bpf.o");
    if (!kernel) return std::unexpected(kernel.error());
    return Pair{[=] { return plain_round(order, 1); },
                [=, k = *kernel] { return k->round(order); }};
  };
  return {"floor.direct.seq",
          "a plain memory file is touched",
          "ns/page",
          "lower",
          "bpf_arena",
          set_up,
          true};
}

// Windows as large as they come, from the first fault on, and nothing that would be to know.
Work around_floor(const Places& places, const Order& order) {
  const auto set_up = [=]() -> Result<Pair> {
    constexpr uint64_t kBytes = uint64_t{kTouches} * kPageSize;
    constexpr uint64_t kWindow = 512 * kPageSize;
    auto bare = BareFaults::open(
        kBytes, [](uffd::Userfaultfd& uffd, uint64_t page) { uffd.zeropage(page, kWindow); });
    if (!bare) return std::unexpected(bare.error());
    auto kernel = KernelArena::load(places.bpf_directory + "/bench_alloc_free.bpf.o");
    if (!kernel) return std::unexpected(kernel.error());
    return Pair{[=, b = *bare]() -> Result<double> {
                  const double ns = touch_all(b->base(), order, 1);
                  b->empty();
                  return ns;
                },
                [=, k = *kernel] { return k->round(order); }};
  };
  return {"floor.around.seq",
          "a thread answers each fault with 512 pages",
          "ns/page",
          "lower",
          "bpf_arena",
          set_up,
          true};
}

}  // namespace

std::vector<Work> page_works(const std::string& socket, const std::string& bpf_directory) {
  const Places places{socket, bpf_directory};
  const Order seq = ascending(), random = anywhere();
  return {
      faults("fault.direct.seq", "a client touches absent pages, and the kernel fills them", places,
             direct, Peer::kernel, seq),
      faults("fault.direct.random", "the same anywhere in 4 GiB", places, direct, Peer::kernel,
             random),
      faults("fault.served.seq", "a client touches absent pages in ascending order", places, served,
             Peer::memfd, seq),
      faults("fault.served.random", "a client touches absent pages anywhere in 4 GiB", places,
             served, Peer::memfd, random),
      faults("fault.served.2threads", "two threads of a client touch absent pages", places, served,
             Peer::memfd, seq, 2),
      faults("fault.around.seq", "a window of pages for one fault, ascending order", places, around,
             Peer::kernel, seq),
      faults("fault.around.random", "the same anywhere in 4 GiB", places, around, Peer::served,
             random),
      direct_floor(places, seq),
      around_floor(places, seq),
  };
}

}  // namespace uarena::bench
