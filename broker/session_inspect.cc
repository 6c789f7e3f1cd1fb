// The requests that only look: programs, clients, the broker itself. They read counters and
// published copies, and make no one wait.
#include "broker/session.h"
#include "broker/wire_lists.h"
#include "broker/wire_records.h"

namespace uarena::broker {

using ipc::Record;
using ipc::Request;

Result<Record> Session::prog_list(Request& request) {
  std::vector<uarena_prog_info> records;
  for (const auto& program : services_.programs.list(std::get<uarena_list>(request.body).after))
    records.push_back(to_wire(*program));
  return make_list_reply(request, records);
}

Result<Record> Session::client_list(Request& request) {
  const auto& body = std::get<uarena_list>(request.body);
  if (body.arena_id == 0) return make_list_reply(request, services_.clients(body.after));
  auto attached = services_.clients_of(body.arena_id);
  std::erase_if(attached, [&](const uarena_client_info& c) { return c.id <= body.after; });
  return make_list_reply(request, attached);
}

Result<Record> Session::status(Request& request) {
  return ipc::make_reply(request.type, request.seq, services_.status());
}

}  // namespace uarena::broker
