// What kind of program a section holds. The kind decides what the context is, what may be done with
// it, and how a run gets it. Section names are libbpf's.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace uarena::jit {

enum class ProgramType : uint8_t { syscall, socket_filter, sched_cls, xdp, raw_tracepoint };

// Of a section name, with or without a leading '?'. None: not a section that is known here.
std::optional<ProgramType> program_type_of(std::string_view section);

// The kernel's name ("BPF_PROG_TYPE_XDP") and number.
std::string_view name_of(ProgramType type);
uint32_t number_of(ProgramType type);

}  // namespace uarena::jit
