// bpf_arena_alloc_pages takes a NUMA node, which must be -1 or one that is online (K34). Pages of
// an arena are ordinary memory of whoever touches it, so a valid node is accepted and has no
// effect.
#pragma once

#include <string_view>
#include <vector>

namespace uarena::broker {

// "0-3,8" as in /sys/devices/system/node/online; empty for text that is no such list.
std::vector<bool> parse_node_list(std::string_view list);

// Whether alloc may name the node. Reads the machine's list once; without one there is node 0.
bool node_allowed(int node_id);

}  // namespace uarena::broker
