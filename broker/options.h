// The daemon's command line.
#pragma once

#include <string>

#include "ipc/base/log.h"

namespace uarena::broker {

struct Options {
  std::string socket;           // path of the Unix socket
  unsigned socket_mode = 0600;  // without the option 0666 for root (the system's broker)
  unsigned fault_threads = 0;   // 0: one per CPU
  unsigned runner_threads = 0;  // 0: two per CPU
  std::string config;           // path of the configuration file; empty: none
  std::string load_group;       // whose members may load programs; empty: nobody's
  std::string jitdump;          // directory for perf's jitdump; empty: none
  LogLevel log_level = LogLevel::info;
  bool keeper = false;  // be the keeper, not the broker
};

// Parses argv. Prints help or version, or what is wrong, and ends the process with 0 or 2 then.
Options parse_options(int argc, char** argv);

}  // namespace uarena::broker
