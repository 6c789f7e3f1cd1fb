// Page faults: a client touches absent pages. Against a plain memory file, which is what a fault of
// shared memory costs where nobody is asked.
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
#include "tools/bench/bench.h"

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

// An arena of the broker, attached in this process.
class AttachedArena {
 public:
  static Result<std::shared_ptr<AttachedArena>> open(const std::string& socket) {
    auto arena = std::make_shared<AttachedArena>();
    uarena_attr attr{UARENA_MAP_TYPE_ARENA, 0, 0, kPages, UARENA_F_MMAPABLE, 0};
    int error = uarena_connect(socket.c_str(), &arena->conn_);
    if (error == 0) error = uarena_create(arena->conn_, "bench.fault", &attr, &arena->info_);
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

Work served(const char* name, const char* what, const std::string& socket, const Order& order,
            unsigned threads) {
  return {name,
          what,
          "ns/page",
          "lower",
          "memfd",
          [=]() -> Result<Pair> {
            auto arena = AttachedArena::open(socket);
            if (!arena) return std::unexpected(arena.error());
            return Pair{[=, a = *arena] { return a->round(order, threads); },
                        [=] { return plain_round(order, threads); }};
          },
          true};
}

}  // namespace

std::vector<Work> page_works(const std::string& socket) {
  return {
      served("fault.served.seq", "a client touches absent pages in ascending order", socket,
             ascending(), 1),
      served("fault.served.random", "a client touches absent pages anywhere in 4 GiB", socket,
             anywhere(), 1),
      served("fault.served.2threads", "two threads of a client touch absent pages", socket,
             ascending(), 2),
  };
}

}  // namespace uarena::bench
