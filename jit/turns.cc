// The slow half of counting: once per 65,535 turns.
#include "jit/turns.h"

#include "ipc/base/clock.h"

namespace uarena::jit {
namespace {

constexpr uint64_t kMayGotoNs = 250'000'000;  // K54: NSEC_PER_SEC / 4

// The run's own limit. False: it is over, or nobody waits for the run; every later turn comes here
// again.
bool run_goes_on(RunContext* run, uint64_t now) {
  if (run->started_ns == 0) run->started_ns = now;
  const bool cancelled =
      run->cancelled != nullptr && run->cancelled->load(std::memory_order_relaxed);
  const bool over = cancelled || now - run->started_ns >= run->limit_ns;
  if (over)
    run->turns_left = 1;
  else if (run->turns_left == 0)
    run->turns_left = kTurns;
  return !over;
}

// Past the limit each may_goto goes to its target, where a program finds its end, unless that way
// leads back to a may_goto for ever.
void note_turn_after_limit(RunContext* run) {
  run->may_goto_expired = true;
  if (++run->turns_after_limit > kTurns) run->end(RunContext::kNowhere);
}

bool frame_goes_on(MayGoto* state, uint64_t now) {
  if (state->started_ns == 0) state->started_ns = now;
  return now - state->started_ns < kMayGotoNs;
}

}  // namespace

uint64_t monotonic_ns() noexcept { return clock_ns(CLOCK_MONOTONIC); }

bool run_may_wait(RunContext* run) noexcept { return run_goes_on(run, monotonic_ns()); }

bool renew_turns(uint64_t insn, RunContext* run) noexcept {
  if (!run->ended && run_goes_on(run, monotonic_ns())) return true;
  run->end(static_cast<uint32_t>(insn));
  return false;
}

bool renew_may_goto(uint64_t may_goto, RunContext* run) noexcept {
  auto* state = reinterpret_cast<MayGoto*>(may_goto);
  const uint64_t now = monotonic_ns();
  if (!run_goes_on(run, now)) {
    note_turn_after_limit(run);
  } else {
    if (state->count != 0) return true;
    if (frame_goes_on(state, now)) {
      state->count = kTurns;
      return true;
    }
  }
  state->count = 1;
  run->may_goto_expired = true;
  return false;
}

bool renew_shared_may_goto(uint64_t may_goto, RunContext* run) noexcept {
  const uint64_t now = monotonic_ns();
  if (!run_goes_on(run, now))
    note_turn_after_limit(run);
  else if (frame_goes_on(reinterpret_cast<MayGoto*>(may_goto), now))
    return true;
  run->turns_left = 1;
  run->may_goto_expired = true;
  return false;
}

}  // namespace uarena::jit
