// How the broker's objects look in the wire format's records.
#pragma once

#include "broker/program.h"
#include "ipc/abi.h"
#include "ipc/codec.h"

namespace uarena::broker {

uarena_arena_info to_wire(const Arena& arena, uint32_t clients, uint32_t programs);
uarena_prog_info to_wire(const Program& program);
uarena_map_info to_wire(const MapInfo& map);

}  // namespace uarena::broker
