// Timers, by whoever runs callbacks later (jit/timers.h).
#include "jit/timers.h"

#include "jit/helpers/functions.h"

namespace uarena::jit::helpers {

// long bpf_timer_init(struct bpf_timer *timer, struct bpf_map *map, u64 flags)
uint64_t timer_init(uint64_t timer, uint64_t map, uint64_t flags, uint64_t, uint64_t,
                    RunContext* run) {
  if (run->timers == nullptr) return result(-EOPNOTSUPP);
  return result(
      run->timers->init(pointer<std::byte>(timer), *pointer<const BoundMap>(map), flags, *run));
}

// long bpf_timer_set_callback(struct bpf_timer *timer, void *callback_fn)
uint64_t timer_set_callback(uint64_t timer, uint64_t callback, uint64_t, uint64_t, uint64_t,
                            RunContext* run) {
  if (run->timers == nullptr) return result(-EINVAL);
  return result(
      run->timers->set_callback(pointer<std::byte>(timer), static_cast<uint32_t>(callback), *run));
}

// long bpf_timer_start(struct bpf_timer *timer, u64 nsecs, u64 flags)
uint64_t timer_start(uint64_t timer, uint64_t ns, uint64_t flags, uint64_t, uint64_t,
                     RunContext* run) {
  if (run->timers == nullptr) return result(-EINVAL);
  return result(run->timers->start(pointer<std::byte>(timer), ns, flags, *run));
}

// long bpf_timer_cancel(struct bpf_timer *timer)
uint64_t timer_cancel(uint64_t timer, uint64_t, uint64_t, uint64_t, uint64_t, RunContext* run) {
  if (run->timers == nullptr) return result(-EINVAL);
  return result(run->timers->cancel(pointer<std::byte>(timer), *run));
}

}  // namespace uarena::jit::helpers
