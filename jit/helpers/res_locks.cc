// bpf_res_spin_lock: a lock whose taking may fail, so that programs can hold several in any order.
// As in the kernel, asking again for one that the run holds is -EDEADLK (AA), so is waiting for one
// whose holder waits for one that the run holds (ABBA), and waiting has an end after 250 ms. The
// word lies in a map's value; the verifier has seen to that.
//
// A run that holds such locks is an owner: it has a number, which is what stands in the words of
// its locks, and under it says for which word it waits. So who waits finds out by whom, and for
// what that one waits, without looking at anything of another run's that may go meanwhile.
#include <sched.h>

#include <atomic>

#include "jit/helpers/functions.h"
#include "jit/helpers/program_memory.h"
#include "jit/turns.h"

namespace uarena::jit::helpers {
namespace {

constexpr uint64_t kWaitNs = 250'000'000;  // RES_DEF_TIMEOUT
constexpr int kSpins = 100;                // between looks at the clock

// More than there are threads that run programs; whoever finds none free has no number of its own,
// and its cycles are found out by the time they take.
constexpr uint32_t kOwners = 1024;
constexpr uint32_t kNobodyKnown = kOwners + 1;

struct alignas(64) Owner {  // each on a cache line of its own
  std::atomic<bool> taken{false};
  std::atomic<const uint32_t*> waits_for{nullptr};
};
Owner g_owners[kOwners];

uint32_t take_number() {
  for (uint32_t n = 0; n < kOwners; ++n)
    if (!g_owners[n].taken.load(std::memory_order_relaxed) &&
        !g_owners[n].taken.exchange(true, std::memory_order_acquire))
      return n + 1;
  return kNobodyKnown;
}

std::atomic<const uint32_t*>* waiting_place(uint32_t owner) {
  return owner != 0 && owner <= kOwners ? &g_owners[owner - 1].waits_for : nullptr;
}

void become_owner(RunContext* run) {
  if (run->resilient_held++ == 0) run->lock_owner = take_number();
}

void hold_one_less(RunContext* run) {
  if (--run->resilient_held != 0) return;
  if (run->lock_owner <= kOwners)
    g_owners[run->lock_owner - 1].taken.store(false, std::memory_order_release);
  run->lock_owner = 0;
}

bool try_take(std::atomic_ref<uint32_t> word, const RunContext* run) {
  uint32_t free = 0;
  return word.compare_exchange_strong(free, run->lock_owner);
}

void unlock(void* word, RunContext* run) {
  std::atomic_ref(*static_cast<uint32_t*>(word)).store(0);
  hold_one_less(run);
}

// Whether the one who holds the word waits for one that this run holds. Looked at again at the end:
// it may have let go of the word before it began to wait.
bool is_cycle(std::atomic_ref<uint32_t> word, const RunContext* run) {
  const uint32_t holder = word.load();
  const auto* place = waiting_place(holder);
  if (place == nullptr || holder == run->lock_owner) return false;
  const uint32_t* wanted = place->load();
  return wanted != nullptr && run->held.holds(wanted) && word.load() == holder;
}

// 0, -EDEADLK, or -ETIMEDOUT.
int64_t wait_for(std::atomic_ref<uint32_t> word, RunContext* run) {
  uint64_t started_ns = 0;
  while (true) {
    for (int n = 0; n < kSpins; ++n) {
      if (try_take(word, run)) return 0;
      __builtin_ia32_pause();
    }
    if (is_cycle(word, run)) return -EDEADLK;
    const uint64_t now = monotonic_ns();
    if (started_ns == 0) started_ns = now;
    if (now - started_ns >= kWaitNs || !run_may_wait(run)) return -ETIMEDOUT;
    ::sched_yield();
  }
}

int64_t take(uint32_t* word, RunContext* run) {
  const std::atomic_ref target(*word);
  if (try_take(target, run)) return 0;
  auto* const place = waiting_place(run->lock_owner);
  if (place != nullptr) place->store(word);
  const int64_t answer = wait_for(target, run);
  if (place != nullptr) place->store(nullptr);
  return answer;
}

}  // namespace

// int bpf_res_spin_lock(struct bpf_res_spin_lock *lock)
uint64_t res_spin_lock(uint64_t lock, uint64_t, uint64_t, uint64_t, uint64_t, RunContext* run) {
  auto* word = pointer<uint32_t>(lock);
  if (run->held.holds(word)) return result(-EDEADLK);
  become_owner(run);
  const int64_t answer = take(word, run);
  if (answer == 0 && run->held.add(word, unlock)) return 0;
  if (answer == 0)
    unlock(word, run);
  else
    hold_one_less(run);
  return result(answer == 0 ? -ENOMEM : answer);
}

uint64_t res_spin_unlock(uint64_t lock, uint64_t, uint64_t, uint64_t, uint64_t, RunContext* run) {
  auto* word = pointer<uint32_t>(lock);
  run->held.remove(word);
  unlock(word, run);
  return 0;
}

}  // namespace uarena::jit::helpers
