// The slow half of may_goto: once per 65,535 iterations of a frame, and of a run.
#include "jit/may_goto.h"

#include <ctime>

namespace uarena::jit {
namespace {

constexpr uint64_t kLimitNs = 250'000'000;  // K54: NSEC_PER_SEC / 4

uint64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// The run's own limit. False: it is over, or nobody waits for the run.
bool run_goes_on(RunContext* run, uint64_t now) {
  if (run->may_goto_started_ns == 0) run->may_goto_started_ns = now;
  const bool cancelled =
      run->cancelled != nullptr && run->cancelled->load(std::memory_order_relaxed);
  const bool over = cancelled || now - run->may_goto_started_ns >= run->may_goto_limit_ns;
  if (over)
    run->may_goto_left = 1;
  else if (run->may_goto_left == 0)
    run->may_goto_left = RunContext().may_goto_left;
  return !over;
}

}  // namespace

bool may_goto_renew(MayGoto* state, RunContext* run) noexcept {
  const uint64_t now = now_ns();
  if (!run_goes_on(run, now)) {
    state->count = 1;
    run->may_goto_expired = true;
    return false;
  }
  if (state->count != 0) return true;
  if (state->started_ns == 0) state->started_ns = now;
  if (now - state->started_ns < kLimitNs) {
    state->count = MayGoto().count;
    return true;
  }
  state->count = 1;
  run->may_goto_expired = true;
  return false;
}

}  // namespace uarena::jit
