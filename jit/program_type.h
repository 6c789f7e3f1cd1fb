// What a program is, by the section that it stands in. The type decides what the program's context
// is, which functions it may call and whether it may sleep; libbpf takes it from the same names.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace uarena::jit {

enum class ProgramType : uint8_t { syscall, socket_filter, sched_cls, xdp, raw_tracepoint };

// `section` as ProgramDef has it, with or without a leading '?'. Nothing for a section that makes
// no program of a type known here.
std::optional<ProgramType> program_type_of(std::string_view section);

// "BPF_PROG_TYPE_XDP" and so on.
std::string_view program_type_name(ProgramType type);
// BPF_PROG_TYPE_* as linux/bpf.h numbers them.
uint32_t kernel_program_type(ProgramType type);

// Whether the program may call functions that sleep. A program of type syscall always may: the
// kernel loads it no other way.
bool is_sleepable(ProgramType type);

// The name of the context's structure: a pointer to it is the context without any tag (K75).
// Empty for syscall and raw tracepoint programs, whose context is bytes.
std::string_view context_struct(ProgramType type);

}  // namespace uarena::jit
