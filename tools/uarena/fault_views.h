// What page faults came to, for a script and for a person: sums of an arena or a client, what a
// client gets in each of its arenas, and single faults out of a trace. As views.h: made from the
// records of the wire format alone.
#pragma once

#include <boost/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ipc/abi_faults.h"
#include "tools/uarena/render.h"

namespace uarena::cli {

using Lines = std::vector<std::pair<std::string_view, std::string>>;

boost::json::object fault_stats_json(const uarena_fault_stats& stats);
Lines fault_stats_lines(const uarena_fault_stats& stats);

// The pages of an arena, of a struct that has the fields pages_*.
template <typename T>
boost::json::object pages_by_origin_json(const T& of) {
  return {{"program", of.pages_program},
          {"fault", of.pages_fault},
          {"client", of.pages_client},
          {"reserved", of.pages_reserved}};
}
std::string pages_by_origin(uint32_t program, uint32_t fault, uint32_t client, uint32_t reserved);
template <typename T>
std::string pages_by_origin(const T& of) {
  return pages_by_origin(of.pages_program, of.pages_fault, of.pages_client, of.pages_reserved);
}

boost::json::object attachment_json(const uarena_attachment_info& attachment);
std::string attachment_text(const uarena_attachment_info& attachment, const Output& output);

// A piece of an arena's trace.
struct TraceView {
  std::string arena;
  uint64_t since_ns = 0;  // when numbers began
  uint64_t next = 0;      // the number to go on from
  uint64_t lost = 0;      // overwritten before they were asked for
  bool anew = false;      // numbers have begun anew: this is another broker
  std::vector<uarena_traced_fault> faults;
};
boost::json::object trace_json(const TraceView& trace);
// The title of the columns, and lines below it; columns have fixed widths, so that pieces that are
// printed one after the other make one table.
std::string trace_title(const Output& output);
std::string trace_lines(const TraceView& trace);

}  // namespace uarena::cli
