// What the live kernel wants to know about types: the object's own BTF in a form that the kernel
// accepts, and the numbers of the kernel's functions.
#pragma once

#include <optional>
#include <string>

#include "ipc/base/fd.h"
#include "ipc/base/result.h"
#include "jit/object.h"

namespace uarena::testing {

// Loads object.btf (BPF_BTF_LOAD). The kernel refuses parts that only the compiler and the linker
// understand, so those are neutralised first; types keep their ids.
Result<Fd> load_btf_into_kernel(const jit::Object& object);

// The types of a map's keys and values in object.btf; 0 where it declares none.
struct KernelMapTypes {
  uint32_t key = 0;
  uint32_t value = 0;
};
KernelMapTypes map_types(const jit::Object& object, const std::string& map);

// The id of a function of the kernel, from /sys/kernel/btf/vmlinux, which is read once per process.
std::optional<uint32_t> kernel_function_id(const std::string& name);

}  // namespace uarena::testing
