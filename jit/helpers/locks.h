// The word of a bpf_spin_lock: 0 free, 1 held, 2 held and somebody may be asleep for it. Programs
// run at the same time on many threads, so it is a real lock; who waits longer sleeps in the
// kernel.
#pragma once

#include <cstdint>

#include "jit/runtime.h"

namespace uarena::jit {

// False: the run's time was over first; the lock is not held then.
bool lock_word(uint32_t* word, RunContext* run);
void unlock_word(uint32_t* word);

}  // namespace uarena::jit
