// What a program meets when it runs: the maps it was bound to, the functions it may call, and the
// context of one run. The compiled code, the interpreter and the kfuncs agree on the layouts here.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "jit/function.h"
#include "jit/object.h"

namespace uarena::jit {

// Where the pages of an arena are, as a program sees them. kern_vm_start + (u32)ptr + off is the
// address of every access (K48); [kern_vm_start - 32 KiB, kern_vm_start + 4 GiB + 32 KiB) is
// reserved, and absent pages in it raise SIGBUS or SIGSEGV.
struct ArenaView {
  uint64_t kern_vm_start = 0;
  uint64_t user_vm_start = 0;
  uint64_t size = 0;  // bytes
  bool no_user_conv = false;
};

// One map of a loaded object. Its address is what a program holds as a map pointer, so it must not
// move while programs exist.
struct BoundMap {
  MapKind kind = MapKind::other;
  std::string name;
  std::byte* value = nullptr;  // internal maps and arrays: the bytes, at least value_size * entries
  uint32_t value_size = 0;
  uint32_t max_entries = 0;
  bool read_only = false;  // .rodata: the verifier rejects stores
  void* owner = nullptr;   // arena: the broker's Arena
};

// One run. Lives on the runner's stack.
struct RunContext {
  const ArenaView* arena = nullptr;  // null: the program has none
  void* user = nullptr;              // whoever started the run
  std::atomic<uint64_t> faults{0};   // accesses to absent pages, loads and stores
  bool may_goto_expired = false;     // a may_goto ran into its 250 ms, or all into the run's limit
  // What bounds the run as a whole: loops of callers start callees' loops with 250 ms each.
  uint64_t may_goto_left = 0xffff;   // may_gotos of all frames until the clock is read
  uint64_t may_goto_started_ns = 0;  // 0: the clock was not read yet
  uint64_t may_goto_limit_ns = 10'000'000'000;
  // Becomes true when nobody waits for the result any more: all loops end as if their time was
  // over.
  const std::atomic<bool>* cancelled = nullptr;
};

}  // namespace uarena::jit
