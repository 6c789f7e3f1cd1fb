// A program: the plan of what its functions ask for, and then each function that is called
// (body.h).
#include "tests/fuzz/verifier/generator.h"

#include <algorithm>
#include <array>

#include "tests/fuzz/verifier/body.h"
#include "tests/fuzz/verifier/world.h"

namespace uarena::fuzz {
namespace {

using namespace jit;

constexpr int64_t kLentBytes[] = {8, 16, 32};

Known lent(Random& random, bool strict) {
  Known known = Known::pointer(What::memory, kLentBytes[random.pick(3)]);
  known.strict = strict;
  return known;
}

Signature of_static(Random& random) {
  Signature signature;
  for (unsigned n = 1 + random.pick(3); n > 0; --n) {
    switch (random.pick(6)) {
      case 0:
        signature.args.push_back({.what = What::arena});
        break;
      case 1:
        signature.args.push_back(lent(random, true));
        break;
      case 2:
        signature.args.push_back(Known::pointer(What::value, kBssBytes));
        signature.args.back().map = kBss;
        break;
      case 3:
        signature.args.push_back({.what = What::ctx});
        break;
      default:
        signature.args.push_back(Known::number());
    }
  }
  return signature;
}

Signature of_global(Random& random) {
  using Kind = Param::Kind;
  Signature signature;
  for (unsigned n = 1 + random.pick(3); n > 0; --n) {
    Param param;
    param.kind = static_cast<Kind>(random.one_of(Kind::scalar, Kind::scalar, Kind::arena,
                                                 Kind::memory, Kind::memory_or_null, Kind::ctx));
    Known known = Known::number();
    if (param.kind == Kind::arena) known = {.what = What::arena};
    if (param.kind == Kind::ctx) known = {.what = What::ctx};
    if (param.kind == Kind::memory || param.kind == Kind::memory_or_null) {
      known = lent(random, false);
      param.size = static_cast<uint32_t>(known.size);
    }
    signature.args.push_back(known);
    signature.params.push_back(param);
  }
  return signature;
}

// Half of the programs are meant to be right.
Plan plan_of(Random& random) {
  Plan plan;
  if (random.pick(2)) plan.mistakes = 1 + random.pick(2);
  plan.type = static_cast<ProgramType>(random.one_of(ProgramType::syscall, ProgramType::syscall,
                                                     ProgramType::syscall, ProgramType::xdp,
                                                     ProgramType::sched_cls, ProgramType::xdp));
  plan.signatures[kMain].args = {{.what = What::ctx}};
  plan.signatures[kStatic] = of_static(random);
  plan.signatures[kGlobal] = of_global(random);
  plan.signatures[kCallback].args = {Known::within(0, 0xffffffff), lent(random, true)};
  plan.each = random.one_of(kArray, kHash, kHash);
  Known key = Known::pointer(What::memory, 4), value = Known::pointer(What::value, kElementBytes);
  key.read_only = true;
  value.map = plan.each;
  plan.signatures[kEach].args = {{}, key, value, lent(random, true)};
  return plan;
}

}  // namespace

void generate(Random& random, ProgramDef& program) {
  program.insns.clear();
  program.subprogs.clear();
  static constexpr const char* kNames[] = {"fuzz", "local", "global", "callback", "each"};
  Plan plan = plan_of(random);
  program.section = plan.type == ProgramType::xdp         ? "xdp"
                    : plan.type == ProgramType::sched_cls ? "tc"
                                                          : "syscall";
  std::vector<Body::Use> uses;
  std::vector<Sub> wanted = {kMain};  // a function that nobody calls is not there
  uint32_t starts[kSubprogs] = {};
  for (size_t n = 0; n < wanted.size(); ++n) {
    const Sub self = wanted[n];
    const auto start = starts[self] = static_cast<uint32_t>(program.insns.size());
    Body body(random, plan, program.insns, self);
    body.make(self == kMain ? 3 + random.pick(12) : 1 + random.pick(5));
    for (const Body::Use& use : body.uses)
      if (std::ranges::find(wanted, use.callee) == wanted.end()) wanted.push_back(use.callee);
    uses.insert(uses.end(), body.uses.begin(), body.uses.end());
    Subprog subprog{kNames[self],
                    start,
                    static_cast<uint32_t>(program.insns.size()) - start,
                    self == kMain || self == kGlobal,
                    self + 1,
                    {}};
    if (self == kGlobal) subprog.params = plan.signatures[kGlobal].params;
    program.subprogs.push_back(std::move(subprog));
  }
  for (const auto& [at, callee] : uses)
    program.insns[at].imm = static_cast<int32_t>(starts[callee]) - static_cast<int32_t>(at) - 1;
}

}  // namespace uarena::fuzz
