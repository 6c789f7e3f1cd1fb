// One check after the other, in the kernel's order (K2-K5): where two attributes are wrong, the
// errno is the kernel's. Each sentence says what came and what is allowed.
#include "broker/arena_attr.h"

#include <algorithm>

#include "ipc/abi.h"
#include "ipc/base/log.h"

namespace uarena::broker {

Result<void> check_attr_untrusted(const ArenaAttr& attr) {
  if (attr.map_type != kBpfMapTypeArena)
    return fail(EINVAL, "map_type is {}, allowed is {} (arena)", attr.map_type, kBpfMapTypeArena);
  if (attr.key_size != 0) return fail(EINVAL, "key_size is {}, allowed is 0", attr.key_size);
  if (attr.value_size != 0) return fail(EINVAL, "value_size is {}, allowed is 0", attr.value_size);
  if (attr.max_entries == 0)
    return fail(EINVAL, "max_entries is 0 pages, allowed are 1..{}", kMaxArenaPages);
  if ((attr.map_flags & kBpfFMmapable) == 0)
    return fail(EINVAL, "map_flags are {:#x}, they must contain BPF_F_MMAPABLE ({:#x})",
                attr.map_flags, kBpfFMmapable);
  if ((attr.map_flags & ~kArenaFlags) != 0)
    return fail(EINVAL,
                "map_flags contain {:#x}, allowed are BPF_F_MMAPABLE ({:#x}), BPF_F_SEGV_ON_FAULT "
                "({:#x}) and BPF_F_NO_USER_CONV ({:#x})",
                attr.map_flags & ~kArenaFlags, kBpfFMmapable, kBpfFSegvOnFault, kBpfFNoUserConv);
  if (!page_aligned(attr.map_extra))
    return fail(EINVAL, "map_extra is {:#x}, allowed are 0 and multiples of {}", attr.map_extra,
                kPageSize);
  const uint64_t size = uint64_t{attr.max_entries} * kPageSize;
  if (size > kMaxArenaSize)
    return fail(E2BIG, "max_entries is {} pages, allowed are 1..{} (4 GiB)", attr.max_entries,
                kMaxArenaPages);
  const uint64_t last = attr.map_extra + (size - 1);
  if ((attr.map_extra >> 32) != (last >> 32))
    return fail(
        ERANGE,
        "{} pages from map_extra {:#x} cross a multiple of 4 GiB, at most {} pages fit there",
        attr.max_entries, attr.map_extra,
        (kMaxArenaSize - (attr.map_extra & 0xffffffffU)) / kPageSize);
  return {};
}

Result<void> check_faulting_untrusted(const ArenaAttr& attr, const Faulting& faulting) {
  const bool segv_on_fault = (attr.map_flags & kBpfFSegvOnFault) != 0;
  if (faulting.way != FaultWay::served && faulting.way != FaultWay::direct)
    return fail(EINVAL, "fault is {}, allowed are 0 (served) and 1 (direct)",
                static_cast<unsigned>(faulting.way));
  if (faulting.way == FaultWay::direct && segv_on_fault)
    return fail(EINVAL,
                "fault is direct: the kernel would fill every page, but BPF_F_SEGV_ON_FAULT "
                "refuses faults");
  if (faulting.around <= 1) return {};
  if (faulting.way == FaultWay::direct)
    return fail(EINVAL, "fault-around is for served faults, and fault is direct");
  if (segv_on_fault)
    return fail(EINVAL,
                "fault-around is for faults that make pages, but BPF_F_SEGV_ON_FAULT refuses them");
  if (faulting.around > Faulting::kMostAround && faulting.around != Faulting::kAroundAuto)
    return fail(EINVAL, "fault-around is {} pages, allowed are 0..{} and auto", faulting.around,
                Faulting::kMostAround);
  return {};
}

Result<void> check_mappable(uint64_t user_vm_start, uint64_t size) {
  if (user_vm_start >= kUserAddressEnd || size > kUserAddressEnd - user_vm_start)
    return fail(ENOMEM, "no process can map {} bytes at {:#x}: addresses end at {:#x}", size,
                user_vm_start, kUserAddressEnd);
  return {};
}

Result<void> check_name_untrusted(std::string_view name) {
  constexpr size_t kLongest = UARENA_NAME_SIZE - 1;
  if (name.empty() || name.size() > kLongest)
    return fail(Why::usage, EINVAL, "the name has {} bytes, allowed are 1..{}", name.size(),
                kLongest);
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  };
  if (!std::ranges::all_of(name, allowed) || name == "." || name == "..")
    return fail(Why::usage, EINVAL,
                "\"{}\" is no name: allowed are letters, digits, '_', '.' and '-', but neither "
                "\".\" nor \"..\"",
                escaped(name));
  return {};
}

}  // namespace uarena::broker
