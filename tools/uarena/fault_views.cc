#include "tools/uarena/fault_views.h"

#include <algorithm>
#include <ctime>
#include <iterator>

#include "ipc/base/log.h"
#include "ipc/base/page.h"
#include "tools/uarena/text.h"
#include "tools/uarena/views.h"

namespace uarena::cli {
namespace {

uint64_t all(const uarena_fault_stats& stats) {
  return stats.installed + stats.present + stats.deferred + stats.discarded + stats.denied +
         stats.errors;
}

std::string_view outcome_name(uint32_t outcome) {
  switch (outcome) {
    case UARENA_OUTCOME_INSTALLED:
      return "installed";
    case UARENA_OUTCOME_PRESENT:
      return "present";
    case UARENA_OUTCOME_DEFERRED:
      return "deferred";
    case UARENA_OUTCOME_DISCARDED:
      return "discarded";
    case UARENA_OUTCOME_DENIED:
      return "denied";
    case UARENA_OUTCOME_ERROR:
      return "error";
    default:
      return "unknown";
  }
}

std::string_view refusal_name(uint32_t refusal) {
  switch (refusal) {
    case UARENA_REFUSAL_SIGNAL:
      return "signal";
    case UARENA_REFUSAL_POISON:
      return "poison";
    case UARENA_REFUSAL_EXACT:
      return "exact";
    default:
      return "unknown";
  }
}

std::string_view signal_name(uint32_t refusal) {
  return refusal == UARENA_REFUSAL_POISON ? "SIGBUS" : "SIGSEGV";
}

bool segv_on_fault(const uarena_attachment_info& attachment) {
  return (attachment.map_flags & kBpfFSegvOnFault) != 0;
}

// An absent page of a SEGV_ON_FAULT arena is EFAULT to every system call (K30).
bool syscalls_served(const uarena_attachment_info& attachment) {
  return attachment.syscalls == UARENA_SYSCALLS_SERVED && !segv_on_fault(attachment);
}

std::string_view syscalls_text(const uarena_attachment_info& attachment) {
  if (syscalls_served(attachment)) return "served";
  return segv_on_fault(attachment) ? "EFAULT" : "EFAULT unless prefaulted";
}

std::string refusal_text(uint32_t refusal) {
  if (refusal == UARENA_REFUSAL_SIGNAL) return "SIGSEGV with the address, si_code -5";
  if (refusal == UARENA_REFUSAL_EXACT)
    return "SIGSEGV by guards (exact), by a signal where pages were just freed";
  return "SIGBUS (the broker may not signal this process)";
}

// To the nanosecond, as `journalctl -o short-iso-precise --utc` would.
std::string utc_time(uint64_t nanoseconds) {
  constexpr uint64_t kSecond = 1'000'000'000;
  const auto seconds = static_cast<time_t>(nanoseconds / kSecond);
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:09}", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     nanoseconds % kSecond);
}

std::string trace_line(std::string_view time, std::string_view client, std::string_view thread,
                       std::string_view address, std::string_view access, std::string_view outcome,
                       std::string_view latency) {
  return fmt::format("{:<29}  {:>6}  {:>12}  {:>14}  {:<6}  {:<15}  {:>9}", time, client, thread,
                     address, access, outcome, latency);
}

std::string line_of(const uarena_traced_fault& fault) {
  // An id in the client's own pid namespace means nothing here, and must not look as if it did.
  const bool ours = (fault.flags & UARENA_TRACED_TID) != 0;
  std::string outcome(outcome_name(fault.outcome));
  if (fault.outcome == UARENA_OUTCOME_DENIED)
    outcome += fmt::format(": {}", signal_name(fault.refusal));
  return trace_line(utc_time(fault.time_ns), fmt::format("{}", fault.client_id),
                    fmt::format("{}{}", ours ? "" : "ptid ", fault.thread), hex(fault.address),
                    (fault.flags & UARENA_TRACED_WRITE) != 0 ? "write" : "read", outcome,
                    duration(fault.latency_ns));
}

boost::json::object fault_json(const uarena_traced_fault& fault) {
  boost::json::object json{{"number", json_count(fault.number)},
                           {"time_ns", json_count(fault.time_ns)},
                           {"client", json_count(fault.client_id)},
                           {"thread", fault.thread},
                           {"thread_is", (fault.flags & UARENA_TRACED_TID) != 0 ? "tid" : "ptid"},
                           {"address", json_hex(fault.address)},
                           {"access", (fault.flags & UARENA_TRACED_WRITE) != 0 ? "write" : "read"},
                           {"outcome", outcome_name(fault.outcome)},
                           {"latency_ns", json_count(fault.latency_ns)}};
  if (fault.outcome == UARENA_OUTCOME_DENIED) json["refusal"] = refusal_name(fault.refusal);
  return json;
}

}  // namespace

boost::json::object fault_stats_json(const uarena_fault_stats& stats) {
  return {{"installed", json_count(stats.installed)},
          {"present", json_count(stats.present)},
          {"deferred", json_count(stats.deferred)},
          {"discarded", json_count(stats.discarded)},
          {"denied", json_count(stats.denied)},
          {"error", json_count(stats.errors)},
          {"denied_by_signal", json_count(stats.signalled)},
          {"denied_by_poison", json_count(stats.poisoned)},
          {"around", json_count(stats.around)},
          {"unexpected", json_count(stats.unexpected)},
          {"pending", json_count(stats.pending)},
          {"p50_ns", json_count(stats.p50_ns)},
          {"p99_ns", json_count(stats.p99_ns)},
          {"p999_ns", json_count(stats.p999_ns)},
          {"max_ns", json_count(stats.max_ns)}};
}

Lines fault_stats_lines(const uarena_fault_stats& stats) {
  Lines lines = {
      {"faults", fmt::format("{}: {} installed, {} present, {} deferred, {} discarded, {} denied, "
                             "{} error",
                             grouped(all(stats)), grouped(stats.installed), grouped(stats.present),
                             grouped(stats.deferred), grouped(stats.discarded),
                             grouped(stats.denied), grouped(stats.errors))}};
  if (stats.denied != 0)
    lines.emplace_back("denied by", fmt::format("SIGSEGV {}, SIGBUS {}", grouped(stats.signalled),
                                                grouped(stats.poisoned)));
  if (all(stats) != 0)
    lines.emplace_back("fault time", fmt::format("median {}, 99% {}, 99.9% {}, longest {}",
                                                 duration(stats.p50_ns), duration(stats.p99_ns),
                                                 duration(stats.p999_ns), duration(stats.max_ns)));
  lines.emplace_back("pending", grouped(stats.pending));
  if (stats.around != 0) lines.emplace_back("made around", counted(stats.around, "page"));
  if (stats.unexpected != 0) lines.emplace_back("unexpected", counted(stats.unexpected, "message"));
  return lines;
}

std::string pages_by_origin(uint32_t program, uint32_t fault, uint32_t client, uint32_t reserved) {
  return fmt::format("{} program, {} fault, {} client, {} reserved", grouped(program),
                     grouped(fault), grouped(client), grouped(reserved));
}

boost::json::object attachment_json(const uarena_attachment_info& attachment) {
  return {{"arena_id", json_count(attachment.arena_id)},
          {"arena", printable(wire_name(attachment.arena_name))},
          {"absent_page", segv_on_fault(attachment) ? "refused" : "served"},
          {"syscalls", syscalls_served(attachment) ? "served" : "EFAULT"},
          {"refusal", refusal_name(attachment.refusal)},
          {"pages_by_origin", pages_by_origin_json(attachment)},
          {"fault_stats", fault_stats_json(attachment.faults)}};
}

std::string attachment_text(const uarena_attachment_info& attachment, const Output& output) {
  Lines lines = {{"arena", fmt::format("{} (id {})", escaped(wire_name(attachment.arena_name)),
                                       attachment.arena_id)},
                 {"absent page", segv_on_fault(attachment) ? "refused (SEGV_ON_FAULT)" : "served"},
                 {"system calls", std::string(syscalls_text(attachment))},
                 {"refused is", refusal_text(attachment.refusal)},
                 {"its pages", pages_by_origin(attachment)}};
  std::ranges::move(fault_stats_lines(attachment.faults), std::back_inserter(lines));
  return properties(output, lines);
}

boost::json::object trace_json(const TraceView& trace) {
  boost::json::array faults;
  for (const uarena_traced_fault& fault : trace.faults) faults.push_back(fault_json(fault));
  return {{"arena", trace.arena},
          {"since_ns", json_count(trace.since_ns)},
          {"next", json_count(trace.next)},
          {"overwritten", json_count(trace.lost)},
          {"faults", faults}};
}

std::string trace_title(const Output& output) {
  return output.paint(Colour::bold, trace_line("TIME (UTC)", "CLIENT", "THREAD", "ADDRESS",
                                               "ACCESS", "OUTCOME", "LATENCY")) +
         "\n";
}

std::string trace_lines(const TraceView& trace) {
  std::string text;
  if (trace.anew) text += "... another broker goes on; what was not shown is lost\n";
  if (trace.lost != 0)
    text += fmt::format("... {} overwritten\n",
                        trace.lost == 1 ? "1 fault was" : grouped(trace.lost) + " faults were");
  for (const uarena_traced_fault& fault : trace.faults) text += line_of(fault) + "\n";
  return text;
}

}  // namespace uarena::cli
