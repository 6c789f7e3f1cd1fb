// One function per kind; what kinds have in common is asked with small questions below.
#include "jit/loader/map_limits.h"

#include <linux/bpf.h>

#include <algorithm>
#include <bit>

#include "ipc/base/page.h"

namespace uarena::jit {
namespace {

// Flags that say who may use a map from where; programs of one object are not kept apart by them.
constexpr uint32_t kAccessFlags =
    BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG;
// An element of a per-CPU array may be as large as the kernel's per-CPU unit.
constexpr uint32_t kMaxPercpuValue = 32768;
// The kernel allocates a hash element with kmalloc, which gives at most 4 MiB; this much of it is
// its own header.
constexpr uint64_t kMaxHashElement = (uint64_t{4} << 20) - 64;
constexpr uint32_t kMaxRingPages = 1u << 19;  // 2 GiB

class Limits {
 public:
  explicit Limits(MapDef& def) : def_(def) {}

  Result<void> check() {
    switch (def_.kind) {
      case MapKind::array:
        return check_array(BPF_F_NUMA_NODE | BPF_F_MMAPABLE | BPF_F_INNER_MAP);
      case MapKind::percpu_array:
        if (auto done = check_array(0); !done) return done;
        if (def_.value_size > kMaxPercpuValue)
          return refuse(E2BIG, "has values of {} bytes: allowed are at most {} per CPU",
                        def_.value_size, kMaxPercpuValue);
        return {};
      case MapKind::hash:
      case MapKind::lru_hash:
        return check_hash();
      case MapKind::ringbuf:
        return check_ringbuf();
      default:
        return {};
    }
  }

 private:
  Result<void> check_array(uint32_t flags) const {
    if (def_.key_size != sizeof(uint32_t))
      return refuse(EINVAL, "has keys of {} bytes: an array's have {}", def_.key_size,
                    sizeof(uint32_t));
    if (auto done = check_elements(); !done) return done;
    return check_flags(flags);
  }

  Result<void> check_hash() const {
    if (def_.key_size == 0) return refuse(EINVAL, "has keys of 0 bytes");
    if (auto done = check_elements(); !done) return done;
    if (uint64_t{def_.key_size} + def_.value_size > kMaxHashElement)
      return refuse(E2BIG, "has elements of {} bytes: allowed are at most {}",
                    uint64_t{def_.key_size} + def_.value_size, kMaxHashElement);
    // Elements of an LRU map are made in advance, there and here.
    const bool lru = def_.kind == MapKind::lru_hash;
    if (lru && (def_.map_flags & BPF_F_NO_PREALLOC) != 0)
      return refuse(ENOTSUP, "is an LRU hash with BPF_F_NO_PREALLOC");
    return check_flags(BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | BPF_F_ZERO_SEED |
                       (lru ? BPF_F_NO_COMMON_LRU : 0));
  }

  Result<void> check_ringbuf() {
    if (def_.key_size != 0 || def_.value_size != 0)
      return refuse(EINVAL, "is a ring buffer and has keys or values: expected neither");
    if (def_.max_entries == 0) return refuse(EINVAL, "has max_entries 0");
    const uint64_t pages = (uint64_t{def_.max_entries} + kPageSize - 1) / kPageSize;
    if (std::bit_ceil(pages) > kMaxRingPages)
      return refuse(E2BIG, "is a ring buffer of {} bytes: allowed are at most {}", def_.max_entries,
                    uint64_t{kMaxRingPages} * kPageSize);
    def_.max_entries = static_cast<uint32_t>(std::bit_ceil(pages) * kPageSize);
    return check_flags(BPF_F_NUMA_NODE);
  }

  Result<void> check_elements() const {
    if (def_.max_entries == 0) return refuse(EINVAL, "has max_entries 0");
    if (def_.value_size == 0) return refuse(EINVAL, "has values of 0 bytes");
    if (def_.value_size > INT32_MAX)
      return refuse(E2BIG, "has values of {} bytes: allowed are at most {}", def_.value_size,
                    INT32_MAX);
    return {};
  }

  Result<void> check_flags(uint32_t known) const {
    const uint32_t strange = def_.map_flags & ~(known | kAccessFlags);
    if (strange != 0)
      return refuse(EINVAL, "has the flags {:#x}, which maps of its type don't have", strange);
    for (const uint32_t both : {BPF_F_RDONLY | BPF_F_WRONLY, BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG})
      if ((def_.map_flags & both) == both)
        return refuse(EINVAL, "is read-only and write-only at once");
    return {};
  }

  template <typename... Args>
  std::unexpected<Error> refuse(int code, fmt::format_string<Args...> format,
                                Args&&... args) const {
    return fail(Why::rejected, code, "map '{}' {}", def_.name,
                fmt::format(format, std::forward<Args>(args)...));
  }

  MapDef& def_;
};

}  // namespace

Result<void> check_map_limits(MapDef& def) { return Limits(def).check(); }

}  // namespace uarena::jit
