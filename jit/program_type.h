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

// Whether the program may call functions that sleep. A program of type syscall always may: the
// kernel loads it no other way.
bool is_sleepable(ProgramType type);

// The structure of the context: a parameter that points to it is the context without any tag (K75).
// Empty for syscall programs, whose context is bytes.
std::string_view context_struct(ProgramType type);

}  // namespace uarena::jit
