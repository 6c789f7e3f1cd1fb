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
  return make_list_reply(request, services_.clients(std::get<uarena_list>(request.body).after));
}

Result<Record> Session::status(Request& request) {
  return ipc::make_reply(request.type, request.seq, services_.status());
}

}  // namespace uarena::broker
