#include "tools/uarenafs/text_files.h"

#include <fmt/format.h>

#include <iterator>

#include "ipc/base/log.h"
#include "ipc/base/page.h"
#include "ipc/client/inspect.h"
#include "ipc/client/names.h"
#include "ipc/codec.h"
#include "ipc/mode_text.h"

namespace uarena::inspectfs {
namespace {

using Line = std::pair<std::string_view, std::string>;

std::string lines(std::initializer_list<Line> all) {
  std::string text;
  for (const auto& [key, value] : all)
    fmt::format_to(std::back_inserter(text), "{}: {}\n", key, value);
  return text;
}

std::string number(uint64_t value) { return fmt::format("{}", value); }
std::string hex(uint64_t value) { return fmt::format("{:#x}", value); }

template <size_t N>
std::string text_of(const char (&field)[N]) {
  return escaped(ipc::get_text(field));
}

std::string around_text(uint32_t pages) {
  return pages == UARENA_FAULT_AROUND_AUTO ? "auto" : number(std::max(1U, pages));
}

}  // namespace

std::string info_text(const uarena_arena_info& arena) {
  return lines({{"id", number(arena.id)},
                {"name", text_of(arena.name)},
                {"user_vm_start", hex(arena.user_vm_start)},
                {"map_extra", hex(arena.map_extra)},
                {"max_entries", number(arena.max_entries)},
                {"map_flags", number(arena.map_flags)},
                {"fault", std::string(ipc::fault_name(arena.fault))},
                {"fault_around", around_text(arena.fault_around)},
                {"pages_allocated", number(arena.pages_allocated)},
                {"pages_reserved", number(arena.pages_reserved)},
                {"clients", number(arena.clients)},
                {"programs", number(arena.programs)},
                {"faults", number(arena.faults)},
                {"blocks", number(arena.blocks)},
                {"blocks_unallocated", number(ipc::file_difference(arena).unallocated)},
                {"blocks_missing", number(ipc::file_difference(arena).missing)},
                {"owner_uid", number(arena.owner_uid)},
                {"owner_gid", number(arena.owner_gid)},
                {"mode", ipc::mode_text(arena.mode)},
                {"cut_off_runs", number(arena.cut_off_runs)},
                {"cut_off_program", number(arena.cut_off_program)},
                {"cut_off_name", text_of(arena.cut_off_name)},
                {"cut_off_ns", number(arena.cut_off_ns)},
                {"cut_off_why", std::string(ipc::cut_off_name(arena.cut_off_why))}});
}

std::string pages_text(const uarena_arena_info& arena,
                       std::span<const uarena_page_extent> extents) {
  std::string text;
  for (const uarena_page_extent& extent : extents) {
    const uint64_t begin = arena.user_vm_start + extent.page * kPageSize;
    fmt::format_to(std::back_inserter(text), "{} {} {} {:#x}-{:#x}\n", extent.page, extent.count,
                   ipc::origin_name(extent.origin), begin, begin + extent.count * kPageSize);
  }
  return text;
}

std::string client_text(const uarena_client_info& client) {
  return lines({{"id", number(client.id)},
                {"pid", number(client.pid)},
                {"uid", number(client.uid)},
                {"comm", text_of(client.comm)},
                {"arenas", number(client.arenas)},
                {"programs", number(client.programs)},
                {"faults", number(client.faults)},
                {"syscalls_served", number(client.full)},
                {"segv", client.signal != 0 ? "signal" : "poison"}});
}

std::string program_text(const uarena_prog_info& program) {
  return lines({{"id", number(program.id)},
                {"name", text_of(program.name)},
                {"section", text_of(program.section)},
                {"object", text_of(program.object)},
                {"arena_id", number(program.arena_id)},
                {"insns", number(program.insns)},
                {"jited_bytes", number(program.jited_bytes)},
                {"ctx_size", number(program.ctx_size)},
                {"run_cnt", number(program.run_cnt)},
                {"run_time_ns", number(program.run_time_ns)},
                {"ended_cnt", number(program.ended_cnt)},
                {"owner_uid", number(program.owner_uid)}});
}

}  // namespace uarena::inspectfs
