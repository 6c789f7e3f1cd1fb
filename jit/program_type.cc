// One table of section names, and what the kernel knows of each type.
#include "jit/program_type.h"

#include <linux/bpf.h>

namespace uarena::jit {
namespace {

struct Section {
  std::string_view name;
  bool prefix = false;  // a '/' and more may follow: what the kernel would attach to
  ProgramType type = ProgramType::syscall;
};

constexpr Section kSections[] = {
    {"syscall", false, ProgramType::syscall},
    {"socket", true, ProgramType::socket_filter},
    {"tc", true, ProgramType::sched_cls},
    {"tcx", true, ProgramType::sched_cls},
    {"classifier", true, ProgramType::sched_cls},
    {"xdp", true, ProgramType::xdp},
    {"raw_tp", true, ProgramType::raw_tracepoint},
    {"raw_tracepoint", true, ProgramType::raw_tracepoint},
};

}  // namespace

std::optional<ProgramType> program_type_of(std::string_view section) {
  if (section.starts_with('?')) section.remove_prefix(1);
  for (const Section& known : kSections) {
    if (section == known.name) return known.type;
    if (known.prefix && section.starts_with(known.name) &&
        section.substr(known.name.size()).starts_with('/'))
      return known.type;
  }
  return std::nullopt;
}

std::string_view name_of(ProgramType type) {
  switch (type) {
    case ProgramType::syscall:
      return "BPF_PROG_TYPE_SYSCALL";
    case ProgramType::socket_filter:
      return "BPF_PROG_TYPE_SOCKET_FILTER";
    case ProgramType::sched_cls:
      return "BPF_PROG_TYPE_SCHED_CLS";
    case ProgramType::xdp:
      return "BPF_PROG_TYPE_XDP";
    case ProgramType::raw_tracepoint:
      break;
  }
  return "BPF_PROG_TYPE_RAW_TRACEPOINT";
}

uint32_t number_of(ProgramType type) {
  switch (type) {
    case ProgramType::syscall:
      return BPF_PROG_TYPE_SYSCALL;
    case ProgramType::socket_filter:
      return BPF_PROG_TYPE_SOCKET_FILTER;
    case ProgramType::sched_cls:
      return BPF_PROG_TYPE_SCHED_CLS;
    case ProgramType::xdp:
      return BPF_PROG_TYPE_XDP;
    case ProgramType::raw_tracepoint:
      break;
  }
  return BPF_PROG_TYPE_RAW_TRACEPOINT;
}

bool is_sleepable(ProgramType type) { return type == ProgramType::syscall; }

std::string_view context_struct(ProgramType type) {
  switch (type) {
    case ProgramType::socket_filter:
    case ProgramType::sched_cls:
      return "__sk_buff";
    case ProgramType::xdp:
      return "xdp_md";
    case ProgramType::raw_tracepoint:
      return "bpf_raw_tracepoint_args";
    case ProgramType::syscall:
      break;
  }
  return {};
}

}  // namespace uarena::jit
