// verify(): from an object's program to a VerifiedProgram or a Rejection that names the instruction
// and the source line. The order of the checks is that of accept() below.
#include <algorithm>
#include <optional>

#include "jit/program.h"
#include "jit/verifier/advice.h"
#include "jit/verifier/explore.h"
#include "jit/verifier/reach.h"
#include "jit/verifier/walk_log.h"

namespace uarena::jit {

using verifier::Cfg;
using verifier::Checked;
using verifier::Fault;
using verifier::Findings;
using verifier::Outcome;
using verifier::Subject;

namespace {

constexpr size_t kMaxThresholds = 1024;
// What is explored one by one, passes of a loop and states where branches meet, before it is
// joined: little at first, since that is quick and mostly enough, and then more.
constexpr unsigned kQuickPasses = 24, kQuickBounded = 1, kQuickStates = 12;
constexpr unsigned kPatientPasses = 1000, kPatientStates = 1000;
constexpr size_t kShownSteps = 40;

Checked<ProgramType> type_of(const ProgramDef& program) {
  const auto type = program_type_of(program.section);
  if (type) return *type;
  return verifier::fault(0, EINVAL,
                         "program `{}` is in section \"{}\"; supported are syscall, socket, tc, "
                         "tcx, classifier, xdp, raw_tp and raw_tracepoint",
                         program.name, program.section);
}

bool refers_to_map(const Insn& i) {
  return is_ld_imm64(i) && (i.src == kPseudoMapFd || i.src == kPseudoMapValue);
}

// K65-K67: a program is associated with the arena that any of its instructions names.
Checked<> check_arena(const VerifierInput& input, const ProgramDef& program, const Cfg& cfg) {
  std::optional<int32_t> arena;
  for (size_t at = 0; at < program.insns.size(); ++at) {
    const Insn& i = program.insns[at];
    if (cfg.second_half[at] || !refers_to_map(i)) continue;
    if (input.object->maps[static_cast<size_t>(i.imm)].kind != MapKind::arena) continue;
    if (arena && *arena != i.imm) return verifier::fault(at, EBUSY, "Only one arena per program");
    if (input.user_vm_start == 0)
      return verifier::fault(at, EINVAL,
                             "arena's user address must be set via map_extra or mmap()");
    arena = i.imm;
  }
  if (arena) return {};
  for (size_t at = 0; at < program.insns.size(); ++at)
    if (!cfg.second_half[at] && is_addr_space_cast(program.insns[at]))
      return verifier::fault(
          at, EINVAL,
          "addr_space_cast insn can only be used in a program that has an "
          "associated arena; the program names no arena map and no arena global: "
          "uarena_uses(map) of uarena_bpf.h does");
  return {};
}

// What locks and timers in the values of its maps allow a program to be.
Checked<> check_map_fields(const Object& object, const ProgramDef& program, ProgramType type,
                           const Cfg& cfg) {
  const bool socket = type == ProgramType::socket_filter;
  const bool tracing = type == ProgramType::raw_tracepoint;
  if (!socket && !tracing) return {};
  for (size_t at = 0; at < program.insns.size(); ++at) {
    const Insn& i = program.insns[at];
    if (cfg.second_half[at] || !refers_to_map(i)) continue;
    for (const MapField& field : object.maps[static_cast<size_t>(i.imm)].fields) {
      if (field.kind != MapField::Kind::timer)
        return verifier::fault(at, EINVAL, "{} progs cannot use bpf_spin_lock yet",
                               socket ? "socket filter" : "tracing");
      if (tracing) return verifier::fault(at, EINVAL, "tracing progs cannot use bpf_timer yet");
    }
  }
  return {};
}

// The constants that a program's conditions are made of: where a loop's bounds come to rest.
std::vector<int64_t> thresholds_of(const ProgramDef& program, const Cfg& cfg) {
  std::vector<int64_t> values{0};
  for (size_t at = 0; at < program.insns.size(); ++at) {
    const Insn& i = program.insns[at];
    const uint8_t cls = insn_class(i.code);
    const bool compares = (cls == kJmp || cls == kJmp32) && insn_op(i.code) != kJa &&
                          insn_op(i.code) < kJcond && insn_op(i.code) != kCall &&
                          insn_op(i.code) != kExit;
    const bool moves = (cls == kAlu || cls == kAlu64) && insn_op(i.code) == kMov;
    if (cfg.second_half[at] || uses_register(i.code) || (!compares && !moves)) continue;
    for (const int64_t v : {int64_t{i.imm}, int64_t{static_cast<uint32_t>(i.imm)}})
      for (const int64_t near : {v - 1, v, v + 1}) values.push_back(near);
  }
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  if (values.size() > kMaxThresholds) values.resize(kMaxThresholds);
  return values;
}

uint32_t frame_bytes(int depth) { return (static_cast<uint32_t>(depth) + 7) / 8 * 8; }

// The deepest chain of calls and of callbacks that calls run: at most 8 frames with 512 bytes
// together; a frame counts as at least 16, as in the kernel. A timer's callback begins a chain of
// its own. Global functions are judged each on its own, so that it is only here that a callback is
// seen to come back to the function which runs it.
class StackDepth {
 public:
  StackDepth(const ProgramDef& program, const Cfg& cfg, const Findings& found)
      : program_(program), cfg_(cfg), found_(found), chains_(program.subprogs.size()) {}

  Checked<> check() {
    if (auto ok = check_from(0); !ok) return ok;
    for (const auto& [callback, map] : found_.timed)
      if (auto ok = check_from(callback); !ok) return ok;
    return {};
  }

 private:
  struct Chain {
    uint32_t bytes = 0;
    uint32_t calls = 0;   // functions of the chain with the most bytes
    uint32_t frames = 0;  // of the longest chain; 0: not known yet
    bool open = false;    // being looked at
  };

  // Recurses at most 8 deep.
  Checked<> look_at(uint32_t n, uint32_t depth) {
    if (chains_[n].frames != 0) return {};
    const uint32_t start = program_.subprogs[n].start;
    if (chains_[n].open)
      return verifier::fault(start, EINVAL, "recursive call of {}()", program_.subprogs[n].name);
    if (depth > verifier::kMaxFrames) return too_deep(start, depth);
    chains_[n].open = true;
    Chain below;
    for (const uint32_t callee : cfg_.callees[n])
      if (auto ok = add(callee, depth, below); !ok) return ok;
    for (auto loop = found_.loops.lower_bound({n, 0});
         loop != found_.loops.end() && loop->first == n; ++loop)
      if (auto ok = add(loop->second, depth, below); !ok) return ok;
    const uint32_t own = (std::max(frame_bytes(found_.stack_depth[n]), 1u) + 15) / 16 * 16;
    chains_[n] = {below.bytes + own, below.calls + 1, below.frames + 1};
    return {};
  }

  Checked<> add(uint32_t callee, uint32_t depth, Chain& below) {
    if (auto ok = look_at(callee, depth + 1); !ok) return ok;
    const Chain& other = chains_[callee];
    if (other.bytes > below.bytes) {
      below.bytes = other.bytes;
      below.calls = other.calls;
    }
    below.frames = std::max(below.frames, other.frames);
    return {};
  }

  Checked<> check_from(uint32_t root) {
    if (auto ok = look_at(root, 1); !ok) return ok;
    const Chain& chain = chains_[root];
    if (chain.frames > verifier::kMaxFrames)
      return too_deep(program_.subprogs[root].start, chain.frames);
    if (chain.bytes <= static_cast<uint32_t>(verifier::kMaxStack)) return {};
    return verifier::fault(0, EACCES, "combined stack size of {} calls is {}. Too large",
                           chain.calls, chain.bytes);
  }

  static std::unexpected<Fault> too_deep(uint32_t insn, uint32_t frames) {
    return verifier::fault(insn, E2BIG, "the call stack of {} frames is too deep", frames);
  }

  const ProgramDef& program_;
  const Cfg& cfg_;
  const Findings& found_;
  std::vector<Chain> chains_;  // per subprogram
};

std::string source_of(const ProgramDef& program, size_t insn) {
  const LineInfo* line = line_of(program, insn);
  if (line == nullptr) return disassemble(program.insns, insn);
  const std::string_view file = line->file;
  const size_t slash = file.rfind('/');
  std::string_view text = line->text;
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  return fmt::format("{}:{}: {}", file.substr(slash == std::string_view::npos ? 0 : slash + 1),
                     line->line, text);
}

// Without a log: the newest part of the path to the fault, with its source lines and what was known
// at its end.
std::string path_text(const Object& object, const ProgramDef& program, const Outcome& outcome) {
  if (outcome.path.empty()) return {};
  const size_t from = outcome.path.size() > kShownSteps ? outcome.path.size() - kShownSteps : 0;
  std::string text = fmt::format("path of {} instructions", outcome.path.size());
  text += from > 0 ? fmt::format(", the last {}:\n", kShownSteps) : ":\n";
  const LineInfo* shown = nullptr;
  for (size_t n = from; n < outcome.path.size(); ++n) {
    const LineInfo* line = line_of(program, outcome.path[n]);
    const bool same = line != nullptr && shown != nullptr && line->line == shown->line;
    if (line != nullptr && !same) text += "; " + verifier::line_text(line) + "\n";
    shown = line;
    text += fmt::format("{}: {}\n", outcome.path[n],
                        verifier::insn_text(object, program, outcome.path[n]));
  }
  if (!outcome.last_state.empty())
    text += fmt::format("{}:{}\n", outcome.path.back(), outcome.last_state);
  return text;
}

}  // namespace

class Verifier {
 public:
  explicit Verifier(const VerifierInput& input)
      : input_(input), program_(input.object->programs[input.program]) {}

  std::expected<VerifiedProgram, Rejection> run(std::string* log) {
    const auto accepted = accept();
    if (log != nullptr && input_.log_level > 0) *log = log_text(accepted);
    if (accepted) return verified();
    return std::unexpected(rejection(accepted.error()));
  }

 private:
  Checked<> accept() {
    const auto type = type_of(program_);
    if (!type) return std::unexpected(type.error());
    auto cfg = verifier::check_structure(*input_.object, program_);
    if (!cfg) return std::unexpected(cfg.error());
    if (auto ok = verifier::check_reachable(program_, *cfg); !ok) return ok;
    if (auto ok = check_arena(input_, program_, *cfg); !ok) return ok;
    const CallTable none;
    const CallTable& functions = input_.functions == nullptr ? none : *input_.functions;
    if (auto ok = check_map_fields(*input_.object, program_, *type, *cfg); !ok) return ok;
    auto live = verifier::compute_liveness(program_, *cfg, functions);
    auto repeats = verifier::find_repeats(program_, *cfg, functions);
    auto thresholds = thresholds_of(program_, *cfg);
    const Subject subject{*input_.object,
                          program_,
                          functions,
                          *type,
                          input_.user_vm_start,
                          input_.arena_size,
                          std::move(*cfg),
                          std::move(live),
                          std::move(repeats),
                          std::move(thresholds)};
    if (auto ok = walk(subject); !ok) return ok;
    return StackDepth(program_, subject.cfg, outcome_->found).check();
  }

  // Where joining early loses a bound that the program needs, a patient walk may still show that
  // all is well; either proof counts.
  Checked<> walk(const Subject& subject) {
    verifier::Limits limits{input_.insn_limit, kQuickPasses,    kQuickBounded,   kQuickStates,
                            input_.log_level,  input_.deadline, input_.cancelled};
    limits.sink = input_.sink;
    outcome_ = verifier::explore(subject, limits);
    if (outcome_->verdict || !outcome_->widened) return outcome_->verdict;
    limits.loop_passes = limits.bounded_passes = kPatientPasses;
    limits.states = kPatientStates;
    Outcome patient = verifier::explore(subject, limits);
    if (patient.verdict || patient.verdict.error().code != E2BIG) outcome_ = std::move(patient);
    return outcome_->verdict;
  }

  VerifiedProgram verified() {
    VerifiedProgram program;
    program.def_ = program_;
    program.facts_ = std::move(outcome_->found.facts);
    for (const int depth : outcome_->found.stack_depth)
      program.stack_bytes_.push_back(frame_bytes(depth));
    program.zeroed_stack_ = std::move(outcome_->found.reads_uninit);
    for (const auto& [insn, handed] : outcome_->found.handed)
      if (handed.pointers.own != 0) program.own_pointers_.emplace(insn, handed.pointers);
    program.ctx_size_ = outcome_->found.ctx_size;
    program.insns_processed_ = outcome_->statistics.insns;
    return program;
  }

  Rejection rejection(const Fault& fault) const {
    Rejection out;
    out.insn = fault.insn;
    out.error.code = fault.code;
    out.error.why = Why::rejected;
    out.error.message = fault.insn < program_.insns.size()
                            ? fmt::format("insn {} ({}): {}", fault.insn,
                                          source_of(program_, fault.insn), fault.text)
                            : fault.text;
    out.log = log_text(std::unexpected(fault));
    return out;
  }

  // The walk, the message, the kernel's line of figures, and what to do about it.
  std::string log_text(const Checked<>& accepted) const {
    std::string text = outcome_ ? outcome_->log : std::string{};
    if (text.size() > verifier::kMaxLog) text.erase(0, text.size() - verifier::kMaxLog);
    if (outcome_ && !accepted && input_.log_level == 0)
      text += path_text(*input_.object, program_, *outcome_);
    if (accepted && input_.log_level == 1) text.clear();
    if (!accepted) text += accepted.error().text + "\n";
    if (outcome_) {
      const verifier::Statistics& s = outcome_->statistics;
      text += fmt::format(
          "processed {} insns (limit {}) max_states_per_insn {} total_states {} peak_states {}\n",
          s.insns, input_.insn_limit, s.max_states_per_insn, s.total_states, s.peak_states);
    }
    if (!accepted) text += fmt::format("hint: {}\n", verifier::advice_for(accepted.error().text));
    return text;
  }

  const VerifierInput& input_;
  const ProgramDef& program_;
  std::optional<Outcome> outcome_;
};

std::expected<VerifiedProgram, Rejection> verify(const VerifierInput& input, std::string* log) {
  UARENA_ASSERT(input.object != nullptr && input.program < input.object->programs.size(),
                "no program {} to verify", input.program);
  return Verifier(input).run(log);
}

}  // namespace uarena::jit
