// uarena client …: who is connected, and what they get.
#include <algorithm>

#include "tools/uarena/context.h"
#include "tools/uarena/text.h"
#include "tools/uarena/views.h"

namespace uarena::cli {
namespace {

Result<void> show(Context& context) {
  const std::string* wanted = context.call().argument(0);
  Result<uint64_t> id = 0;
  if (wanted != nullptr) id = parse_number("ID", *wanted, 1, UINT64_MAX);
  if (!id) return std::unexpected(id.error());
  auto broker = context.broker();
  if (!broker) return std::unexpected(broker.error());
  auto clients = (*broker)->clients();
  if (!clients) return std::unexpected(clients.error());
  Output& output = context.output();
  if (wanted == nullptr) {
    if (output.json())
      output.json(clients_json(*clients));
    else
      output.text(clients_text(*clients, output));
    return {};
  }
  auto client = std::ranges::find(*clients, *id, &uarena_client_info::id);
  if (client == clients->end())
    return fail(Why::not_found, ENOENT, "there is no client {}; see uarena client list", *id);
  auto stats = (*broker)->client_stats(*id);
  if (!stats) return std::unexpected(stats.error());
  const ClientFaults faults{stats->faults, std::move(stats->attachments)};
  if (output.json())
    output.json(client_json(*client, faults));
  else
    output.text(client_text(*client, faults, output));
  return {};
}

}  // namespace

Object client_object() {
  return {.name = "client",
          .summary = "processes that are connected to the broker",
          .commands =
              {{.names = {"show", "list"},
                .arguments = {{"ID", "only this client, in full", true, {}}},
                .flags = {},
                .summary = "show one client, or list all",
                .details =
                    "SEGV tells what an absent page of a SEGV_ON_FAULT arena is to this "
                    "client: signal (SIGSEGV with the exact address) or poison (SIGBUS, "
                    "where the broker may not signal it). One client is shown with what became of "
                    "its faults, and with what it gets in each of its arenas. This command "
                    "is a client, too.",
                .example = "uarena -p client list",
                .run = show}},
          .default_command = "show"};
}

}  // namespace uarena::cli
