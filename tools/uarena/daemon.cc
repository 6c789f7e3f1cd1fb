// uarena daemon …: how the broker itself is.
#include "tools/uarena/account_views.h"
#include "tools/uarena/context.h"
#include "tools/uarena/views.h"

namespace uarena::cli {
namespace {

Result<void> status(Context& context) {
  auto broker = context.broker();
  if (!broker) return std::unexpected(broker.error());
  auto answer = (*broker)->status();
  if (!answer) return std::unexpected(answer.error());
  auto accounts = (*broker)->accounts();
  if (!accounts) return std::unexpected(accounts.error());
  Output& output = context.output();
  if (output.json()) {
    auto body = status_json(*answer);
    body["accounts"] = accounts_json(*accounts);
    output.json(body);
  } else {
    output.text(status_text(*answer, output) + "\n" + accounts_text(*accounts, output));
  }
  return {};
}

}  // namespace

Object daemon_object() {
  return {
      .name = "daemon",
      .summary = "the broker uarenad itself",
      .commands = {{.names = {"status"},
                    .arguments = {},
                    .flags = {},
                    .summary = "show what the broker keeps and may do",
                    .details = "Fault times are the broker's own, from message to answer. Below "
                               "is what users have, and may have by uarenad.toml(5): root and "
                               "the broker's uid see all users, others themselves. The user "
                               "\"all\" is the broker itself, with the memory that it makes for "
                               "everybody; cpu_ms is CPU time of programs in milliseconds per "
                               "second, over the last 10 s.",
                    .example = "uarena daemon status",
                    .run = status}},
      .default_command = "status"};
}

}  // namespace uarena::cli
