// uarena daemon …: how the broker itself is.
#include "tools/uarena/context.h"
#include "tools/uarena/views.h"

namespace uarena::cli {
namespace {

Result<void> status(Context& context) {
  auto broker = context.broker();
  if (!broker) return std::unexpected(broker.error());
  auto answer = (*broker)->status();
  if (!answer) return std::unexpected(answer.error());
  Output& output = context.output();
  if (output.json())
    output.json(status_json(*answer));
  else
    output.text(status_text(*answer, output));
  return {};
}

}  // namespace

Object daemon_object() {
  return {.name = "daemon",
          .summary = "the broker uarenad itself",
          .commands = {{.names = {"status"},
                        .arguments = {},
                        .flags = {},
                        .summary = "show what the broker keeps and may do",
                        .details = "Fault times are the broker's own, from message to answer.",
                        .example = "uarena daemon status",
                        .run = status}},
          .default_command = "status"};
}

}  // namespace uarena::cli
