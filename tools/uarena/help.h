// Help in every form, made from the table: usage lines, `help`, `--help`, the manual page.
#pragma once

#include <string>

#include "tools/uarena/command_table.h"

namespace uarena::cli {

// uarena arena create NAME --pages N [--segv-on-fault] …
std::string usage_line(const Object& object, const Command& command);

std::string help_all();
std::string help_object(const Object& object);
std::string help_command(const Object& object, const Command& command);

// docs/man/uarena.1, in the man(7) macros.
std::string manual_page();

}  // namespace uarena::cli
