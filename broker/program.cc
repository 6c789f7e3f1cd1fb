#include "broker/program.h"

#include <time.h>

namespace uarena::broker {
namespace {

uint64_t now_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

}  // namespace

std::vector<std::pair<size_t, int>> ObjectState::kept_memory() const {
  std::vector<std::pair<size_t, int>> kept;
  for (size_t i = 0; i < bound.size(); ++i) {
    if (bound[i].read_only) continue;
    for (const MapMemory& bytes : memory)
      if (bytes.data() == bound[i].value) kept.emplace_back(i, bytes.fd());
  }
  return kept;
}

Result<RunResult> run_program(const Program& program, std::span<std::byte> ctx, uint32_t repeat,
                              const std::atomic<bool>& cancel) {
  if (ctx.size() < program.ctx_size)
    return fail(EINVAL, "program {} accesses {} bytes of context, {} were given", program.name,
                program.ctx_size, ctx.size());
  const jit::ArenaView* view = program.object->arena ? &program.object->arena->view() : nullptr;
  RunResult result;
  result.repeat = repeat == 0 ? 1 : repeat;
  const uint64_t start = now_ns();
  uint64_t elapsed = 0;
  uint32_t done = 0;
  while (done < result.repeat && (done == 0 || elapsed < kRunLimitNs)) {
    if (cancel.load(std::memory_order_relaxed))
      return fail(ECANCELED, "stopped after {} of {} repetitions: the client is gone", done,
                  result.repeat);
    jit::RunContext context;
    context.arena = view;
    context.cancelled = &cancel;
    result.r0 = program.executable->run(ctx, context);
    result.faults += context.faults.load(std::memory_order_relaxed);
    ++done;
    // Reading the clock costs as much as a small program, so it is read every 64th time at most.
    if (done == result.repeat || done < 64 || done % 64 == 0) elapsed = now_ns() - start;
  }
  program.run_cnt.fetch_add(done, std::memory_order_relaxed);
  program.run_time_ns.fetch_add(elapsed, std::memory_order_relaxed);
  if (done < result.repeat)
    return fail(ETIME, "stopped after {} of {} repetitions: a request may run for {} s", done,
                result.repeat, kRunLimitNs / 1'000'000'000);
  result.duration_ns = elapsed / done;
  return result;
}

}  // namespace uarena::broker
