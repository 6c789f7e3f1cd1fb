#include "jit/helpers/locks.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <ctime>

#include "jit/helpers/functions.h"
#include "jit/turns.h"

namespace uarena::jit {
namespace {

constexpr int kSpins = 200;  // about 5 us: longer than a holder usually needs
constexpr timespec kSleep{.tv_sec = 0, .tv_nsec = 10'000'000};  // then the run's limit is looked at

void futex(uint32_t* word, int operation, uint32_t value, const timespec* limit) {
  ::syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, limit, nullptr, 0);
}

}  // namespace

bool lock_word(uint32_t* word, RunContext* run) {
  std::atomic_ref lock(*word);
  for (int n = 0; n < kSpins; ++n) {
    uint32_t expected = 0;
    if (lock.compare_exchange_weak(expected, 1, std::memory_order_acquire)) return true;
    __builtin_ia32_pause();
  }
  while (lock.exchange(2, std::memory_order_acquire) != 0) {
    if (!run_may_wait(run)) return false;
    futex(word, FUTEX_WAIT, 2, &kSleep);
  }
  return true;
}

void unlock_word(uint32_t* word) {
  if (std::atomic_ref(*word).exchange(0, std::memory_order_release) == 2)
    futex(word, FUTEX_WAKE, 1, nullptr);
}

namespace helpers {

// void bpf_spin_lock(struct bpf_spin_lock *lock). That a program holds one at most, and never asks
// for it twice, is the verifier's. A run that waits in vain until its limit ends here.
uint64_t spin_lock(uint64_t lock, uint64_t, uint64_t, uint64_t, uint64_t, RunContext* run) {
  auto* word = pointer<uint32_t>(lock);
  if (!lock_word(word, run)) {
    run->end(RunContext::kNowhere);
    return 0;
  }
  run->held.add(
      word, [](void* what, RunContext*) { unlock_word(static_cast<uint32_t*>(what)); }, true);
  return 0;
}

uint64_t spin_unlock(uint64_t lock, uint64_t, uint64_t, uint64_t, uint64_t, RunContext* run) {
  run->held.remove(pointer<void>(lock));
  unlock_word(pointer<uint32_t>(lock));
  return 0;
}

}  // namespace helpers
}  // namespace uarena::jit
