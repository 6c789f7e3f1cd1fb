// Maps and types are made once; what is measured is the judging of instructions.
#include "tests/support/verify_pair.h"

#include <chrono>
#include <fstream>
#include <iterator>
#include <memory>

#include "jit/program.h"
#include "tests/support/functions.h"
#include "tests/support/kernel_btf.h"
#include "tests/support/kernel_loader.h"
#include "tests/support/kernel_program.h"

namespace uarena::testing {
namespace {

constexpr uint64_t kUserVmStart = 0x7e9000000000;

struct Subject {
  jit::Object object;
  std::vector<Fd> maps;
  Fd btf;
  std::vector<size_t> programs;
  double units = 1;
};

double nanoseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
}

Result<double> verify_here(const Subject& subject) {
  const jit::CallTable functions = test::all_functions(subject.object);
  const auto start = std::chrono::steady_clock::now();
  for (const size_t n : subject.programs) {
    jit::VerifierInput input;
    input.object = &subject.object;
    input.program = n;
    input.functions = &functions;
    input.user_vm_start = kUserVmStart;
    if (subject.object.arena)
      input.arena_size = subject.object.maps[*subject.object.arena].max_entries * kPageSize;
    if (const auto verified = jit::verify(input); !verified)
      return std::unexpected(verified.error().error);
  }
  return nanoseconds_since(start) / subject.units;
}

Result<double> load_there(const Subject& subject) {
  std::vector<int> maps;
  for (const Fd& map : subject.maps) maps.push_back(map.get());
  double spent = 0;
  for (const size_t n : subject.programs) {
    const auto start = std::chrono::steady_clock::now();
    const auto answer =
        ask_kernel({&subject.object, &subject.object.programs[n], maps, subject.btf.get()});
    spent += nanoseconds_since(start);  // without the unloading
    if (!answer) return std::unexpected(answer.error());
    if (answer->error != 0)
      return fail_errno(answer->error, "the kernel refuses program '{}'",
                        subject.object.programs[n].name);
  }
  return spent / subject.units;
}

Result<VerifyPair> pair_of(std::shared_ptr<Subject> subject) {
  for (const jit::MapDef& def : subject->object.maps) {
    // The kernel wants to know where an arena is before it loads a program that uses it.
    const bool homeless = def.kind == jit::MapKind::arena && def.map_extra == 0;
    auto map =
        create_kernel_map({def.type, def.key_size, def.value_size, def.max_entries, def.map_flags,
                           homeless ? kUserVmStart : def.map_extra, def.name});
    if (!map) return std::unexpected(map.error());
    subject->maps.push_back(std::move(*map));
  }
  if (!subject->object.btf.empty()) {
    auto btf = load_btf_into_kernel(subject->object);
    if (!btf) return std::unexpected(btf.error());
    subject->btf = std::move(*btf);
  }
  return VerifyPair{[subject] { return verify_here(*subject); },
                    [subject] { return load_there(*subject); }};
}

jit::Insn insn(int code, unsigned dst, unsigned src, int off, int imm) {
  jit::Insn i;
  i.code = static_cast<uint8_t>(code);
  i.dst = static_cast<uint8_t>(dst & 15);
  i.src = static_cast<uint8_t>(src & 15);
  i.off = static_cast<int16_t>(off);
  i.imm = imm;
  return i;
}

void add_block(std::vector<jit::Insn>& out, int turn) {
  using namespace jit;
  const int at = -8 * (1 + turn % 8);
  // The kernel gives up on 8192 branches that wait, so not every block of 100,000 instructions has
  // one.
  const Insn check =
      turn % 2 == 0 ? insn(kJmp | kJgt, 2, 0, 3, 56) : insn(kAlu64 | kAnd, 2, 0, 0, 56);
  for (const Insn& i :
       {insn(kLdx | kMem | kW, 2, 6, 4 * (turn % 16), 0), check,
        insn(kStx | kMem | kDw, 10, 2, at, 0), insn(kLdx | kMem | kDw, 3, 10, at, 0),
        insn(kAlu64 | kAdd, 3, 0, 0, turn % 7), insn(kAlu64 | kMov | kX, 4, 2, 0, 0),
        insn(kAlu64 | kAnd, 4, 0, 0, 56), insn(kAlu64 | kMov | kX, 5, 4, 0, 0),
        insn(kAlu64 | kLsh, 5, 0, 0, 2), insn(kStx | kMem | kDw, 10, 5, at, 0)})
    out.push_back(i);
}

}  // namespace

Result<VerifyPair> verify_object(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  auto object = jit::load_object(std::as_bytes(std::span(text)));
  if (!object) return std::unexpected(object.error());
  auto subject = std::make_shared<Subject>();
  subject->object = std::move(*object);
  for (size_t n = 0; n < subject->object.programs.size(); ++n)
    if (!subject->object.programs[n].optional) subject->programs.push_back(n);
  subject->units = static_cast<double>(subject->programs.size());
  return pair_of(std::move(subject));
}

Result<VerifyPair> verify_generated(uint32_t insns) {
  auto subject = std::make_shared<Subject>();
  subject->object.license = "GPL";
  jit::ProgramDef program;
  program.name = "generated";
  program.section = "syscall";
  program.insns.push_back(insn(jit::kAlu64 | jit::kMov | jit::kX, 6, 1, 0, 0));
  for (int turn = 0; program.insns.size() + 12 <= insns; ++turn) add_block(program.insns, turn);
  program.insns.push_back(insn(jit::kAlu64 | jit::kMov, 0, 0, 0, 0));
  program.insns.push_back(insn(jit::kJmp | jit::kExit, 0, 0, 0, 0));
  const auto count = static_cast<uint32_t>(program.insns.size());
  program.subprogs = {{"generated", 0, count, true, 0, {}}};
  subject->object.programs.push_back(std::move(program));
  subject->programs = {0};
  subject->units = count;
  return pair_of(std::move(subject));
}

}  // namespace uarena::testing
