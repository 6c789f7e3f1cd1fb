// What bounds a run in time. Loops that may go on for ever count their turns: a may_goto, where the
// programmer asks for it (K54), and the head of a loop of which the verifier could not show that it
// ends (InsnFacts::budget). All loops of a run count down one number, which compiled code keeps in
// a register; when it is used up the clock is read, and the two differ in what follows:
//  - a may_goto says "go on" until its frame has looped for 250 ms, then it goes to its target, as
//    in the kernel. It does so too when the run's limit is over, and a program that goes round in
//    circles even then is ended;
//  - at a loop head the run goes on until its limit (10 s) is over, or nobody waits for it any
//  more;
//    then it ends there: all its frames are left at once, what it holds is released (held.h), and
//    whoever asked for it is told.
//
// Each frame with may_goto has its own 250 ms. Where it calls subprograms their loops use up the
// common number, so it would hardly be its own may_goto that finds it used up; so such a frame
// counts its own down as well.
#pragma once

#include <cstdint>

#include "jit/runtime.h"

namespace uarena::jit {

struct MayGoto {
  uint64_t count = kTurns;  // only of a frame that counts its own
  uint64_t started_ns = 0;  // 0: the clock was not read yet
};

// The functions below are called when the count went down to zero, the frame's or the run's. True:
// refilled, go on. They share a signature, for the compiled code's sake.
using RenewFn = bool (*)(uint64_t what, RunContext* run);

// `what`: the loop head's instruction. False: the run has ended there.
bool renew_turns(uint64_t insn, RunContext* run) noexcept;

// `what`: the frame's MayGoto. False: the run has ended (RunContext::ended), or the time is over:
// go to the target; the count is left at 1, so that every later may_goto of the frame comes here,
// too.
bool renew_may_goto(uint64_t may_goto, RunContext* run) noexcept;         // counts its own
bool renew_shared_may_goto(uint64_t may_goto, RunContext* run) noexcept;  // counts the run's

// A turn of a loop inside a function. False: the run has ended; the function returns at once.
inline bool take_turn(RunContext* run) noexcept {
  return --run->turns_left != 0 || renew_turns(RunContext::kNowhere, run);
}

// For functions that wait: whether the run has time left for that.
bool run_may_wait(RunContext* run) noexcept;

// CLOCK_MONOTONIC.
uint64_t monotonic_ns() noexcept;

}  // namespace uarena::jit
