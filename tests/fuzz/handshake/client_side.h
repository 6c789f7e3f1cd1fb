// The client library against a broker that answers what a script says, whatever it was asked.
#pragma once

#include "tests/fuzz/driver.h"
#include "tests/fuzz/handshake/script.h"

namespace uarena::fuzz {

// A script for the client's side begins with another byte than one for the broker's.
Bytes make_client_script(Random& random);
// Asks whatever a client can, as long as there are answers. Empty: no call misbehaved.
std::string run_client_script(std::span<const std::byte> script, Progress& progress);

}  // namespace uarena::fuzz
