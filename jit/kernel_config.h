// What programs learn of the kernel when they ask for its configuration (`extern ... __kconfig`).
// Here "the kernel" is this broker on this machine: numbers of the machine are the running
// kernel's, what the answer promises of BPF is what uarena does.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace uarena::jit {

// The rate of bpf_jiffies64(), which is what CONFIG_HZ is for.
inline constexpr uint64_t kJiffiesPerSecond = 250;

struct ConfigValue {
  bool is_yes = false;  // =y; otherwise a number
  uint64_t number = 0;
};

// Nothing: not known. `name` is CONFIG_... or LINUX_....
std::optional<ConfigValue> kernel_config(std::string_view name);

}  // namespace uarena::jit
