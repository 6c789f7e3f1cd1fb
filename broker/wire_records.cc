#include "broker/wire_records.h"

namespace uarena::broker {

uarena_arena_info to_wire(const Arena& arena, uint32_t clients, uint32_t programs) {
  const ArenaCounts counts = arena.counts();
  uarena_arena_info info{};
  info.id = arena.id();
  info.user_vm_start = arena.user_vm_start();
  info.map_extra = arena.attr().map_extra;
  info.max_entries = arena.attr().max_entries;
  info.map_flags = arena.attr().map_flags;
  info.pages_allocated = counts.pages_allocated;
  info.pages_reserved = counts.pages_reserved;
  info.clients = clients;
  info.programs = programs;
  info.faults = arena.faults().tally->counts().all();
  info.blocks = counts.blocks;
  info.owner_uid = arena.owner_uid();
  info.fault = UARENA_FAULT_SERVED;
  ipc::set_text(info.name, arena.name());
  const CutOffRuns cut_off = arena.cut_off_runs();
  info.cut_off_runs = cut_off.count;
  info.cut_off_program = cut_off.program_id;
  info.cut_off_ns = cut_off.when_ns;
  info.cut_off_why = static_cast<uint32_t>(cut_off.why);
  ipc::set_text(info.cut_off_name, cut_off.program);
  return info;
}

uarena_prog_info to_wire(const Program& program) {
  uarena_prog_info info{};
  info.id = program.id;
  info.arena_id = program.object->arena ? program.object->arena->id() : 0;
  info.run_cnt = program.run_cnt.load(std::memory_order_relaxed);
  info.run_time_ns = program.run_time_ns.load(std::memory_order_relaxed);
  info.ended_cnt = program.ended_cnt.load(std::memory_order_relaxed);
  info.insns = program.insns;
  info.jited_bytes = static_cast<uint32_t>(program.executable->code_bytes());
  info.ctx_size = program.ctx_size;
  info.owner_uid = program.owner_uid;
  ipc::set_text(info.name, program.name);
  ipc::set_text(info.section, program.section);
  ipc::set_text(info.object, program.object->name);
  return info;
}

uarena_map_info to_wire(const MapInfo& map) {
  uarena_map_info info{};
  info.id = map.id;
  info.type = map.type;
  info.value_size = map.value_size;
  info.max_entries = map.max_entries;
  info.map_flags = map.map_flags;
  ipc::set_text(info.name, map.name);
  return info;
}

}  // namespace uarena::broker
