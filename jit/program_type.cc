// One table of section names. A name with `more` also stands before a slash and whatever follows,
// which says where the program is to be attached ("raw_tp/sched_switch"); here that is only text.
#include "jit/program_type.h"

#include <linux/bpf.h>

namespace uarena::jit {
namespace {

struct Row {
  std::string_view section;
  bool more;
  ProgramType type;
};

constexpr Row kRows[] = {
    {"syscall", false, ProgramType::syscall},
    {"socket", false, ProgramType::socket_filter},
    {"tc", true, ProgramType::sched_cls},
    {"classifier", false, ProgramType::sched_cls},
    {"tcx", true, ProgramType::sched_cls},
    {"xdp", false, ProgramType::xdp},
    {"raw_tp", true, ProgramType::raw_tracepoint},
    {"raw_tracepoint", true, ProgramType::raw_tracepoint},
};

bool names(const Row& row, std::string_view section) {
  if (section == row.section) return true;
  return row.more && section.size() > row.section.size() && section.starts_with(row.section) &&
         section[row.section.size()] == '/';
}

}  // namespace

std::optional<ProgramType> program_type_of(std::string_view section) {
  if (section.starts_with('?')) section.remove_prefix(1);
  for (const Row& row : kRows)
    if (names(row, section)) return row.type;
  return std::nullopt;
}

std::string_view program_type_name(ProgramType type) {
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
      return "BPF_PROG_TYPE_RAW_TRACEPOINT";
  }
  return "BPF_PROG_TYPE_UNSPEC";
}

uint32_t kernel_program_type(ProgramType type) {
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
      return BPF_PROG_TYPE_RAW_TRACEPOINT;
  }
  return BPF_PROG_TYPE_UNSPEC;
}

bool is_sleepable(ProgramType type) { return type == ProgramType::syscall; }

std::string_view context_struct(ProgramType type) {
  switch (type) {
    case ProgramType::socket_filter:
    case ProgramType::sched_cls:
      return "__sk_buff";
    case ProgramType::xdp:
      return "xdp_md";
    case ProgramType::syscall:
    case ProgramType::raw_tracepoint:
      return {};
  }
  return {};
}

}  // namespace uarena::jit
