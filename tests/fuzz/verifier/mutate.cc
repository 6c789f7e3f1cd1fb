// Small changes to programs that are there: at the place where one was rejected, or anywhere.
#include <algorithm>

#include "tests/fuzz/verifier/generator.h"

namespace uarena::fuzz {
namespace {

using namespace jit;

// A function whose last call was repaired away is called from some other place.
bool call_again(Random& random, ProgramDef& program, size_t insn) {
  const auto callee = std::ranges::find(program.subprogs, insn, &Subprog::start);
  if (insn == 0 || callee == program.subprogs.end()) return false;
  const uint32_t main = program.subprogs[0].count;
  if (main < 3) return false;
  size_t at = random.below(main - 2);
  for (size_t n = 0; n < main - 2; ++n)
    if (program.insns[n] == Insn{.code = kJmp | kJa}) at = n;
  program.insns[at] = {kJmp | kCall, 0, kPseudoCall, 0, static_cast<int32_t>(insn - at - 1)};
  return true;
}

}  // namespace

void repair(Random& random, ProgramDef& program, size_t insn) {
  if (insn >= program.insns.size() || call_again(random, program, insn)) return;
  // What nothing leads to is reached again when what stands before it goes on.
  if (insn > 0 && random.one_in(2)) {
    const Insn& before = program.insns[insn - 1];
    if (before.code == (kJmp | kJa) || before.code == (kJmp | kExit)) insn--;
  }
  Insn& i = program.insns[insn];
  const bool control = insn_class(i.code) == kJmp || insn_class(i.code) == kJmp32;
  const bool leaves = control && insn_op(i.code) == kExit;
  const auto target = static_cast<uint8_t>(leaves ? 0 : i.dst % 10);
  if (is_ld_imm64(i) && insn + 1 < program.insns.size())
    program.insns[insn + 1] = {kAlu64 | kMov, target, 0, 0, 1};
  if (leaves) {
    if (insn > 0 && random.one_in(2)) program.insns[insn - 1] = {kAlu64 | kMov, 0, 0, 0, 0};
    return;
  }
  switch (random.pick(4)) {
    case 0:
      i = {kAlu64 | kMov, target, 0, 0, static_cast<int32_t>(random.pick(9)) * 8};
      break;
    case 1:
      i = {kAlu64 | kAnd, target, 0, 0, 56};
      break;
    case 2:
      i = {kAlu64 | kMov | kX, target, static_cast<uint8_t>(random.pick(11)), 0, 0};
      break;
    default:
      i = {kJmp | kJa, 0, 0, 0, 0};
  }
}

void mutate(Random& random, ProgramDef& program) {
  for (unsigned n = 1 + random.pick(3); n > 0 && !program.insns.empty(); --n) {
    Insn& i = program.insns[random.below(program.insns.size())];
    switch (random.pick(6)) {
      case 0:
        i.dst = static_cast<uint8_t>(random.pick(11));
        break;
      case 1:
        i.src = static_cast<uint8_t>(random.pick(11));
        break;
      case 2:
        i.off = static_cast<int16_t>(random.one_of(0, 1, -1, 8, -8, i.off + 1, i.off - 1));
        break;
      case 3:
        i.imm = random.one_of(0, 1, -1, 8, 63, 64, 0x7fffffff, static_cast<uint32_t>(i.imm) + 1,
                              static_cast<uint32_t>(i.imm) - 1);
        break;
      case 4:
        i.code = static_cast<uint8_t>(i.code ^ (1u << random.pick(8)));
        break;
      default:
        i = program.insns[random.below(program.insns.size())];
    }
  }
}

}  // namespace uarena::fuzz
