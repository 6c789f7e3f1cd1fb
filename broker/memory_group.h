// How much memory the broker's control group allows, so that arenas never take all of it. Pages
// that the broker makes for clients are charged by the kernel to its own memory cgroup. At that
// group's limit nobody can be refused in an orderly way any more: the kernel kills the broker, or,
// where its killer is off, lets it sleep in the middle of anything; and a successor finds the group
// as full as it was. So the limit is read (memory.max and memory.high of v2, memory.stat of v1, by
// cgroups(7) and the kernel's cgroup-v2.rst), something is kept for the broker itself, and what is
// left is what arenas and maps may have (Account::OfTheBroker).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace uarena::broker {

// Where to look; a test gives it directories of its own.
struct MemoryGroupFiles {
  std::string cgroup = "/proc/self/cgroup";
  std::string v2 = "/sys/fs/cgroup";
  std::string v2_hybrid = "/sys/fs/cgroup/unified";
  std::string v1 = "/sys/fs/cgroup/memory";
};

// The lowest limit of this process's memory cgroup and those above it, in bytes; none: there is no
// limit, or no group that we can see.
std::optional<uint64_t> memory_group_limit(const MemoryGroupFiles& files = {});

// So many pages of such a group are for arenas and maps. The rest is for the broker's own memory
// and for what the kernel keeps for it: page tables and the index of memory files, about 1/100 of
// the pages, and stacks, code, sockets and the state of programs.
uint64_t pages_beside_broker(uint64_t group_bytes);

}  // namespace uarena::broker
