#include "broker/wire_records.h"

namespace uarena::broker {

using uffd::FaultEnd;

namespace {

uarena_outcome outcome_of(FaultEnd end) {
  switch (end) {
    case FaultEnd::installed:
      return UARENA_OUTCOME_INSTALLED;
    case FaultEnd::present:
      return UARENA_OUTCOME_PRESENT;
    case FaultEnd::deferred:
      return UARENA_OUTCOME_DEFERRED;
    case FaultEnd::discarded:
      return UARENA_OUTCOME_DISCARDED;
    case FaultEnd::signalled:
    case FaultEnd::poisoned:
      return UARENA_OUTCOME_DENIED;
    case FaultEnd::error:
      break;
  }
  return UARENA_OUTCOME_ERROR;
}

}  // namespace

static_assert(Faulting::kMostAround == UARENA_MAX_FAULT_AROUND &&
              Faulting::kAroundAuto == UARENA_FAULT_AROUND_AUTO);

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
  const ArenaAccess access = arena.access();
  info.owner_uid = access.uid;
  info.owner_gid = access.gid;
  info.mode = access.mode;
  info.fault = static_cast<uint32_t>(arena.faulting().way);
  info.fault_around = arena.faulting().around;
  ipc::set_text(info.name, arena.name());
  const CutOffRuns cut_off = arena.cut_off_runs();
  info.cut_off_runs = cut_off.count;
  info.cut_off_program = cut_off.program_id;
  info.cut_off_ns = cut_off.when_ns;
  info.cut_off_why = static_cast<uint32_t>(cut_off.why);
  ipc::set_text(info.cut_off_name, cut_off.program);
  return info;
}

uarena_fault_stats to_wire(const uffd::FaultSummary& faults) {
  const uffd::FaultCounts& counts = faults.counts;
  uarena_fault_stats stats{};
  stats.installed = counts.of(FaultEnd::installed);
  stats.present = counts.of(FaultEnd::present);
  stats.deferred = counts.of(FaultEnd::deferred);
  stats.discarded = counts.of(FaultEnd::discarded);
  stats.denied = counts.denied();
  stats.errors = counts.of(FaultEnd::error);
  stats.signalled = counts.of(FaultEnd::signalled);
  stats.poisoned = counts.of(FaultEnd::poisoned);
  stats.around = counts.around;
  stats.unexpected = counts.unexpected;
  stats.pending = faults.pending;
  stats.p50_ns = faults.latency.p50_ns;
  stats.p99_ns = faults.latency.p99_ns;
  stats.p999_ns = faults.latency.p999_ns;
  stats.max_ns = faults.latency.max_ns;
  return stats;
}

uarena_traced_fault to_wire(const uffd::TracedFault& fault) {
  uarena_traced_fault traced{};
  traced.number = fault.number;
  traced.time_ns = fault.time_ns;
  traced.client_id = fault.client;
  traced.address = fault.address;
  traced.latency_ns = fault.latency_ns;
  traced.thread = fault.thread;
  traced.outcome = outcome_of(fault.end);
  if (fault.end == FaultEnd::poisoned) traced.refusal = UARENA_REFUSAL_POISON;
  if (fault.write) traced.flags |= UARENA_TRACED_WRITE;
  if (fault.thread_is_ours) traced.flags |= UARENA_TRACED_TID;
  return traced;
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

uarena_account_info to_wire(const Account& account, uint64_t id) {
  static_assert(kUnlimited == UINT64_MAX);
  uarena_account_info info{};
  info.id = id;
  info.uid = account.uid();
  for (size_t n = 0; n < kResources; ++n) {
    const auto resource = static_cast<Resource>(n);
    info.of[n] = {account.used(resource), account.limit(resource), account.denied(resource)};
  }
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
