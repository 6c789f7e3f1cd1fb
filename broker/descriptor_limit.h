// A client costs a few descriptors, an arena three, and what is kept for a successor is open twice:
// the soft limit is raised to the hard one.
#pragma once

#include <cstddef>

namespace uarena::broker {

// How many descriptors this process may have from now on.
size_t raise_descriptor_limit();

}  // namespace uarena::broker
