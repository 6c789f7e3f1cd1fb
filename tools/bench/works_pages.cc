// Page faults: a client touches absent pages one after the other. The peer is the live kernel's
// bpf_arena, mapped in this process, touched in the same way.
#include <sys/mman.h>
#include <uarena.h>

#include "tests/support/kernel_loader.h"
#include "tools/bench/bench.h"

namespace uarena::bench {
namespace {

constexpr uint32_t kPages = 2048;

double touch_all(volatile char* base) {
  const uint64_t start = now_ns();
  for (uint32_t page = 0; page < kPages; ++page) base[page * kPageSize] = 1;
  return static_cast<double>(now_ns() - start) / kPages;
}

// An arena of the broker, attached in this process; every round frees its pages again.
class ServedArena {
 public:
  static Result<std::shared_ptr<ServedArena>> open(const std::string& socket) {
    auto arena = std::make_shared<ServedArena>();
    uarena_attr attr{UARENA_MAP_TYPE_ARENA, 0, 0, kPages, UARENA_F_MMAPABLE, 0};
    int error = uarena_connect(socket.c_str(), &arena->conn_);
    if (error == 0) error = uarena_create(arena->conn_, "bench.fault", &attr, &arena->info_);
    if (error == 0) error = uarena_attach(arena->conn_, arena->info_.id, 0, &arena->base_);
    if (error != 0) return fail(-error, "{}", uarena_error());
    return arena;
  }
  ~ServedArena() {
    if (base_ != nullptr) uarena_detach(conn_, info_.id);
    if (info_.id != 0) uarena_delete(conn_, info_.id);
    uarena_close(conn_);
  }
  Result<double> round() {
    const double ns = touch_all(static_cast<volatile char*>(base_));
    if (const int error = uarena_free(conn_, info_.id, base_, kPages); error != 0)
      return fail(-error, "{}", uarena_error());
    return ns;
  }

 private:
  uarena_conn* conn_ = nullptr;
  uarena_info info_{};
  void* base_ = nullptr;
};

// The kernel frees pages only for programs, so every round has an arena of its own.
Result<double> kernel_round() {
  testing::KernelMapAttr attr;
  attr.max_entries = kPages;
  auto fd = testing::create_kernel_map(attr);
  if (!fd) return std::unexpected(fd.error());
  auto map = MemoryMap::create(nullptr, kPages * kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED,
                               fd->get(), 0, "the kernel's arena");
  if (!map) return std::unexpected(map.error());
  return touch_all(reinterpret_cast<volatile char*>(map->data()));
}

}  // namespace

std::vector<Work> page_works(const std::string& socket) {
  return {{"fault.served.seq", "a client touches absent pages in ascending order", "ns/page",
           "lower", "bpf_arena", [socket]() -> Result<Pair> {
             auto arena = ServedArena::open(socket);
             if (!arena) return std::unexpected(arena.error());
             return Pair{[arena = *arena] { return arena->round(); }, kernel_round};
           }}};
}

}  // namespace uarena::bench
