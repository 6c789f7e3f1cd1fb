// How an answer to a fault ended. The same errno means different things for different ioctls, and
// some failures are no failures: this table is the one place that knows.
#pragma once

#include <string_view>

namespace uarena::uffd {

// What was tried on the faulting page.
enum class Attempt { wake, zeropage, map_present, poison, signal };

enum class Outcome {
  installed,  // done: the page (or poison, or signal) is where it belongs
  present,    // the page was there already: who waits must be woken
  deferred,   // not now; read all messages, then it is asked again
  discarded,  // nobody is left to answer: unmapped, exited, executing something else
  error,      // anything else, to be counted and said
};

// `error` is 0 or a positive errno. Never fails: an errno without a row is Outcome::error.
Outcome outcome_of(Attempt attempt, int error);

std::string_view to_string(Outcome outcome);

}  // namespace uarena::uffd
