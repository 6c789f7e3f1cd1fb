// uarena arena chmod and chown: who may do what with an arena.
#pragma once

#include "tools/uarena/command_table.h"

namespace uarena::cli {

Command chmod_command();
Command chown_command();

}  // namespace uarena::cli
