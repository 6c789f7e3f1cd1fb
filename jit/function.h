// What the verifier has to know of a function that programs can call, and where it is. Helpers are
// called by number, kernel functions by name; both are rows of one catalogue (catalogue.h). The
// kinds of arguments and results are those of the kernel's own prototypes, under shorter names.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace uarena::jit {

struct RunContext;

// Arguments are R1..R5, the result is R0; the signature is the same in compiled code and in the
// interpreter. Never throws; may block only on locks of its own.
using HelperFn = uint64_t (*)(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5,
                              RunContext* run);

enum class ArgKind : uint8_t {
  none,            // not an argument: the register's content does not matter
  anything,        // any number, also an arena pointer; no address of the broker (K72)
  followed,        // the same, or a pointer of the program's own (own_pointers.h)
  printed,         // the same, behind a format (R1) that need not want it: may not be there at all
  scalar,          // a number
  arena,           // an arena pointer or a number (K45, `__ign`)
  map_arena,       // pointer to an arena map (K45)
  map,             // pointer to a map of the kinds in FunctionDesc::maps
  map_key,         // initialised memory of the map argument's key_size
  map_value,       // initialised memory of its value_size
  mem,             // initialised memory; its size is the next argument
  mem_or_null,     // the same, or NULL with a size of 0
  values_or_null,  // the same, in 64-bit values, each of which may be `followed`
  uninit_mem,      // memory that the function fills; its size is the next argument
  size,            // bytes of the argument before, at least 1
  size_or_zero,    // bytes of the argument before
  constant_size,   // a number known when the program is verified: the size of the result
  ctx,             // the program's context
  const_string,    // a string with its NUL in a read-only map
  spin_lock,       // a bpf_spin_lock inside a map value
  res_spin_lock,   // a bpf_res_spin_lock inside a map value or the arena
  timer,           // a bpf_timer inside a map value
  callback,        // a subprogram (ld_imm64 of a function)
  stack_or_null,   // what a callback gets: a stack pointer or NULL
  iter_num,        // a struct bpf_iter_num on the stack
  irq_flags,       // eight bytes on the stack that hold saved interrupt flags
  ringbuf_record,  // a record that bpf_ringbuf_reserve gave; released by the call
};

enum class RetKind : uint8_t {
  void_,
  scalar,
  cpu,                     // the number of a CPU of this machine
  length_or_error,         // at most the size argument; negative: an errno
  map_value_or_null,       // of the map argument
  cpu_value_or_null,       // the same, of a CPU that the program names
  ringbuf_record_or_null,  // acquired: must be released; its size is the constant_size argument
  iter_value_or_null,      // const int *, or NULL when the iterator is drained
};

// What a call does beside its arguments and its result.
enum class Effect : uint8_t {
  none,
  rcu_lock,
  rcu_unlock,
  preempt_disable,
  preempt_enable,
  irq_save,     // the flags become valid
  irq_restore,  // and are used up
  lock,         // the lock in argument 1 is held now
  unlock,
  try_lock,    // held where the result is 0
  try_unlock,  // the counterpart: bpf_res_spin_unlock
  iter_new,
  iter_next,
  iter_destroy,
  calls_back,     // runs the callback argument before it returns, any number of times
  for_each,       // the same, for each element of the map argument
  sets_callback,  // the callback runs later, on its own
  ends_program,
};

// Map kinds that an ArgKind::map takes, as bits.
enum MapKinds : uint16_t {
  kMapsArray = 1,     // array
  kMapsPercpu = 2,    // per-CPU array
  kMapsHash = 4,      // hash, LRU hash
  kMapsRingbuf = 8,   // ring buffer
  kMapsElements = 7,  // all with keys and values
};

struct FunctionDesc {
  std::string_view name;
  ArgKind args[5] = {ArgKind::none, ArgKind::none, ArgKind::none, ArgKind::none, ArgKind::none};
  RetKind ret = RetKind::scalar;
  Effect effect = Effect::none;
  int32_t helper = 0;       // its number; 0: a kernel function, called by name
  uint16_t maps = 0;        // for ArgKind::map
  bool sleepable = false;   // not inside RCU, preemption, interrupt or lock sections (K42)
  bool under_lock = false;  // allowed while a bpf_spin_lock is held
  // It gets pointers of the program's own as numbers (own_pointers.h).
  bool follows_pointers = false;
  HelperFn function = nullptr;  // null: known, but not offered
};

// Whether the run may have ended (turns.h) when the function returns: it runs subprograms, or
// waits.
inline bool may_end_run(const FunctionDesc& function) {
  switch (function.effect) {
    case Effect::calls_back:
    case Effect::for_each:
    case Effect::lock:
    case Effect::try_lock:
      return true;
    default:
      return false;
  }
}

// The functions an object may call.
struct CallTable {
  std::vector<const FunctionDesc*> kfuncs;   // in the order of Object::kfuncs; null: not offered
  std::vector<const FunctionDesc*> helpers;  // by number; short or null: not offered

  const FunctionDesc* kfunc(int32_t index) const { return at(kfuncs, index); }
  const FunctionDesc* helper(int32_t number) const { return at(helpers, number); }

 private:
  static const FunctionDesc* at(const std::vector<const FunctionDesc*>& all, int32_t n) {
    return n >= 0 && static_cast<size_t>(n) < all.size() ? all[static_cast<size_t>(n)] : nullptr;
  }
};

}  // namespace uarena::jit
