// bpf_res_spin_lock: a lock whose taking may fail, so that programs can hold several in any order.
// As in the kernel, asking again for one that the run holds is -EDEADLK, and waiting has an end
// after 250 ms. (A cycle of two runs that wait for each other, which the kernel recognises, is
// found out by that.) The word lies in a map's value; the verifier has seen to that.
#include <sched.h>

#include <atomic>

#include "jit/helpers/functions.h"
#include "jit/helpers/program_memory.h"
#include "jit/turns.h"

namespace uarena::jit::helpers {
namespace {

constexpr uint64_t kWaitNs = 250'000'000;  // RES_DEF_TIMEOUT
constexpr int kSpins = 100;                // between looks at the clock

bool try_lock(std::atomic_ref<uint32_t> word) {
  uint32_t free = 0;
  return word.compare_exchange_strong(free, 1, std::memory_order_acquire);
}

void unlock(void* word, RunContext*) {
  std::atomic_ref(*static_cast<uint32_t*>(word)).store(0, std::memory_order_release);
}

// 0, or -ETIMEDOUT.
int64_t wait_for(std::atomic_ref<uint32_t> word, RunContext* run) {
  uint64_t started_ns = 0;
  while (true) {
    for (int n = 0; n < kSpins; ++n) {
      if (try_lock(word)) return 0;
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
  auto* word = pointer<uint32_t>(lock);
  if (run->held.holds(word)) return result(-EDEADLK);
  if (!run->held.add(word, unlock)) return result(-ENOMEM);
  const int64_t answer = wait_for(std::atomic_ref(*word), run);
  if (answer != 0) run->held.remove(word);
  return result(answer);
}

uint64_t res_spin_unlock(uint64_t lock, uint64_t, uint64_t, uint64_t, uint64_t, RunContext* run) {
  auto* word = pointer<uint32_t>(lock);
  run->held.remove(word);
  unlock(word, run);
  return 0;
}

}  // namespace uarena::jit::helpers
