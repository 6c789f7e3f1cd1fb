// Sections in which a kernel program is not to be interrupted. Here a program is a thread of a
// process: nothing that it shares with others is touched by interrupts, and memory that it holds a
// pointer to stays, so the sections only count how deep they are. What of them matters, that each
// is left again and what may not be called inside, is the verifier's.
#include "jit/helpers/functions.h"

namespace uarena::jit::helpers {

uint64_t preempt_disable(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, RunContext* run) {
  ++run->preempt_depth;
  return 0;
}

uint64_t preempt_enable(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, RunContext* run) {
  --run->preempt_depth;
  return 0;
}

// void bpf_local_irq_save(unsigned long *flags): the depth is what there is to save.
uint64_t irq_save(uint64_t flags, uint64_t, uint64_t, uint64_t, uint64_t, RunContext* run) {
  *pointer<uint64_t>(flags) = run->irq_depth++;
  return 0;
}

uint64_t irq_restore(uint64_t flags, uint64_t, uint64_t, uint64_t, uint64_t, RunContext* run) {
  run->irq_depth = static_cast<uint32_t>(*pointer<uint64_t>(flags));
  return 0;
}

uint64_t rcu_read_lock(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, RunContext* run) {
  ++run->rcu_depth;
  return 0;
}

uint64_t rcu_read_unlock(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, RunContext* run) {
  --run->rcu_depth;
  return 0;
}

}  // namespace uarena::jit::helpers
