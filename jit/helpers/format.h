// Text after a format string of the kernel's BPF dialect, which checks more than printf: %d %i %u
// %x %X with l and ll, %c, %s, %p and its kinds (%px, %ps, %pi4, %pI6, %pks …), flags and a width,
// no precision. Arguments are 64-bit words; strings and addresses of the network are read from the
// program's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "jit/own_pointers.h"
#include "jit/runtime.h"

namespace uarena::jit {

// Writes what fits `room`, with a NUL if there is any room, and returns how long the whole text is,
// without the NUL. -EINVAL: the format is not allowed, or wants more arguments.
int64_t format_text(std::span<char> room, std::string_view format,
                    std::span<const Handed> arguments, const RunContext* run);

// How many arguments the format wants; none: it is not allowed.
std::optional<size_t> format_arguments(std::string_view format);

}  // namespace uarena::jit
