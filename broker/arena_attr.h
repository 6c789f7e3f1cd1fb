// The attributes of a new arena come from a client as five raw numbers. They are checked as the
// kernel checks those of bpf(BPF_MAP_CREATE), in its order and with its errnos (K2-K5), so that a
// program that probes what is allowed gets the same answers from both.
//
// map_extra is not checked for being an address that a process could map: the kernel accepts
// 0xfffffffffffff000 as well (K3), and BPF programs can use such an arena, since only the low 32
// bits reach the kernel view. Who wants to attach asks check_mappable, whose ENOMEM is what mmap(2)
// with MAP_FIXED says there.
#pragma once

#include <cstdint>
#include <string_view>

#include "broker/arena.h"
#include "ipc/base/result.h"

namespace uarena::broker {

// The flags that an arena may have; kBpfFMmapable it must have (K2).
inline constexpr uint32_t kArenaFlags = kBpfFMmapable | kBpfFSegvOnFault | kBpfFNoUserConv;

// The end of the addresses that a process can map without asking for more than 47 bits; the last
// page below 2^47 is never mapped on x86-64.
inline constexpr uint64_t kUserAddressEnd = (uint64_t{1} << 47) - kPageSize;

// EINVAL, E2BIG or ERANGE as the kernel says them; after success the attributes may be trusted.
Result<void> check_attr_untrusted(const ArenaAttr& attr);

// How its clients' faults are to be answered; `attr` has been checked. EINVAL: not in such an
// arena, or a number of pages that is not allowed.
Result<void> check_faulting_untrusted(const ArenaAttr& attr, const Faulting& faulting);

// ENOMEM when no process can map [user_vm_start, user_vm_start + size).
Result<void> check_mappable(uint64_t user_vm_start, uint64_t size);

// Names of arenas and programs: 1..63 bytes of [A-Za-z0-9_.-] (abi.h), but neither "." nor "..",
// since they become names of files. EINVAL otherwise.
Result<void> check_name_untrusted(std::string_view name);

}  // namespace uarena::broker
