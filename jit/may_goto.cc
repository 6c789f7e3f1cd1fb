// The slow half of may_goto: once per 65,535 iterations.
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

}  // namespace

bool may_goto_renew(MayGoto* state, RunContext* run) noexcept {
  const uint64_t now = now_ns();
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
