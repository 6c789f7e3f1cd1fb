// bpf_res_spin_lock: a lock whose taking may fail, so that programs can hold several in any order.
// As in the kernel, asking again for one that the run holds is -EDEADLK, and waiting has an end
// after 250 ms. (A cycle of two runs that wait for each other, which the kernel recognises, is
// found out by that.) The word may lie in the arena, whose page a client can take away at any
// moment.
#include <sched.h>

#include <atomic>

#include "jit/fault_safe.h"
#include "jit/helpers/functions.h"
#include "jit/helpers/program_memory.h"
#include "jit/isa.h"
#include "jit/turns.h"

namespace uarena::jit::helpers {
namespace {

constexpr uint64_t kWaitNs = 250'000'000;  // RES_DEF_TIMEOUT
constexpr int kSpins = 100;                // between looks at the clock

enum class Try { taken, busy, absent };

// A lock in the arena is known by its address in the kernel view, as is one in a map by its own.
uint64_t place_of(uint64_t lock, const RunContext* run) {
  return is_arena_address(run->arena, lock)
             ? run->arena->kern_vm_start + static_cast<uint32_t>(lock)
             : lock;
}

bool in_arena(uint64_t place, const RunContext* run) {
  return run->arena != nullptr && place - run->arena->kern_vm_start < uint64_t{1} << 32;
}

Try try_lock(uint64_t place, const RunContext* run) {
  if (!in_arena(place, run)) {
    uint32_t expected = 0;
    return std::atomic_ref(*pointer<uint32_t>(place)).compare_exchange_strong(expected, 1)
               ? Try::taken
               : Try::busy;
  }
  uint64_t desired = 1;
  uint64_t expected = 0;
  const uint64_t ptr = place - run->arena->kern_vm_start;
  if (!atomic_arena(*run->arena, ptr, 0, 4, kCmpxchg, &desired, &expected)) return Try::absent;
  return expected == 0 ? Try::taken : Try::busy;
}

void unlock(void* what, RunContext* run) {
  const auto place = reinterpret_cast<uint64_t>(what);
  if (in_arena(place, run))
    store_arena(*run->arena, place - run->arena->kern_vm_start, 0, 4, 0);
  else
    std::atomic_ref(*static_cast<uint32_t*>(what)).store(0, std::memory_order_release);
}

// 0, or -ETIMEDOUT; -EFAULT where there is no page.
int64_t wait_for(uint64_t place, RunContext* run) {
  uint64_t started_ns = 0;
  while (true) {
    for (int n = 0; n < kSpins; ++n) {
      const Try tried = try_lock(place, run);
      if (tried == Try::taken) return 0;
      if (tried == Try::absent) return -EFAULT;
      __builtin_ia32_pause();
    }
    const uint64_t now = monotonic_ns();
    if (started_ns == 0) started_ns = now;
    if (now - started_ns >= kWaitNs || !run_may_wait(run)) return -ETIMEDOUT;
    ::sched_yield();
  }
}

}  // namespace

// int bpf_res_spin_lock(struct bpf_res_spin_lock *lock)
uint64_t res_spin_lock(uint64_t lock, uint64_t, uint64_t, uint64_t, uint64_t, RunContext* run) {
  const uint64_t place = place_of(lock, run);
  auto* what = pointer<void>(place);
  if (run->held.holds(what)) return result(-EDEADLK);
  if (!run->held.add(what, unlock)) return result(-ENOMEM);
  const int64_t answer = wait_for(place, run);
  if (answer != 0) run->held.remove(what);
  return result(answer);
}

uint64_t res_spin_unlock(uint64_t lock, uint64_t, uint64_t, uint64_t, uint64_t, RunContext* run) {
  auto* what = pointer<void>(place_of(lock, run));
  run->held.remove(what);
  unlock(what, run);
  return 0;
}

}  // namespace uarena::jit::helpers
