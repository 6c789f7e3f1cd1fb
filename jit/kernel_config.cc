// A table of names, each with the question that answers it.
#include "jit/kernel_config.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "ipc/base/page.h"

namespace uarena::jit {
namespace {

// KERNEL_VERSION(major, minor, patch): the patch level has eight bits.
uint64_t kernel_version() {
  utsname running{};
  unsigned major = 0, minor = 0, patch = 0;
  if (::uname(&running) != 0 ||
      std::sscanf(running.release, "%u.%u.%u", &major, &minor, &patch) < 2)
    return 0;
  return uint64_t{major} << 16 | minor << 8 | std::min(patch, 255u);
}

// The highest number that a CPU can have, plus one: arrays of CONFIG_NR_CPUS elements are indexed
// by bpf_get_smp_processor_id().
uint64_t cpu_limit() {
  std::ifstream file("/sys/devices/system/cpu/kernel_max");
  if (uint64_t last = 0; file >> last) return last + 1;
  return static_cast<uint64_t>(std::max(::sysconf(_SC_NPROCESSORS_CONF), 1L));
}

struct Row {
  std::string_view name;
  uint64_t (*number)();  // null: y
};

constexpr Row kRows[] = {
    {"CONFIG_64BIT", nullptr},
    {"CONFIG_BPF", nullptr},
    {"CONFIG_BPF_JIT", nullptr},
    {"CONFIG_BPF_JIT_ALWAYS_ON", nullptr},
    {"CONFIG_BPF_SYSCALL", nullptr},
    {"CONFIG_HZ", [] { return kJiffiesPerSecond; }},
    {"CONFIG_MMU", nullptr},
    {"CONFIG_NR_CPUS", cpu_limit},
    {"CONFIG_PAGE_SHIFT", [] { return uint64_t{kPageShift}; }},
    {"CONFIG_SMP", nullptr},
    {"CONFIG_X86", nullptr},
    {"CONFIG_X86_64", nullptr},
    {"LINUX_KERNEL_VERSION", kernel_version},
};

}  // namespace

std::optional<ConfigValue> kernel_config(std::string_view name) {
  const auto* row = std::ranges::find(kRows, name, &Row::name);
  if (row == std::end(kRows)) return std::nullopt;
  if (row->number == nullptr) return ConfigValue{true, 1};
  return ConfigValue{false, row->number()};
}

}  // namespace uarena::jit
