#include "broker/program.h"

#include <chrono>

#include "ipc/base/log.h"
#include "jit/packet.h"
#include "jit/report_text.h"
#include "jit/turns.h"

namespace uarena::broker {
namespace {

constexpr size_t kMaxRawArguments = 12 * sizeof(uint64_t);  // as the kernel's

double seconds(uint64_t ns) { return static_cast<double>(ns) / 1e9; }

uint64_t realtime_ns() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

// The run did not come to its end. What it has done it has done, so its arena is marked.
Error note_ended(const Program& program, const jit::RunContext& context, bool gone) {
  program.ended_cnt.fetch_add(1, std::memory_order_relaxed);
  if (program.object->arena)
    program.object->arena->note_cut_off_run(gone ? CutOff::gone : CutOff::limit, program.id,
                                            program.name, realtime_ns());
  const std::string place = program.executable->place_of(context.ended_at);
  log(LogLevel::warning, "run.ended",
      {{"program", program.id}, {"name", program.name}, {"at", place}, {"client_gone", gone}});
  if (gone)
    return {ECANCELED,
            fmt::format("program {} was ended at {}: the client is gone", program.name, place)};
  return {ETIMEDOUT, fmt::format("program {} ran for {} s and was ended at {}", program.name,
                                 seconds(context.limit_ns), place)};
}

void prepare(jit::RunContext& context, const Program& program, const std::atomic<bool>& cancel,
             uint64_t limit_ns) {
  context.arena = program.object->arena ? &program.object->arena->view() : nullptr;
  context.log = &program.log;
  context.out = &program.out;
  context.err = &program.err;
  context.reports = &program.reports;
  context.timers = program.object->timers;
  context.owner = &program;
  context.cancelled = &cancel;
  context.limit_ns = limit_ns;
}

Result<void> run_once(const Program& program, std::span<std::byte> ctx,
                      const std::atomic<bool>& cancel, uint64_t limit_ns, const jit::Caller* caller,
                      RunResult* result) {
  jit::RunContext context;
  prepare(context, program, cancel, limit_ns);
  context.caller = caller;
  result->r0 = program.executable->run(ctx, context);
  result->faults += context.faults.load(std::memory_order_relaxed);
  if (context.may_goto_expired || context.ended)
    program.err.write(jit::text_of_time_out(*program.executable, context));
  if (!context.ended) return {};
  return std::unexpected(note_ended(program, context, cancel.load(std::memory_order_relaxed)));
}

// What R1 points to.
class Input {
 public:
  static Result<Input> create(const Program& program, std::span<std::byte> ctx,
                              std::span<std::byte> packet) {
    Input made(ctx);
    if (jit::takes_packets(program.type)) {
      auto context = jit::PacketContext::create(program.type, ctx, packet);
      if (!context) return std::unexpected(context.error());
      made.packet_ = *context;
      return made;
    }
    if (!packet.empty()) return fail(EINVAL, "program {} takes no packets", program.name);
    if (program.type == jit::ProgramType::raw_tracepoint && ctx.size() > kMaxRawArguments)
      return fail(EINVAL, "a tracepoint has at most {} arguments, {} bytes of context were given",
                  kMaxRawArguments / sizeof(uint64_t), ctx.size());
    if (ctx.size() < program.ctx_size)
      return fail(EINVAL, "program {} accesses {} bytes of context, {} were given", program.name,
                  program.ctx_size, ctx.size());
    return made;
  }
  std::span<std::byte> memory() { return packet_ ? packet_->memory() : ctx_; }
  void write_back() const {
    if (packet_) packet_->write_back(ctx_);
  }

 private:
  explicit Input(std::span<std::byte> ctx) : ctx_(ctx) {}
  std::span<std::byte> ctx_;
  std::optional<jit::PacketContext> packet_;
};

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

// Its repetitions are one request: they have one limit in common.
Result<RunResult> run_program(const Program& program, std::span<std::byte> ctx, uint32_t repeat,
                              const std::atomic<bool>& cancel, uint64_t limit_ns,
                              const jit::Caller* caller, std::span<std::byte> packet) {
  auto input = Input::create(program, ctx, packet);
  if (!input) return std::unexpected(input.error());
  RunResult result;
  result.repeat = repeat == 0 ? 1 : repeat;
  const uint64_t start = jit::monotonic_ns();
  uint64_t elapsed = 0;
  uint32_t done = 0;
  Result<void> whole;
  while (whole && done < result.repeat && (done == 0 || elapsed < limit_ns)) {
    if (cancel.load(std::memory_order_relaxed))
      return fail(ECANCELED, "stopped after {} of {} repetitions: the client is gone", done,
                  result.repeat);
    whole = run_once(program, input->memory(), cancel, limit_ns, caller, &result);
    ++done;
    // Reading the clock costs as much as a small program, so it is read every 64th time at most.
    if (!whole || done == result.repeat || done < 64 || done % 64 == 0)
      elapsed = jit::monotonic_ns() - start;
  }
  input->write_back();
  program.run_cnt.fetch_add(done, std::memory_order_relaxed);
  program.run_time_ns.fetch_add(elapsed, std::memory_order_relaxed);
  if (!whole) return std::unexpected(std::move(whole.error()));
  if (done < result.repeat)
    return fail(ETIME, "stopped after {} of {} repetitions: a request may run for {} s", done,
                result.repeat, seconds(limit_ns));
  result.duration_ns = elapsed / done;
  return result;
}

jit::TraceLog::Content stderr_of(const Program& program) {
  program.err.write(jit::text_of_new_faults(*program.executable, program.reports));
  return program.err.content();
}

void run_callback(const Program& program, uint32_t callback, const jit::CallbackArgs& args,
                  const std::atomic<bool>& cancel, uint64_t limit_ns) {
  jit::RunContext context;
  prepare(context, program, cancel, limit_ns);
  program.executable->run_callback(callback, args, context);
  if (context.may_goto_expired || context.ended)
    program.err.write(jit::text_of_time_out(*program.executable, context));
  if (context.ended) note_ended(program, context, cancel.load(std::memory_order_relaxed));
}

}  // namespace uarena::broker
