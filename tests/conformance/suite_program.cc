#include "tests/conformance/suite_program.h"

#include <algorithm>
#include <cstring>

#include "jit/loader/elf_file.h"
#include "jit/verifier/cfg.h"
#include "tests/jit/exec/program_builder.h"

namespace uarena::conformance {
namespace {

using jit::Insn;

constexpr int32_t kHelper = 5;
constexpr uint32_t kCallRelocation = 10;  // R_BPF_64_32
constexpr uint8_t kCall = jit::kJmp | jit::kCall;

uint64_t first_argument(uint64_t r1, uint64_t, uint64_t, uint64_t, uint64_t, jit::RunContext*) {
  return r1;
}
const jit::FunctionDesc kFirstArgument{.name = "first_argument", .function = first_argument};

// The same, as the verifier's structural check wants it: what RFC 9669 defines and the kernel
// refuses is replaced by something plain.
Insn as_kernel_has_it(Insn insn) {
  const uint8_t cls = jit::insn_class(insn.code);
  const uint8_t op = jit::insn_op(insn.code);
  if (jit::is_call_by_number(insn)) return {.code = kCall, .imm = kHelper};
  if ((cls != jit::kAlu && cls != jit::kAlu64) || jit::uses_register(insn.code)) return insn;
  if (op == jit::kLsh || op == jit::kRsh || op == jit::kArsh) insn.imm &= 31;
  if ((op == jit::kDiv || op == jit::kMod) && insn.imm == 0) insn.imm = 1;
  return insn;
}

// Subprograms begin at the start and where pseudo calls lead.
std::vector<jit::Subprog> subprogs_of(const std::vector<Insn>& insns) {
  std::vector<size_t> starts{0};
  for (size_t at = 0; at < insns.size(); ++at) {
    if (jit::is_ld_imm64(insns[at])) {
      ++at;
    } else if (jit::is_pseudo_call(insns[at])) {
      const int64_t target = static_cast<int64_t>(at) + 1 + insns[at].imm;
      if (target > 0 && target < static_cast<int64_t>(insns.size()))
        starts.push_back(static_cast<size_t>(target));
    }
  }
  std::ranges::sort(starts);
  starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
  std::vector<jit::Subprog> subprogs;
  for (size_t n = 0; n < starts.size(); ++n) {
    const size_t end = n + 1 < starts.size() ? starts[n + 1] : insns.size();
    subprogs.push_back({"f",
                        static_cast<uint32_t>(starts[n]),
                        static_cast<uint32_t>(end - starts[n]),
                        true,
                        0,
                        {}});
  }
  return subprogs;
}

Result<void> check(const std::vector<Insn>& insns) {
  for (size_t at = 0; at < insns.size(); ++at) {
    const Insn& insn = insns[at];
    if (jit::is_ld_imm64(insn)) {
      if (insn.src != 0) return fail(EINVAL, "instruction {}: there are no maps", at);
      ++at;
      continue;
    }
    if (jit::is_helper_call(insn) && insn.code == kCall && insn.imm != kHelper)
      return fail(EINVAL, "instruction {}: there is no helper {}", at, insn.imm);
  }
  jit::Object object;
  jit::ProgramDef program;
  program.name = "suite";
  for (const Insn& insn : insns) program.insns.push_back(as_kernel_has_it(insn));
  program.subprogs = subprogs_of(program.insns);
  const auto structure = jit::verifier::check_structure(object, program);
  if (!structure)
    return fail(EINVAL, "instruction {}: {}", structure.error().insn, structure.error().text);
  return {};
}

// Calls inside .text go by symbols.
Result<void> relocate(const jit::ElfFile& file, const jit::ElfSection& text,
                      std::vector<Insn>* insns) {
  for (const jit::ElfReloc& reloc : text.relocs) {
    const jit::ElfSymbol& symbol = file.symbols[reloc.symbol];
    const size_t at = reloc.offset / sizeof(Insn);
    const bool local_call = reloc.type == kCallRelocation && at < insns->size() &&
                            jit::is_pseudo_call((*insns)[at]) && symbol.defined &&
                            symbol.section == file.index_of(text);
    if (!local_call)
      return fail(EINVAL, "instruction {}: refers to `{}`, which is not code of .text", at,
                  symbol.name);
    Insn& call = (*insns)[at];
    const auto base = static_cast<int64_t>(symbol.value / sizeof(Insn));
    // To a section the distance is from its start, and as in any call one less.
    const int64_t target = symbol.kind == jit::SymbolKind::section ? base + call.imm + 1 : base;
    call.imm = static_cast<int32_t>(target - static_cast<int64_t>(at) - 1);
  }
  return {};
}

}  // namespace

Result<SuiteProgram> program_of_bytes(std::span<const std::byte> bytes) {
  if (bytes.empty() || bytes.size() % sizeof(Insn) != 0)
    return fail(EINVAL, "{} bytes are no whole instructions", bytes.size());
  SuiteProgram program;
  program.insns.resize(bytes.size() / sizeof(Insn));
  std::memcpy(program.insns.data(), bytes.data(), bytes.size());
  return program;
}

Result<SuiteProgram> program_of_elf(std::span<const std::byte> image) {
  const auto file = jit::read_elf(image);
  if (!file) return std::unexpected(file.error());
  const jit::ElfSection* text = file->find(".text");
  if (text == nullptr || text->bytes.empty())
    return fail(EINVAL, "the object has no code in .text");
  const auto main = std::ranges::find_if(file->symbols, [&](const jit::ElfSymbol& symbol) {
    return symbol.name == "main" && symbol.defined && symbol.section == file->index_of(*text);
  });
  if (main == file->symbols.end() || main->value % sizeof(Insn) != 0 ||
      main->value >= text->bytes.size())
    return fail(EINVAL, "the object has no symbol `main` in .text");
  auto program = program_of_bytes(text->bytes);
  if (!program) return program;
  program->entry = main->value / sizeof(Insn);
  if (auto done = relocate(*file, *text, &program->insns); !done)
    return std::unexpected(done.error());
  return program;
}

// The suite's program is called, so that it may begin anywhere.
Result<std::unique_ptr<jit::Executable>> make_executable(const SuiteProgram& program,
                                                         std::span<std::byte> memory,
                                                         jit::Mode mode) {
  std::vector<Insn> insns;
  jit::append_constant(&insns, 1, memory.empty() ? 0 : reinterpret_cast<uint64_t>(memory.data()));
  jit::append_constant(&insns, 2, memory.size());
  insns.push_back(
      {.code = kCall, .src = jit::kPseudoCall, .imm = static_cast<int32_t>(program.entry) + 1});
  insns.push_back({.code = jit::kJmp | jit::kExit});
  insns.insert(insns.end(), program.insns.begin(), program.insns.end());
  if (auto ok = check(insns); !ok) return std::unexpected(ok.error());
  for (size_t at = 0; at < insns.size(); ++at) {
    if (jit::is_ld_imm64(insns[at])) {
      ++at;
    } else if (jit::is_helper_call(insns[at]) && insns[at].code == kCall) {
      insns[at].src = jit::kPseudoKfuncCall;
      insns[at].imm = 0;
    }
  }
  auto fixed = jit::FixedProgramTestPeer::make(std::move(insns), nullptr, {&kFirstArgument});
  std::vector<jit::HelperFn> numbered(kHelper + 1);
  numbered[kHelper] = first_argument;
  jit::FixedProgramTestPeer::set_numbered_functions(&fixed, std::move(numbered));
  return jit::make_executable(std::move(fixed), mode);
}

}  // namespace uarena::conformance
