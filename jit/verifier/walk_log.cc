// An instruction is printed before it is taken, and what it touched is added to the same line
// afterwards; if it fails, its line stands alone, followed by the message.
#include "jit/verifier/walk_log.h"

#include <algorithm>

#include "jit/verifier/print.h"

namespace uarena::jit::verifier {
namespace {

// The column of the semicolon behind an instruction: 40, or the next multiple of 8 behind a long
// one, less what the kernel's line end takes.
constexpr size_t kColumn = 40;
constexpr size_t kStep = 8;

std::string padding(size_t length) {
  const size_t with_end = length + 1;
  const size_t column = (std::max(with_end + kStep / 2, kColumn) + kStep - 1) / kStep * kStep;
  return std::string(column - with_end - 1, ' ');
}

// The registers that an instruction names.
uint16_t named_registers(const Insn& i) {
  const uint8_t cls = insn_class(i.code);
  const uint16_t dst = static_cast<uint16_t>(1u << i.dst), src = static_cast<uint16_t>(1u << i.src);
  const bool jumps = cls == kJmp || cls == kJmp32;
  if (jumps && (insn_op(i.code) == kCall || insn_op(i.code) == kExit)) return 1;
  if (jumps && (insn_op(i.code) == kJa || insn_op(i.code) == kJcond)) return 0;
  if (cls == kLd || cls == kSt) return dst;
  if (cls == kLdx || cls == kStx) return dst | src;
  return uses_register(i.code) ? dst | src : dst;
}

// Compilers split a line of source into several records, by column.
bool same_line(const LineInfo& line, const LineInfo* shown) {
  return shown != nullptr && line.line == shown->line && line.file == shown->file;
}

// The slot of the running frame that a load or store through R10 names; none: a large number.
size_t named_slot(const Insn& i) {
  const uint8_t cls = insn_class(i.code);
  const bool loads = cls == kLdx && i.src == 10;
  const bool stores = (cls == kSt || cls == kStx) && i.dst == 10;
  return (loads || stores) && i.off < 0 ? static_cast<size_t>(-i.off - 1) / 8 : SIZE_MAX;
}

}  // namespace

void WalkLog::begin(uint32_t n, size_t at, const State& state) {
  if (level_ < 1) return;
  const Subprog& self = subject_.program.subprogs[n];
  if (level_ == 1) {  // what came before was accepted
    dropped_ += text_.size();
    text_.clear();
  }
  line_ = nullptr;
  if (state.top().entered == Entered::global)
    append(fmt::format("Validating {}() func#{}...\n", self.name, n));
  append(fmt::format("{}:{}\n", at, to_string(state, subject_.object)));
}

void WalkLog::go_back(size_t place, size_t from, size_t at, const State& state) {
  if (level_ < 1) return;
  line_ = nullptr;
  if (level_ == 1) {
    text_.resize(place > dropped_ ? place - dropped_ : 0);
    dropped_ = std::min(dropped_, place);
    if (!text_.empty()) text_.back() = '\n';  // a note may have taken the line's end since
  }
  append(fmt::format("\nfrom {} to {}:{}\n", from, at, to_string(state, subject_.object)));
}

void WalkLog::before(size_t at, const State& state) {
  if (level_ < 1) return;
  const LineInfo* line = line_of(subject_.program, at);
  if (line != nullptr && !same_line(*line, line_)) append("; " + line_text(line) + "\n");
  line_ = line;
  append(fmt::format("{}: {}\n", at, insn_text(subject_.object, subject_.program, at)));
  before_ = print(state);
  const bool leaves = subject_.insn(at).code == (kJmp | kExit);
  callee_ = leaves ? to_string(state, subject_.object) : std::string{};
}

void WalkLog::after(size_t at, size_t next, const State& state) {
  if (level_ < 1) return;
  if (state.frames.size() != before_.depth) return frames_changed(next, state);
  const std::string changed = changes(at, state);
  if (is_pseudo_call(subject_.insn(at))) return called_global(at, changed);
  if (changed.empty() || text_.empty() || text_.back() != '\n') return;
  text_.pop_back();
  const size_t start = text_.rfind('\n');
  const size_t length = text_.size() - (start == std::string::npos ? 0 : start + 1);
  append(padding(length) + ";" + changed + "\n");
}

void WalkLog::called_global(size_t at, const std::string& changed) {
  const uint32_t n = call_target(subject_.cfg, subject_.program, at);
  append(fmt::format("Func#{} ('{}') is global and assumed valid.\n{}:{}\n", n,
                     subject_.program.subprogs[n].name, at + 1, changed));
}

void WalkLog::safe(size_t at) {
  if (level_ >= 2) append(fmt::format("{}: safe\n", at));
}

void WalkLog::widened(const State& state) {
  if (level_ < 1) return;
  append("widened:" + to_string(state, subject_.object) + "\n");
}

WalkLog::Printed WalkLog::print(const State& state) const {
  Printed out;
  const Frame& frame = state.top();
  out.depth = state.frames.size();
  for (size_t r = 0; r < frame.regs.size(); ++r)
    if (frame.regs[r].kind != Kind::uninit)
      out.regs[r] = to_string(frame.regs[r], subject_.object, out.depth - 1);
  for (const Slot& slot : frame.stack)
    out.slots.push_back(to_string(slot, state, out.depth - 1, subject_.object));
  out.refs = refs_text(state);
  return out;
}

std::string WalkLog::changes(size_t at, const State& state) const {
  const Printed now = print(state);
  const uint16_t named = named_registers(subject_.insn(at));
  const size_t slot = named_slot(subject_.insn(at));
  std::string out;
  for (size_t r = 0; r < now.regs.size(); ++r) {
    const bool show = (named >> r & 1) != 0 || now.regs[r] != before_.regs[r];
    if (show && !now.regs[r].empty()) out += fmt::format(" R{}={}", r, now.regs[r]);
  }
  for (size_t n = 0; n < now.slots.size(); ++n) {
    const bool same = n < before_.slots.size() && now.slots[n] == before_.slots[n];
    if ((!same || n == slot) && !now.slots[n].empty())
      out += fmt::format(" fp{}={}", -8 * static_cast<int>(n + 1), now.slots[n]);
  }
  if (out.empty() && now.refs == before_.refs) return {};
  return frame_label(now.depth - 1) + out + now.refs;
}

void WalkLog::frames_changed(size_t next, const State& state) {
  const size_t depth = state.frames.size();
  line_ = nullptr;
  if (depth > before_.depth)
    return append("caller:\n" + to_string(state, depth - 2, subject_.object) + "\ncallee:\n" +
                  to_string(state, subject_.object) + "\n");
  append(fmt::format("returning from callee:\n{}\nto caller at {}:\n{}\n", callee_, next,
                     to_string(state, subject_.object)));
}

void WalkLog::append(std::string_view text) {
  if (text_.size() + text.size() > 2 * kMaxLog) {
    const size_t old = text_.size() > kMaxLog ? text_.size() - kMaxLog : 0;
    text_.erase(0, old);
    dropped_ += old;
  }
  text_ += text;
}

}  // namespace uarena::jit::verifier
