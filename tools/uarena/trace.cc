// uarena arena trace: the latest faults of an arena, once or for as long as it is there. The broker
// numbers them; whoever asks says from which number on, so nothing is shown twice, and what was
// overwritten in between can be said.
#include "tools/uarena/trace.h"

#include <chrono>
#include <thread>
#include <utility>

#include "tools/uarena/context.h"
#include "tools/uarena/fault_views.h"
#include "tools/uarena/views.h"

namespace uarena::cli {
namespace {

// As many as a broker keeps of an arena. While faults go on there is always one more.
constexpr size_t kMostAtOnce = 4096;

// All that there is after `seen`; parts of it come in one answer.
Result<TraceView> collect(ipc::Inspector& broker, const uarena_arena_info& arena,
                          const TraceView& seen = {}) {
  TraceView view;
  view.arena = wire_name(arena.name);
  view.since_ns = seen.since_ns;
  view.next = seen.next;
  while (view.faults.size() < kMostAtOnce) {
    auto part = broker.trace(arena.id, view.next);
    if (!part) return std::unexpected(part.error());
    if (part->since_ns != std::exchange(view.since_ns, part->since_ns) && view.next != 0) {
      view.anew = true;
      view.next = 0;
      continue;
    }
    view.next = part->next;
    view.lost += part->lost;
    if (part->faults.empty()) break;
    view.faults.insert(view.faults.end(), part->faults.begin(), part->faults.end());
  }
  return view;
}

// Asks every so often: there may be more faults than anybody can be sent. Ends when the arena is
// deleted.
Result<void> follow(Context& context, ipc::Inspector& broker, const uarena_arena_info& arena) {
  constexpr auto kInterval = std::chrono::milliseconds(100);
  Output& output = context.output();
  if (!output.json()) output.text(trace_title(output));
  for (TraceView seen;;) {
    auto view = collect(broker, arena, seen);
    if (!view && view.error().why == Why::not_found) return {};
    if (!view) return std::unexpected(view.error());
    seen = std::move(*view);
    if (!output.json())
      output.text(trace_lines(seen));
    else if (!seen.faults.empty() || seen.lost != 0)
      output.json(trace_json(seen));
    if (auto flushed = output.flush(); !flushed) return flushed;
    std::this_thread::sleep_for(kInterval);
  }
}

Result<void> trace(Context& context) {
  auto arena = context.arena_named(*context.call().argument(0));
  if (!arena) return std::unexpected(arena.error());
  auto broker = context.broker();
  if (!broker) return std::unexpected(broker.error());
  if (context.call().has("--follow")) return follow(context, **broker, *arena);
  auto view = collect(**broker, *arena);
  if (!view) return std::unexpected(view.error());
  Output& output = context.output();
  if (output.json())
    output.json(trace_json(*view));
  else if (view->next <= 1)
    output.text("no faults\n");
  else
    output.text(trace_title(output) + trace_lines(*view));
  return {};
}

}  // namespace

Command trace_command() {
  return {
      .names = {"trace"},
      .arguments = {{"NAME", "the arena", false, {}}},
      .flags = {{"--follow", "", "go on with new ones until the arena is deleted"}},
      .summary = "print the latest page faults of an arena's clients",
      .details =
          "The latest 4096, oldest first, one line each: when the broker read of it, the client's "
          "ID, the thread, the exact address, what became of it, and the broker's time until the "
          "answer. installed: the page was made for it; present: it was there by then; denied: "
          "there was to be no page (SEGV_ON_FAULT, no memory, no quota), told by SIGSEGV, or "
          "SIGBUS where that is not taken or not permitted; deferred: raised again; discarded: "
          "nobody was left. A thread is shown by its tid; \"ptid\" is its id in the client's own "
          "pid namespace, where that is another one. Entries that were overwritten are counted. "
          "With --follow and -j each batch of new ones is a document of its own. A broker that "
          "takes "
          "over from one that died begins anew.",
      .example = "uarena arena trace heap --follow",
      .run = trace};
}

}  // namespace uarena::cli
