// How the broker's objects look in the wire format's records.
#pragma once

#include "broker/program.h"
#include "ipc/abi.h"
#include "ipc/abi_accounts.h"
#include "ipc/abi_faults.h"
#include "ipc/codec.h"

namespace uarena::broker {

uarena_arena_info to_wire(const Arena& arena, uint32_t clients, uint32_t programs);
uarena_fault_stats to_wire(const uffd::FaultSummary& faults);
uarena_traced_fault to_wire(const uffd::TracedFault& fault);
uarena_prog_info to_wire(const Program& program);
uarena_map_info to_wire(const MapInfo& map);
uarena_account_info to_wire(const Account& account, uint64_t id);

// Fills in the fields of that name, which several structs have.
template <typename T>
void set_pages(T& to, const PagesByOrigin& pages) {
  to.pages_program = pages.of(Origin::program);
  to.pages_fault = pages.of(Origin::fault);
  to.pages_client = pages.of(Origin::client);
  to.pages_reserved = pages.of(Origin::reserved);
}

}  // namespace uarena::broker
