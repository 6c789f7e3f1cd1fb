// The command line of uarenafs.
#pragma once

#include <string>

#include "ipc/base/log.h"

namespace uarena::inspectfs {

struct Options {
  std::string socket;      // of the broker; empty: where the client library looks
  std::string mountpoint;  // empty: none was given, see default_mountpoint
  bool allow_other = false;
  LogLevel log_level = LogLevel::info;
};

// Parses argv. Prints help or version, or what is wrong, and ends the process with 0 or 2 then.
Options parse_options(int argc, char** argv);

// /run/uarena/fs for root, else $XDG_RUNTIME_DIR/uarena/fs; empty without that directory.
std::string default_mountpoint();

// Ends the process as parse_options does.
[[noreturn]] void usage_error(const std::string& problem);

}  // namespace uarena::inspectfs
