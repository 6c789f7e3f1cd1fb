// Whether a map can be made as it is declared: the checks that the kernel's BPF_MAP_CREATE makes of
// each kind, so that an object which loads there loads here and the other way round. Arenas have
// rules of their own (K2-K5), which the broker checks where it makes them.
#pragma once

#include "ipc/base/result.h"
#include "jit/object.h"

namespace uarena::jit {

// The kernel's errno, with what is expected. Maps of MapKind::other are not judged. A ring buffer's
// size is rounded up to what can be made, as libbpf does.
Result<void> check_map_limits(MapDef& def);

}  // namespace uarena::jit
