// What each object looks like, for a script and for a person, made from the records of the wire
// format alone; so the golden tests need no broker.
//
// The keys of JSON are a promise (docs/man/uarena.1, JSON). Names in tables are escaped, whoever
// chose them.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ipc/abi.h"
#include "ipc/abi_accounts.h"
#include "ipc/abi_faults.h"
#include "tools/uarena/page_map.h"
#include "tools/uarena/render.h"

namespace uarena::cli {

// A name as it came over the wire: up to the first NUL, at most the field.
template <size_t N>
std::string_view wire_name(const char (&field)[N]) {
  std::string_view whole(field, N);
  return whole.substr(0, whole.find('\0'));
}

boost::json::object arena_json(const uarena_arena_info& arena);
// With what its faults came to.
boost::json::object arena_json(const uarena_arena_info& arena,
                               const uarena_arena_stats_reply& stats);
boost::json::object arenas_json(std::span<const uarena_arena_info> arenas);
std::string arena_text(const uarena_arena_info& arena, const Output& output);
std::string arena_text(const uarena_arena_info& arena, const uarena_arena_stats_reply& stats,
                       const Output& output);
std::string arenas_text(std::span<const uarena_arena_info> arenas, const Output& output);

boost::json::object pages_json(const PageMapInput& pages);
std::string pages_text(const PageMapInput& pages, const Output& output);

struct LoadedObject {
  std::vector<uarena_prog_info> programs;
  std::vector<uarena_map_info> maps;
  uint64_t arena_id = 0;  // 0: the object has no arena
  std::string arena;
  std::string log;  // "" if there is none
};
boost::json::object loaded_json(const LoadedObject& loaded);
std::string loaded_text(const LoadedObject& loaded, const Output& output);

boost::json::object program_json(const uarena_prog_info& program);
boost::json::object programs_json(std::span<const uarena_prog_info> programs);
// A person is told the arena's name, which commands take; its id where `arenas` has it not.
std::string program_text(const uarena_prog_info& program, std::span<const uarena_arena_info> arenas,
                         const Output& output);
std::string programs_text(std::span<const uarena_prog_info> programs,
                          std::span<const uarena_arena_info> arenas, const Output& output);

// The id of the one program of that name. Several: EINVAL, Why::usage, with their ids; none:
// ENOENT, Why::not_found.
Result<uint64_t> find_program(std::span<const uarena_prog_info> programs, std::string_view name);

struct RunOutcome {
  uint64_t r0 = 0;
  uint64_t duration_ns = 0;  // mean of one run
  uint32_t repeat = 1;
  std::vector<std::byte> ctx;
  std::vector<std::byte> data;  // the packet, of a program that got one
};
boost::json::object run_json(const RunOutcome& outcome);
// With the context and the packet as hex dumps, unless they went to files.
std::string run_text(const RunOutcome& outcome, bool with_ctx, bool with_data,
                     const Output& output);

// xlated or jited code as lines.
boost::json::object listing_json(uint64_t id, std::string_view what, std::string_view text);

boost::json::object client_json(const uarena_client_info& client);
// What a client's faults came to, and what it gets in each arena.
struct ClientFaults {
  uarena_fault_stats faults;
  std::vector<uarena_attachment_info> attachments;
};
boost::json::object client_json(const uarena_client_info& client, const ClientFaults& faults);
boost::json::object clients_json(std::span<const uarena_client_info> clients);
std::string client_text(const uarena_client_info& client, const ClientFaults& faults,
                        const Output& output);
std::string clients_text(std::span<const uarena_client_info> clients, const Output& output);

boost::json::object status_json(const uarena_status_reply& status);
std::string status_text(const uarena_status_reply& status, const Output& output);

}  // namespace uarena::cli
