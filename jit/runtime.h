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
#include "jit/held.h"
#include "jit/object.h"

namespace uarena::jit {

class Executable;
class FaultReports;
class Map;
class RingBuffer;
class TraceLog;
class Timers;
struct OwnPointers;

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
  // The bytes that a program may get pointers into. Internal maps: at least value_size of them.
  std::byte* value = nullptr;
  uint64_t value_bytes = 0;
  uint32_t key_size = 0;
  uint32_t value_size = 0;
  uint32_t max_entries = 0;
  bool read_only = false;        // .rodata: the verifier rejects stores
  std::vector<MapField> fields;  // parts of a value that only functions may touch
  Map* map = nullptr;            // maps with elements
  RingBuffer* ring = nullptr;    // ring buffers
  void* owner = nullptr;         // arena: the broker's Arena
};

// For whom a program runs: what it gets as the current task.
struct Caller {
  uint32_t pid = 0;  // of the process, in the broker's pid namespace
  uint32_t uid = 0;
  uint32_t gid = 0;
  char comm[16] = {};
};

// Turns of loops until the clock is read: about 100 us of a tight loop. The kernel's number (K54).
inline constexpr uint64_t kTurns = 0xffff;

// One run. Lives on the runner's stack.
struct RunContext {
  static constexpr uint32_t kNowhere = ~uint32_t{0};

  const ArenaView* arena = nullptr;     // null: the program has none
  const Executable* program = nullptr;  // that runs: for functions that call back
  const Caller* caller = nullptr;       // null: this process itself
  TraceLog* log = nullptr;              // null: what is printed is dropped
  TraceLog* out = nullptr;              // of bpf_stream_vprintk: stdout, stderr; null: no stream
  TraceLog* err = nullptr;
  FaultReports* reports = nullptr;  // null: accesses to absent pages are only counted
  Timers* timers = nullptr;         // null: none can be made
  const void* owner = nullptr;      // for whoever made `timers`: whose program it is
  std::span<std::byte> ctx;         // what R1 points to
  std::atomic<uint64_t> faults{0};  // accesses to absent pages, loads and stores
  bool may_goto_expired = false;    // a may_goto ran into its 250 ms, or into the run's limit
  uint32_t may_goto_at = kNowhere;  // the first that did, an instruction
  uint64_t turns_after_limit = 0;   // of may_gotos, after the run's limit

  // What bounds the run (turns.h). While compiled code runs, the number is in a register.
  uint64_t turns_left = kTurns;
  uint64_t started_ns = 0;  // 0: the clock was not read yet
  uint64_t limit_ns = 10'000'000'000;
  // Becomes true when nobody waits for the result any more: the run is then over its limit.
  const std::atomic<bool>* cancelled = nullptr;
  bool ended = false;            // in the middle, before its exit
  uint32_t ended_at = kNowhere;  // the instruction
  // Compiled code: the stack pointer of the innermost entry, where a run that ends continues.
  void* leave_sp = nullptr;
  unsigned frames = 0;  // interpreter: calls under way
  // Of the call that is made, for functions that follow pointers; null: none is the program's own.
  const OwnPointers* own_pointers = nullptr;

  uint32_t preempt_depth = 0;
  uint32_t irq_depth = 0;
  uint32_t rcu_depth = 0;

  Held held;
  uint32_t lock_owner = 0;  // as whom it holds resilient locks (helpers/res_locks.cc); 0: nobody
  uint32_t resilient_held = 0;  // how many

  // The CPU that the program sees: the one where it first asked.
  unsigned current_cpu();
  int cpu = -1;  // not asked yet

  void end(uint32_t insn) {
    ended = true;
    if (ended_at == kNowhere) ended_at = insn;
  }
};

}  // namespace uarena::jit
