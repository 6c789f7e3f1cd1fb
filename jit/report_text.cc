#include "jit/report_text.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <cstring>

namespace uarena::jit {
namespace {

std::string who(unsigned cpu, const Caller& caller, bool own) {
  if (own)
    return fmt::format("CPU: {} UID: {} PID: {} Comm: uarenad\n", cpu, ::geteuid(), ::getpid());
  const size_t length = ::strnlen(caller.comm, sizeof caller.comm);
  return fmt::format("CPU: {} UID: {} PID: {} Comm: {}\n", cpu, caller.uid, caller.pid,
                     std::string_view(caller.comm, length));
}

std::string text_of(const Executable& program, const FaultReports::Report& report) {
  const uint32_t insn = program.insn_at(report.access.at);
  const std::string_view way = program.reads_at(insn) ? "READ" : "WRITE";
  if (!report.first)
    return fmt::format("again {} times: Arena {} access at {}, the last at 0x{:x}\n", report.count,
                       way, program.place_of(insn), report.last_address);
  std::string text = fmt::format("ERROR: Arena {} access at unmapped address 0x{:x}\n", way,
                                 report.access.address);
  text += who(report.cpu, report.caller, report.access.caller == nullptr);
  text += fmt::format("Call trace:\n  {}\n", program.place_of(insn));
  for (uint32_t n = 0; n < report.access.call_count; ++n)
    text += fmt::format("  {}\n", program.place_of(program.insn_at(report.access.calls[n])));
  if (report.count > 1)
    text += fmt::format("{} times there, the last at 0x{:x}\n", report.count, report.last_address);
  return text;
}

}  // namespace

std::string text_of_new_faults(const Executable& program, FaultReports& reports) {
  std::string text;
  for (const FaultReports::Report& report : reports.take()) text += text_of(program, report);
  if (const uint64_t lost = reports.take_lost(); lost != 0)
    text += fmt::format("and {} accesses to absent pages at other places of the program\n", lost);
  return text;
}

std::string text_of_time_out(const Executable& program, const RunContext& run) {
  std::string text;
  if (run.ended)
    text = fmt::format("ERROR: Timeout detected for a loop: ended at {}\n",
                       program.place_of(run.ended_at));
  else if (run.may_goto_expired)
    text = "ERROR: Timeout detected for may_goto instruction\n";
  if (text.empty()) return text;
  text += who(static_cast<unsigned>(::sched_getcpu()), run.caller ? *run.caller : Caller{},
              run.caller == nullptr);
  if (!run.ended) text += fmt::format("Call trace:\n  {}\n", program.place_of(run.may_goto_at));
  return text;
}

}  // namespace uarena::jit
