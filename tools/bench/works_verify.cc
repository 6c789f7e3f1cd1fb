// The verifiers: one object, judged by ours and by the live kernel's. Ours is verify() alone, the
// kernel's is BPF_PROG_LOAD, which compiles, too; maps and types are made before, on both sides.
// The generated programs show how the time grows with a program's length.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "jit/program.h"
#include "tests/support/bpf_asm.h"
#include "tests/support/functions.h"
#include "tests/support/kernel_loader.h"
#include "tests/support/kernel_program.h"
#include "tools/bench/bench.h"
#include "tools/bench/both_sides.h"

namespace uarena::bench {
namespace {

constexpr std::array kSuite = {"acquire_release", "atomics",    "calls",  "casts",
                               "globals",         "htab",       "kfuncs", "list",
                               "may_goto",        "sign_extend"};
constexpr std::array kLengths = {100, 1'000, 10'000, 100'000};

// All programs of an object, and what both verifiers need beside them.
class Judged {
 public:
  static Result<std::shared_ptr<Judged>> make(jit::Object object) {
    auto judged = std::make_shared<Judged>();
    judged->object_ = std::move(object);
    judged->functions_ = test::all_functions(judged->object_);
    auto maps = testing::KernelObject::make_maps(judged->object_);
    if (!maps) return std::unexpected(maps.error());
    judged->maps_.emplace(std::move(*maps));
    return judged;
  }

  Result<double> ours(double units) const {
    const uint64_t start = now_ns();
    for (size_t n = 0; n < object_.programs.size(); ++n) {
      jit::VerifierInput input;
      input.object = &object_;
      input.program = n;
      input.functions = &functions_;
      input.user_vm_start = maps_->arena_address();
      input.arena_size = maps_->arena() == nullptr ? 0 : maps_->arena()->size;
      if (const auto verified = jit::verify(input); !verified)
        return fail(verified.error().error.code, "{}", verified.error().error.message);
    }
    return static_cast<double>(now_ns() - start) / units;
  }

  Result<double> kernel(double units) const {
    testing::KernelQuestion question{&object_, nullptr, maps_->map_fds(), maps_->btf()};
    uint64_t ns = 0;
    for (const jit::ProgramDef& program : object_.programs) {
      question.program = &program;
      const uint64_t start = now_ns();
      const auto answer = testing::ask_kernel(question);
      ns += now_ns() - start;
      if (!answer) return std::unexpected(answer.error());
      if (!answer->program) return fail_errno(answer->error, "the kernel refuses {}", program.name);
    }
    return static_cast<double>(ns) / units;
  }

 private:
  jit::Object object_;
  jit::CallTable functions_;
  std::optional<testing::KernelObject> maps_;
};

Result<Pair> pair_of(Result<jit::Object> object, double units) {
  if (!object) return std::unexpected(object.error());
  auto judged = Judged::make(std::move(*object));
  if (!judged) return std::unexpected(judged.error());
  return Pair{[j = *judged, units] { return j->ours(units); },
              [j = *judged, units] { return j->kernel(units); }};
}

// Blocks of what programs consist of: a number of the context, bounded and used as an index, a
// branch, a spill.
std::string generated_text(int insns, size_t map) {
  std::string text = "r6 = r1\nr7 = 0\n";
  const int blocks = (insns - 4) / 13;  // below the kernel's 8,192 branches that wait
  for (int n = 0; n < blocks; ++n)
    text += fmt::format(
        "r2 = *(u32 *)(r6 +0)\nr2 &= 7\nr3 = map[idx:{0}][0]+0\nr3 += r2\nr4 = *(u8 *)(r3 +0)\n"
        "if r4 > 7 goto skip{1}\nr7 += r4\nskip{1}:\nr4 <<= 3\nr4 ^= r2\nr5 = r4\n*(u64 *)(r10 -8) "
        "= r7\n"
        "r7 = *(u64 *)(r10 -8)\n",
        map, n);
  return text + "r0 = 0\nexit\n";
}

// The maps and types of an object, and a program of that length.
Result<jit::Object> generated(const std::string& bpf_directory, int insns) {
  auto object = read_object(bpf_directory + "/globals.bpf.o");
  if (!object) return object;
  const auto bss = std::ranges::find(object->maps, jit::MapKind::bss, &jit::MapDef::kind);
  if (bss == object->maps.end() || bss->value_size < 8)
    return fail(EINVAL, "globals.bpf.o has no .bss of 8 bytes");
  const auto map = static_cast<size_t>(bss - object->maps.begin());
  auto assembly = test::assemble(generated_text(insns, map));
  if (!assembly) return std::unexpected(assembly.error());
  object->programs.resize(1);
  jit::ProgramDef& program = object->programs[0];
  program.insns = std::move(assembly->insns);
  program.subprogs.resize(1);
  program.subprogs[0].count = static_cast<uint32_t>(program.insns.size());
  program.lines.clear();
  return object;
}

}  // namespace

std::vector<Work> verify_works(const std::string& bpf_directory) {
  std::vector<Work> works;
  for (const std::string name : kSuite)
    works.push_back(
        {"verify." + name, "all programs of " + name, "ns/object", "lower", "PROG_LOAD",
         [=] { return pair_of(read_object(bpf_directory + "/" + name + ".bpf.o"), 1); }});
  for (const int insns : kLengths)
    works.push_back({fmt::format("verify.generated.{}", insns),
                     fmt::format("a program of {} instructions", insns), "ns/insn", "lower",
                     "PROG_LOAD", [=] { return pair_of(generated(bpf_directory, insns), insns); }});
  return works;
}

}  // namespace uarena::bench
