// The row of `uarena arena trace` in the table of commands.
#pragma once

#include "tools/uarena/command_table.h"

namespace uarena::cli {

Command trace_command();

}  // namespace uarena::cli
