// `uarenad --keeper`: the process started is a tiny parent that holds descriptors and starts the
// broker, its child, anew whenever it dies. It is to the broker what systemd's fd store is: it
// speaks the same protocol, so that the broker has one way to survive its death, not two.
//
// The keeper opens nothing, parses nothing but notifications of its own child, and knows nothing of
// arenas. It has one thread (and, for descriptors that may take their time to close, others that do
// only that).
#pragma once

#include <span>

#include "broker/options.h"

namespace uarena::broker {

// Returns the exit code of the process: the child's, once it has ended by itself with 0 or has been
// told to stop (128 + signal if one killed it); 1 when brokers do not come up.
int run_keeper(std::span<char*> arguments);

}  // namespace uarena::broker
