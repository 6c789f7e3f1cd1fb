// may_goto (K54): a loop condition of BPF programs that says "go on" until the loop has used up its
// time. Each frame counts down from 65,535 without looking at the clock; when the count is used up
// the clock is read, and 250 ms after the first such reading the loop has to end.
//
// That bounds a loop, but hardly a program: a loop that calls a function with a loop reads the
// clock after 65,535 calls of 250 ms each, and calls nest. So all may_gotos of a run together count
// down once more, in RunContext, and when the run's limit is over every loop of it ends.
//
// Shared by the interpreter and by compiled code, which keeps this struct in its frame.
#pragma once

#include <cstdint>

#include "jit/runtime.h"

namespace uarena::jit {

struct MayGoto {
  uint64_t count = 0xffff;
  uint64_t started_ns = 0;  // 0: the clock was not read yet
};

// The frame's count or the run's went down to zero. True: refilled, go on. False: the time is over,
// go to the target; the count is left at 1, so that every later may_goto of the frame, or of the
// run, comes here and ends, too.
bool may_goto_renew(MayGoto* state, RunContext* run) noexcept;

}  // namespace uarena::jit
