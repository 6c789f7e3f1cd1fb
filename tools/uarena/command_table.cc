// The table's frame: global options, and the objects in their order.
#include "tools/uarena/command_table.h"

namespace uarena::cli {

const std::vector<Flag>& global_flags() {
  static const std::vector<Flag> flags = {
      {"--socket", "PATH",
       "the broker's socket (-s PATH); otherwise $UARENA_SOCKET, then "
       "$XDG_RUNTIME_DIR/uarena/uarena.sock, then /run/uarena/uarena.sock, the first that exists"},
      {"--json", "", "print one JSON document (-j), compact"},
      {"--pretty", "", "the same, indented (-p)"},
      {"--color", "WHEN",
       "auto, always or never; auto: on a terminal, unless NO_COLOR is set or TERM is dumb"},
      {"--help", "", "help for the words before it (-h)"},
      {"--version", "", "print the version (-V)"},
  };
  return flags;
}

const std::vector<Object>& command_table() {
  static const std::vector<Object> table = {arena_object(), page_object(), prog_object(),
                                            client_object(), daemon_object()};
  return table;
}

}  // namespace uarena::cli
