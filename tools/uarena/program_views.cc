// Programs, what a load made, and what a run gave, as JSON and as text.
#include <algorithm>

#include "ipc/base/log.h"
#include "tools/uarena/hex_dump.h"
#include "tools/uarena/text.h"
#include "tools/uarena/views.h"

namespace uarena::cli {
namespace {

using Align = Table::Align;

// The names of <linux/bpf.h>, as bpftool writes them, for the types that a broker makes.
std::string map_type_name(uint32_t type) {
  switch (type) {
    case 1:
      return "hash";
    case 2:
      return "array";
    case 6:
      return "percpu_array";
    case 9:
      return "lru_hash";
    case 27:
      return "ringbuf";
    case 33:
      return "arena";
    default:
      return fmt::format("type {}", type);
  }
}

std::string number(uint64_t value) { return fmt::format("{}", value); }

std::string code_size(const uarena_prog_info& program) {
  return program.jited_bytes == 0 ? "interpreted" : fmt::format("{} B", program.jited_bytes);
}

std::string arena_of(const uarena_prog_info& program, std::span<const uarena_arena_info> arenas,
                     std::string_view none) {
  if (program.arena_id == 0) return std::string(none);
  auto arena = std::ranges::find(arenas, program.arena_id, &uarena_arena_info::id);
  return arena == arenas.end() ? fmt::format("id {}", program.arena_id)
                               : escaped(wire_name(arena->name));
}

uint64_t mean_run_ns(const uarena_prog_info& program) {
  return program.run_cnt == 0 ? 0 : program.run_time_ns / program.run_cnt;
}

}  // namespace

boost::json::object program_json(const uarena_prog_info& program) {
  return {{"id", json_count(program.id)},
          {"name", printable(wire_name(program.name))},
          {"section", printable(wire_name(program.section))},
          {"object", printable(wire_name(program.object))},
          {"arena_id", json_count(program.arena_id)},
          {"insns", program.insns},
          {"jited_bytes", program.jited_bytes},
          {"ctx_size", program.ctx_size},
          {"run_cnt", json_count(program.run_cnt)},
          {"run_time_ns", json_count(program.run_time_ns)},
          {"ended_cnt", json_count(program.ended_cnt)},
          {"owner_uid", program.owner_uid}};
}

boost::json::object programs_json(std::span<const uarena_prog_info> programs) {
  boost::json::array list;
  for (const auto& program : programs) list.push_back(program_json(program));
  return {{"programs", list}};
}

std::string program_text(const uarena_prog_info& program, std::span<const uarena_arena_info> arenas,
                         const Output& output) {
  return properties(
      output,
      {{"program", fmt::format("{} (id {})", escaped(wire_name(program.name)), program.id)},
       {"section", escaped(wire_name(program.section))},
       {"object", escaped(wire_name(program.object))},
       {"arena", arena_of(program, arenas, "none")},
       {"instructions", grouped(program.insns)},
       {"machine code",
        program.jited_bytes == 0 ? "none, interpreted" : with_unit(program.jited_bytes)},
       {"context", program.ctx_size == 0 ? "not used"
                                         : fmt::format("at least {}", with_unit(program.ctx_size))},
       {"runs", program.run_cnt == 0 ? "0"
                                     : fmt::format("{}, {} each", grouped(program.run_cnt),
                                                   duration(mean_run_ns(program)))},
       {"runs ended", grouped(program.ended_cnt)},
       {"owner uid", number(program.owner_uid)}});
}

std::string programs_text(std::span<const uarena_prog_info> programs,
                          std::span<const uarena_arena_info> arenas, const Output& output) {
  if (programs.empty()) return "no programs\n";
  Table table({{"ID", Align::right},
               {"NAME"},
               {"SECTION"},
               {"OBJECT"},
               {"ARENA"},
               {"INSNS", Align::right},
               {"CODE", Align::right},
               {"RUNS", Align::right},
               {"MEAN", Align::right}});
  for (const auto& program : programs)
    table.row({number(program.id), escaped(wire_name(program.name)),
               escaped(wire_name(program.section)), escaped(wire_name(program.object)),
               arena_of(program, arenas, "-"), grouped(program.insns), code_size(program),
               grouped(program.run_cnt),
               program.run_cnt == 0 ? "-" : duration(mean_run_ns(program))});
  return table.text(output);
}

Result<uint64_t> find_program(std::span<const uarena_prog_info> programs, std::string_view name) {
  std::vector<uint64_t> ids;
  for (const auto& program : programs)
    if (wire_name(program.name) == name) ids.push_back(program.id);
  if (ids.size() == 1) return ids[0];
  if (ids.empty())
    return fail(Why::not_found, ENOENT, "there is no program \"{}\"; see uarena prog list",
                escaped(name));
  return fail(Why::usage, EINVAL, "\"{}\" is ambiguous: programs {} have that name; use an ID",
              escaped(name), fmt::join(ids, ", "));
}

boost::json::object loaded_json(const LoadedObject& loaded) {
  boost::json::array maps;
  for (const auto& map : loaded.maps)
    maps.push_back({{"id", json_count(map.id)},
                    {"name", printable(wire_name(map.name))},
                    {"type", map_type_name(map.type)},
                    {"map_type", map.type},
                    {"value_size", map.value_size},
                    {"max_entries", map.max_entries},
                    {"map_flags", map.map_flags}});
  boost::json::object out = programs_json(loaded.programs);
  out["maps"] = maps;
  out["arena"] = nullptr;
  if (loaded.arena_id != 0) {
    out["arena"] = printable(loaded.arena);
    out["arena_id"] = json_count(loaded.arena_id);
  }
  if (!loaded.log.empty()) out["log"] = printable(loaded.log);
  return out;
}

std::string loaded_text(const LoadedObject& loaded, const Output& output) {
  Table table({{"PROGRAM", Align::right},
               {"NAME"},
               {"SECTION"},
               {"INSNS", Align::right},
               {"CODE", Align::right}});
  for (const auto& program : loaded.programs)
    table.row({number(program.id), escaped(wire_name(program.name)),
               escaped(wire_name(program.section)), grouped(program.insns), code_size(program)});
  std::string out = table.text(output);
  Table maps({{"MAP", Align::right}, {"NAME"}, {"TYPE"}});
  for (const auto& map : loaded.maps)
    maps.row({number(map.id), escaped(wire_name(map.name)), map_type_name(map.type)});
  if (!maps.empty()) out += maps.text(output);
  if (loaded.arena_id != 0)
    out += fmt::format("arena {} (id {})\n", escaped(loaded.arena), loaded.arena_id);
  return out;
}

boost::json::object run_json(const RunOutcome& outcome) {
  boost::json::object out{{"retval", static_cast<int32_t>(static_cast<uint32_t>(outcome.r0))},
                          {"r0", json_hex(outcome.r0)},
                          {"duration_ns", json_count(outcome.duration_ns)},
                          {"repeat", outcome.repeat},
                          {"ctx_out", hex_bytes(outcome.ctx)}};
  if (!outcome.data.empty()) out["data_out"] = hex_bytes(outcome.data);
  return out;
}

static std::string dump_of(std::string_view title, const std::vector<std::byte>& bytes) {
  if (bytes.empty()) return {};
  HexDump dump;
  std::string text = fmt::format("{}\n{}", title, dump.bytes(0, bytes));
  return text + dump.finish();
}

std::string run_text(const RunOutcome& outcome, bool with_ctx, bool with_data,
                     const Output& output) {
  auto retval = static_cast<int32_t>(static_cast<uint32_t>(outcome.r0));
  std::string out =
      fmt::format("{} {} ({:#x}), {} {}", output.paint(Colour::bold, "retval"), retval,
                  static_cast<uint32_t>(retval), outcome.repeat == 1 ? "duration" : "mean duration",
                  duration(outcome.duration_ns));
  if (outcome.repeat != 1) out += fmt::format(" of {}", counted(outcome.repeat, "run"));
  out += '\n';
  if (with_ctx) out += dump_of("context", outcome.ctx);
  if (with_data) out += dump_of("packet", outcome.data);
  return out;
}

boost::json::object listing_json(uint64_t id, std::string_view what, std::string_view text) {
  boost::json::array lines;
  std::string safe = printable(text);
  for (size_t at = 0; at < safe.size();) {
    size_t end = std::min(safe.find('\n', at), safe.size());
    lines.push_back(boost::json::string(safe.substr(at, end - at)));
    at = end + 1;
  }
  return {{"id", json_count(id)}, {"what", what}, {"lines", lines}};
}

}  // namespace uarena::cli
