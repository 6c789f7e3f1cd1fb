// Breadth first from the entry: the list of functions already placed is the work list as well.
#include "jit/loader/link.h"

#include <map>
#include <optional>

#include "jit/loader/signature.h"

namespace uarena::jit {
namespace {

// What all programs of one object share: each function is resolved once.
struct Shared {
  const Targets& targets;
  const ExtInfo& info;
  std::vector<std::optional<FunctionCode>> code;  // one per function
  std::vector<KfuncRef> kfuncs;
  size_t insns_left = kMaxLinkedInsns;
  size_t functions_left = kMaxLinkedFunctions;
};

class Linker {
 public:
  explicit Linker(Shared& shared) : shared_(shared) {}

  Result<ProgramDef> link(size_t entry) {
    name_program(function(entry));
    if (auto done = place(entry); !done) return std::unexpected(done.error());
    for (size_t i = 0; i < order_.size(); i++)
      for (const FunctionUse& use : uses_of(order_[i]))
        if (!start_.contains(use.function))
          if (auto done = place(use.function); !done) return std::unexpected(done.error());
    for (const size_t index : order_) patch_uses(index);
    return std::move(program_);
  }

 private:
  const Function& function(size_t index) const { return shared_.targets.functions.all()[index]; }
  const std::vector<FunctionUse>& uses_of(size_t index) const { return shared_.code[index]->uses; }

  void name_program(const Function& entry) {
    std::string_view section = shared_.targets.elf.sections[entry.section].name;
    program_.optional = section.starts_with('?');
    if (program_.optional) section.remove_prefix(1);
    program_.section = section;
    program_.name = entry.name;
    type_ = program_type_of(section);
  }

  Result<void> place(size_t index) {
    if (auto done = resolve(index); !done) return done;
    const Function& f = function(index);
    const auto at = static_cast<uint32_t>(program_.insns.size());
    start_[index] = at;
    order_.push_back(index);
    const auto& insns = shared_.code[index]->insns;
    program_.insns.insert(program_.insns.end(), insns.begin(), insns.end());
    program_.subprogs.push_back({std::string(f.name), at, f.count, f.global, btf_id(f), {}});
    shared_.info.append_lines(f, at, program_.lines);
    return at == 0 ? Result<void>() : read_signature(program_.subprogs.back());
  }

  // The entry's parameter is the context, whatever it says.
  Result<void> read_signature(Subprog& subprog) const {
    if (!subprog.global || subprog.btf_func_id == 0) return {};
    auto signature = signature_of(shared_.targets.btf, subprog.btf_func_id, type_);
    if (!signature)
      return fail(Why::rejected, EINVAL, "function '{}': {}", subprog.name,
                  signature.error().message);
    subprog.params = std::move(signature->params);
    subprog.returns_scalar = signature->returns_scalar;
    return {};
  }

  // The budget comes first: overlapping symbols can't make us copy more than it.
  Result<void> resolve(size_t index) {
    const Function& f = function(index);
    if (f.count > shared_.insns_left || shared_.functions_left == 0)
      return fail(Why::rejected, E2BIG,
                  "program '{}' makes the object larger than {} instructions or {} functions, "
                  "counting each function once per program that calls it",
                  program_.name, kMaxLinkedInsns, kMaxLinkedFunctions);
    shared_.insns_left -= f.count;
    shared_.functions_left--;
    if (shared_.code[index]) return {};
    if (const auto insn = shared_.info.core_relocation(f))
      return fail(Why::rejected, ENOTSUP,
                  "function '{}', instruction {}: a CO-RE relocation (preserve_access_index, "
                  "bpf_core_*) refers to the kernel's own types: not supported",
                  f.name, *insn);
    auto code = resolve_function(f, shared_.targets, shared_.kfuncs);
    if (!code) return std::unexpected(code.error());
    shared_.code[index] = std::move(*code);
    return {};
  }

  // .BTF.ext says it by instruction; an object without it still has the function's name.
  uint32_t btf_id(const Function& f) const {
    if (const uint32_t id = shared_.info.func_id(f)) return id;
    return shared_.targets.btf.function(f.name).value_or(0);
  }

  void patch_uses(size_t index) {
    for (const FunctionUse& use : uses_of(index)) {
      const int64_t at = int64_t{start_[index]} + use.insn;
      Insn& insn = program_.insns[static_cast<size_t>(at)];
      insn.src = is_ld_imm64(insn) ? kPseudoFunc : kPseudoCall;
      insn.imm = static_cast<int32_t>(int64_t{start_[use.function]} - (at + 1));
    }
  }

  Shared& shared_;
  ProgramDef program_;
  std::optional<ProgramType> type_;
  std::vector<size_t> order_;         // functions in the program, by place
  std::map<size_t, uint32_t> start_;  // function -> its first instruction in the program
};

}  // namespace

Result<Linked> link_programs(const Targets& targets, const ExtInfo& info) {
  const auto& functions = targets.functions.all();
  Shared shared{targets, info, {}, {}};
  shared.code.resize(functions.size());
  Linked linked;
  for (size_t i = 0; i < functions.size(); i++) {
    if (!functions[i].program) continue;
    auto program = Linker(shared).link(i);
    if (!program) return std::unexpected(program.error());
    linked.programs.push_back(std::move(*program));
  }
  linked.kfuncs = std::move(shared.kfuncs);
  return linked;
}

}  // namespace uarena::jit
