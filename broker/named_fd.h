// A descriptor and the name under which it travels from one process to its successor, and how long
// such names may be: they go through one environment variable, LISTEN_FDNAMES, as a:b:c.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "ipc/base/fd.h"

namespace uarena::broker {

struct NamedFd {
  std::string name;
  Fd fd;
};

// systemd's own rule for FDNAME=.
inline constexpr size_t kMaxFdName = 255;
inline bool is_fd_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxFdName &&
         std::ranges::all_of(name, [](char c) { return c >= ' ' && c <= '~' && c != ':'; });
}

// execve(2) takes no string of more than 32 pages (MAX_ARG_STRLEN), so all names of a store
// together, each with its colon, must stay below that. The rest is for "LISTEN_FDNAMES=" and for
// the names of sockets, which are passed beside the store.
inline constexpr size_t kMaxNamesBeside = 1024;
inline constexpr size_t kMaxNamesOfStore = 128 * 1024 - 64 - kMaxNamesBeside;

// What a name takes of that.
inline size_t name_cost(std::string_view name) { return name.size() + 1; }

}  // namespace uarena::broker
