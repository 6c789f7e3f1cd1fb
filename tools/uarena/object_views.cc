// Arenas, pages, clients and the daemon as JSON and as text. Programs are in program_views.cc.
#include <algorithm>
#include <ctime>
#include <iterator>

#include "ipc/base/log.h"
#include "ipc/base/page.h"
#include "ipc/client/inspect.h"
#include "ipc/client/names.h"
#include "ipc/mode_text.h"
#include "tools/uarena/fault_views.h"
#include "tools/uarena/text.h"
#include "tools/uarena/views.h"

namespace uarena::cli {
namespace {

using Align = Table::Align;

std::string flag_names(uint32_t map_flags) {
  static constexpr std::pair<uint32_t, std::string_view> kNames[] = {
      {kBpfFMmapable, "mmapable"},
      {kBpfFSegvOnFault, "segv_on_fault"},
      {kBpfFNoUserConv, "no_user_conv"}};
  std::string out;
  for (const auto& [bit, name] : kNames) {
    if ((map_flags & bit) == 0) continue;
    out += (out.empty() ? "" : ",") + std::string(name);
    map_flags &= ~bit;
  }
  if (map_flags != 0) out += (out.empty() ? "" : ",") + hex(map_flags);
  return out;
}

// Pages that one fault brings.
std::string around_text(uint32_t pages) {
  if (pages == UARENA_FAULT_AROUND_AUTO) return ", with as many pages around as pay";
  return pages <= 1 ? "" : fmt::format(", {} at a time", counted(pages, "page"));
}
boost::json::value around_json(uint32_t pages) {
  if (pages == UARENA_FAULT_AROUND_AUTO) return "auto";
  return std::max(1U, pages);
}

// What happens at an absent page of a SEGV_ON_FAULT arena.
std::string_view segv_name(uint32_t signal) { return signal != 0 ? "signal" : "poison"; }

std::string utc(uint64_t nanoseconds) {
  auto seconds = static_cast<time_t>(nanoseconds / 1000000000);
  tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string number(uint64_t value) { return fmt::format("{}", value); }

// What they left may be half done.
std::string cut_off_text(const uarena_arena_info& arena) {
  if (arena.cut_off_runs == 0) return "none";
  std::string_view outcome = "the broker died, outcome unknown";
  if (arena.cut_off_why == UARENA_CUT_OFF_LIMIT) outcome = "ended at its time limit";
  if (arena.cut_off_why == UARENA_CUT_OFF_GONE) outcome = "ended because its client was gone";
  return fmt::format("{}; the last: program {} (id {}), begun {}, {}", grouped(arena.cut_off_runs),
                     escaped(wire_name(arena.cut_off_name)), arena.cut_off_program,
                     utc(arena.cut_off_ns), outcome);
}

std::string file_text(const uarena_arena_info& arena) {
  const auto [unallocated, missing] = ipc::file_difference(arena);
  std::string text = counted(arena.blocks, "page");
  if (unallocated != 0) text += fmt::format(", {} of them not allocated", grouped(unallocated));
  if (missing != 0) text += fmt::format(", {} allocated ones are missing", grouped(missing));
  return text;
}

// `faults` stand where they belong among the rest.
Lines arena_lines(const uarena_arena_info& arena, const Lines& faults) {
  Lines lines = {
      {"arena", fmt::format("{} (id {})", escaped(wire_name(arena.name)), arena.id)},
      {"user_vm_start", hex(arena.user_vm_start)},
      {"max_entries", fmt::format("{} ({})", counted(arena.max_entries, "page"),
                                  with_unit(arena.max_entries * kPageSize))},
      {"map_flags", fmt::format("{:#x} ({})", arena.map_flags, flag_names(arena.map_flags))},
      {"map_extra", hex(arena.map_extra)},
      {"faults are", std::string(ipc::fault_name(arena.fault)) + around_text(arena.fault_around)},
      {"allocated",
       fmt::format("{} ({}), {} reserved", counted(arena.pages_allocated, "page"),
                   with_unit(arena.pages_allocated * kPageSize), grouped(arena.pages_reserved))},
      {"memory file", file_text(arena)}};
  lines.insert(lines.end(), faults.begin(), faults.end());
  lines.insert(lines.end(),
               {{"clients", grouped(arena.clients)},
                {"programs", grouped(arena.programs)},
                {"owner", fmt::format("uid {}, gid {}", arena.owner_uid, arena.owner_gid)},
                {"mode", fmt::format("{} (owner, group, others)", ipc::mode_text(arena.mode))},
                {"cut-off runs", cut_off_text(arena)}});
  return lines;
}

}  // namespace

boost::json::object arena_json(const uarena_arena_info& arena) {
  return {{"id", json_count(arena.id)},
          {"name", printable(wire_name(arena.name))},
          {"user_vm_start", json_hex(arena.user_vm_start)},
          {"map_extra", json_hex(arena.map_extra)},
          {"max_entries", arena.max_entries},
          {"map_flags", arena.map_flags},
          {"fault", ipc::fault_name(arena.fault)},
          {"fault_around", around_json(arena.fault_around)},
          {"pages_allocated", arena.pages_allocated},
          {"pages_reserved", arena.pages_reserved},
          {"clients", arena.clients},
          {"programs", arena.programs},
          {"faults", json_count(arena.faults)},
          {"blocks", json_count(arena.blocks)},
          {"blocks_unallocated", json_count(ipc::file_difference(arena).unallocated)},
          {"blocks_missing", json_count(ipc::file_difference(arena).missing)},
          {"owner_uid", arena.owner_uid},
          {"owner_gid", arena.owner_gid},
          {"mode", ipc::mode_text(arena.mode)},
          {"cut_off_runs", json_count(arena.cut_off_runs)},
          {"cut_off_program", json_count(arena.cut_off_program)},
          {"cut_off_name", printable(wire_name(arena.cut_off_name))},
          {"cut_off_ns", json_count(arena.cut_off_ns)},
          {"cut_off_why", ipc::cut_off_name(arena.cut_off_why)}};
}

boost::json::object arenas_json(std::span<const uarena_arena_info> arenas) {
  boost::json::array list;
  for (const auto& arena : arenas) list.push_back(arena_json(arena));
  return {{"arenas", list}};
}

boost::json::object arena_json(const uarena_arena_info& arena,
                               const uarena_arena_stats_reply& stats) {
  boost::json::object json = arena_json(arena);
  json["pages_by_origin"] = pages_by_origin_json(stats);
  json["fault_stats"] = fault_stats_json(stats.faults);
  return json;
}

std::string arena_text(const uarena_arena_info& arena, const Output& output) {
  return properties(output, arena_lines(arena, {{"faults", grouped(arena.faults)}}));
}

std::string arena_text(const uarena_arena_info& arena, const uarena_arena_stats_reply& stats,
                       const Output& output) {
  Lines faults = fault_stats_lines(stats.faults);
  faults.emplace(faults.begin(), "by origin", pages_by_origin(stats));
  return properties(output, arena_lines(arena, faults));
}

std::string arenas_text(std::span<const uarena_arena_info> arenas, const Output& output) {
  if (arenas.empty()) return "no arenas\n";
  Table table({{"ID", Align::right},
               {"NAME"},
               {"USER_VM_START", Align::right},
               {"SIZE", Align::right},
               {"ALLOCATED", Align::right},
               {"CLIENTS", Align::right},
               {"PROGRAMS", Align::right},
               {"FLAGS"}});
  for (const auto& arena : arenas)
    table.row({number(arena.id), escaped(wire_name(arena.name)), hex(arena.user_vm_start),
               with_unit(arena.max_entries * kPageSize), counted(arena.pages_allocated, "page"),
               grouped(arena.clients), grouped(arena.programs), flag_names(arena.map_flags)});
  return table.text(output);
}

boost::json::object pages_json(const PageMapInput& pages) {
  boost::json::array extents;
  for (const auto& extent : pages.extents)
    extents.push_back({{"page", extent.page},
                       {"count", extent.count},
                       {"origin", ipc::origin_name(extent.origin)},
                       {"address", json_hex(pages.user_vm_start + extent.page * kPageSize)}});
  boost::json::object counts;
  PageCounts counted_pages = count_pages(pages);
  for (uint32_t origin = UARENA_ORIGIN_PROGRAM; origin <= UARENA_ORIGIN_RESERVED; origin++)
    counts[ipc::origin_name(origin)] = counted_pages.by_origin[origin];
  return {{"arena", pages.name},
          {"user_vm_start", json_hex(pages.user_vm_start)},
          {"max_entries", pages.max_entries},
          {"counts", counts},
          {"extents", extents}};
}

std::string pages_text(const PageMapInput& pages, const Output& output) {
  if (pages.extents.empty()) return "no pages\n";
  Table table({{"ADDRESS", Align::right},
               {"PAGE", Align::right},
               {"COUNT", Align::right},
               {"SIZE", Align::right},
               {"ORIGIN"}});
  for (const auto& extent : pages.extents)
    table.row({hex(pages.user_vm_start + extent.page * kPageSize), number(extent.page),
               number(extent.count), with_unit(extent.count * kPageSize),
               std::string(ipc::origin_name(extent.origin))});
  return table.text(output);
}

boost::json::object client_json(const uarena_client_info& client) {
  return {{"id", json_count(client.id)},
          {"pid", client.pid},
          {"uid", client.uid},
          {"comm", printable(wire_name(client.comm))},
          {"arenas", client.arenas},
          {"programs", client.programs},
          {"faults", json_count(client.faults)},
          {"syscalls_served", client.full},
          {"segv", segv_name(client.signal)}};
}

boost::json::object client_json(const uarena_client_info& client, const ClientFaults& faults) {
  boost::json::object json = client_json(client);
  json["fault_stats"] = fault_stats_json(faults.faults);
  boost::json::array attachments;
  for (const auto& attachment : faults.attachments)
    attachments.push_back(attachment_json(attachment));
  json["attachments"] = attachments;
  return json;
}

boost::json::object clients_json(std::span<const uarena_client_info> clients) {
  boost::json::array list;
  for (const auto& client : clients) list.push_back(client_json(client));
  return {{"clients", list}};
}

std::string client_text(const uarena_client_info& client, const ClientFaults& faults,
                        const Output& output) {
  Lines lines = {
      {"client", number(client.id)},
      {"process", fmt::format("{} ({})", client.pid, escaped(wire_name(client.comm)))},
      {"uid", number(client.uid)},
      {"arenas", fmt::format("{}, {} of them also serve system calls", grouped(client.arenas),
                             grouped(client.full))},
      {"programs", grouped(client.programs)},
      {"SEGV_ON_FAULT", client.signal != 0 ? "SIGSEGV with the address, si_code -5"
                                           : "SIGBUS (the broker may not signal this process)"}};
  std::ranges::move(fault_stats_lines(faults.faults), std::back_inserter(lines));
  std::string text = properties(output, lines);
  for (const auto& attachment : faults.attachments)
    text += "\n" + attachment_text(attachment, output);
  return text;
}

std::string clients_text(std::span<const uarena_client_info> clients, const Output& output) {
  if (clients.empty()) return "no clients\n";
  Table table({{"ID", Align::right},
               {"PID", Align::right},
               {"UID", Align::right},
               {"COMM"},
               {"ARENAS", Align::right},
               {"PROGRAMS", Align::right},
               {"FAULTS", Align::right},
               {"SEGV"}});
  for (const auto& client : clients)
    table.row({number(client.id), number(client.pid), number(client.uid),
               escaped(wire_name(client.comm)), grouped(client.arenas), grouped(client.programs),
               grouped(client.faults), std::string(segv_name(client.signal))});
  return table.text(output);
}

boost::json::object status_json(const uarena_status_reply& status) {
  return {{"daemon_version", printable(wire_name(status.version))},
          {"pid", status.pid},
          {"uid", status.uid},
          {"started_ns", json_count(status.started_ns)},
          {"arenas", json_count(status.arenas)},
          {"clients", json_count(status.clients)},
          {"programs", json_count(status.programs)},
          {"pages_allocated", json_count(status.pages_allocated)},
          {"faults_served", json_count(status.faults_served)},
          {"faults_refused", json_count(status.faults_refused)},
          {"fault_p50_ns", json_count(status.fault_p50_ns)},
          {"fault_p99_ns", json_count(status.fault_p99_ns)},
          {"fault_threads", status.fault_threads},
          {"runner_threads", status.runner_threads},
          {"uffd_features", json_hex(status.uffd_features)},
          {"uffd_full", status.uffd_full},
          {"can_signal_others", status.can_signal_others},
          {"exact", status.exact}};
}

std::string status_text(const uarena_status_reply& status, const Output& output) {
  return properties(
      output,
      {{"uarenad", fmt::format("{}, pid {}, uid {}", escaped(wire_name(status.version)), status.pid,
                               status.uid)},
       {"started", utc(status.started_ns)},
       {"arenas", grouped(status.arenas)},
       {"clients", grouped(status.clients)},
       {"programs", grouped(status.programs)},
       {"allocated", fmt::format("{} ({})", counted(status.pages_allocated, "page"),
                                 with_unit(status.pages_allocated * kPageSize))},
       {"faults", fmt::format("{} served, {} refused", grouped(status.faults_served),
                              grouped(status.faults_refused))},
       {"fault time", fmt::format("median {}, 99th percentile {}", duration(status.fault_p50_ns),
                                  duration(status.fault_p99_ns))},
       {"threads", fmt::format("{} fault, {} runner", status.fault_threads, status.runner_threads)},
       {"userfaultfd",
        fmt::format("features {}, {}", hex(status.uffd_features),
                    status.uffd_full != 0 ? "faults of system calls included" : "user mode only")},
       {"signals", status.can_signal_others != 0 ? "any client" : "clients of the broker's uid"},
       {"exact", status.exact != 0 ? "offered" : "this kernel's guards can't"}});
}

}  // namespace uarena::cli
