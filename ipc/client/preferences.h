// What an unchanged program gets where it does not say what it wants, so that a person can try the
// other ways to answer page faults (docs/fault-semantics.md) without touching the program, and the
// tests can run in each: $UARENA_OPTIONS, words with commas between them.
//
//   direct, fault-around=N, fault-around=auto   how faults in arenas that it creates are answered
//   exact            its attachments to SEGV_ON_FAULT arenas are as with UARENA_EXACT
//   user-mode-only   its userfaultfds are for user mode only, as for who may not have others
//
// Who says what he wants (uarena_create_opts, --fault, UARENA_EXACT) gets that.
#pragma once

#include <cstdint>
#include <string_view>

#include "ipc/abi.h"
#include "ipc/base/result.h"

namespace uarena::ipc {

// How an arena answers page faults of its clients.
struct FaultWay {
  uint32_t fault = UARENA_FAULT_SERVED;
  uint32_t around = 0;  // pages per fault; UARENA_FAULT_AROUND_AUTO
  friend bool operator==(const FaultWay&, const FaultWay&) = default;
};

struct Preferences {
  FaultWay faults;  // of demand-zero arenas; the others answer in one way only
  bool exact = false;
  bool user_mode_only = false;
  friend bool operator==(const Preferences&, const Preferences&) = default;
};

// EINVAL (Why::usage) names the word that is none.
Result<Preferences> parse_preferences(std::string_view words);

// $UARENA_OPTIONS; all as above where it is not set, and in programs with more rights than their
// user.
Result<Preferences> preferences();

}  // namespace uarena::ipc
