// One pass over the instructions, with the relocations of the section beside it. Only three kinds
// of instruction can have one: ld_imm64 and call with R_BPF_64_64 and R_BPF_64_32.
#include "jit/loader/relocations.h"

#include <elf.h>

#include <algorithm>
#include <cstring>

namespace uarena::jit {
namespace {

// The kernel's own limit for one program.
constexpr size_t kMaxKfuncs = 256;
constexpr uint32_t kRelocLdImm64 = R_BPF_64_64;
constexpr uint32_t kRelocCall = R_BPF_64_32;
constexpr uint8_t kCallCode = kJmp | kCall;
constexpr uint8_t kCallX = kJmp | kCall | kX;

class Resolver {
 public:
  Resolver(const Function& function, const Targets& targets, std::vector<KfuncRef>& kfuncs)
      : function_(function), to_(targets), kfuncs_(kfuncs) {}

  Result<FunctionCode> resolve() {
    copy_code();
    if (auto done = check_reloc_places(); !done) return std::unexpected(done.error());
    for (at_ = 0; at_ < code_.insns.size(); at_++) {
      if (auto done = resolve_insn(); !done) return std::unexpected(done.error());
      if (is_ld_imm64(code_.insns[at_])) at_++;
    }
    return std::move(code_);
  }

 private:
  const ElfSection& section() const { return to_.elf.sections[function_.section]; }

  void copy_code() {
    code_.insns.resize(function_.count);
    std::memcpy(code_.insns.data(), section().bytes.data() + function_.start * kInsnBytes,
                function_.count * kInsnBytes);
    const auto& all = section().relocs;
    const uint64_t begin = function_.start * kInsnBytes;
    const uint64_t end = begin + function_.count * kInsnBytes;
    const auto first = std::ranges::lower_bound(all, begin, {}, &ElfReloc::offset);
    const auto last = std::ranges::lower_bound(all, end, {}, &ElfReloc::offset);
    relocs_ = {first, last};
  }

  Result<void> check_reloc_places() const {
    for (const ElfReloc& reloc : relocs_)
      if (reloc.offset % kInsnBytes != 0)
        return fail(Why::rejected, EINVAL, "relocation at '{}'+{} is inside an instruction",
                    section().name, reloc.offset);
    return {};
  }

  // The relocation of instruction at_; they come in order.
  const ElfReloc* take_reloc() {
    const uint64_t offset = (uint64_t{function_.start} + at_) * kInsnBytes;
    if (next_ == relocs_.size() || relocs_[next_].offset != offset) return nullptr;
    return &relocs_[next_++];
  }

  Result<void> resolve_insn() {
    Insn& insn = code_.insns[at_];
    const ElfReloc* reloc = take_reloc();
    if (is_ld_imm64(insn)) return resolve_ld_imm64(insn, reloc);
    if (insn.code == kCallCode) return resolve_call(insn, reloc);
    if (reloc != nullptr)
      return refuse("has a relocation for '{}', but only ld_imm64 and call can have one",
                    symbol(*reloc).name);
    if (is_addr_space_cast(insn) && insn.imm == 0)
      return refuse(
          "is an addr_space_cast from address space 0 to 0 (imm 0), which clang emits for a cast "
          "between two pointers that are not arena pointers: cast through an integer");
    if (insn.code == kCallX) return refuse("is an indirect call: not supported");
    return {};
  }

  Result<void> resolve_ld_imm64(Insn& insn, const ElfReloc* reloc) {
    if (at_ + 1 == code_.insns.size()) return refuse("is the first half of an ld_imm64");
    Insn& second = code_.insns[at_ + 1];
    if (second.code != 0 || second.dst != 0 || second.src != 0 || second.off != 0 || insn.off != 0)
      return refuse("is an ld_imm64 with a damaged second half");
    if (next_ < relocs_.size() &&
        relocs_[next_].offset == (uint64_t{function_.start} + at_ + 1) * kInsnBytes)
      return refuse("is an ld_imm64 with a relocation in its second half");
    if (reloc == nullptr) {
      if (insn.src != 0)
        return refuse("is an ld_imm64 of kind {} without a relocation: only plain numbers can be",
                      static_cast<unsigned>(insn.src));
      return {};
    }
    if (reloc->type != kRelocLdImm64 || insn.src != 0)
      return refuse("is an ld_imm64 with a relocation of type {}: expected {}", reloc->type,
                    kRelocLdImm64);
    return resolve_address(insn, second, symbol(*reloc));
  }

  Result<void> resolve_address(Insn& insn, Insn& second, const ElfSymbol& target) {
    if (!target.defined) return bind_external(insn, second, target);
    const ElfSection& home = to_.elf.sections[target.section];
    // The addend is the instruction's own immediate. The assembler writes its low half only, so a
    // negative one has a second half of 0.
    if (second.imm != 0 && second.imm != -1)
      return refuse("has an addend of more than 32 bits for '{}'", target.name);
    const int64_t offset = static_cast<int64_t>(target.value) + insn.imm;
    if (home.executable) return bind_callback(second, target, offset);
    if (home.name == ".maps") return bind_map(insn, second, target, offset);
    const auto data = to_.data.find(target.section);
    if (data == to_.data.end())
      return refuse("refers to '{}' in section '{}': expected a map or a variable", target.name,
                    home.name);
    if (offset < 0 || static_cast<uint64_t>(offset) >= data->second.limit)
      return refuse("refers to '{}'{:+}, outside of section '{}' ({} bytes)", home.name, offset,
                    home.name, data->second.limit);
    insn.src = kPseudoMapValue;
    insn.imm = static_cast<int32_t>(data->second.map);
    second.imm = static_cast<int32_t>(static_cast<uint32_t>(offset));
    return {};
  }

  // The address of a function, which only functions that take a callback understand.
  Result<void> bind_callback(Insn& second, const ElfSymbol& target, int64_t offset) {
    if (offset % static_cast<int64_t>(kInsnBytes) != 0)
      return refuse("takes the address of '{}'{:+}, which is inside an instruction", target.name,
                    offset - static_cast<int64_t>(target.value));
    second.imm = 0;
    return bind_function("takes the address of", target.section,
                         offset / static_cast<int64_t>(kInsnBytes), target.name);
  }

  Result<void> bind_map(Insn& insn, Insn& second, const ElfSymbol& target, int64_t offset) {
    const auto map = to_.maps.find(static_cast<uint64_t>(offset));
    if (offset < 0 || map == to_.maps.end())
      return refuse("refers to '{}'{:+} in section '.maps', where no map begins", target.name,
                    insn.imm);
    const MapDef& def = to_.defs[map->second];
    if (def.kind == MapKind::other)
      return refuse(
          "uses map '{}' of type {}: only arena, array, per-CPU array, hash, LRU hash and ring "
          "buffer maps are supported",
          def.name, def.type);
    insn.src = kPseudoMapFd;
    insn.imm = static_cast<int32_t>(map->second);
    second.imm = 0;
    return {};
  }

  Result<void> bind_external(Insn& insn, Insn& second, const ElfSymbol& target) {
    switch (to_.btf.external(target.name)) {
      case BtfView::Extern::kconfig:
        return bind_kconfig(insn, second, target);
      case BtfView::Extern::kernel_function:
        return ask_for_kfunc(insn, second, target);
      case BtfView::Extern::kernel_symbol:
        return refuse("takes the address of '{}', a variable of the kernel, which is not there",
                      target.name);
      case BtfView::Extern::none:
        break;
    }
    return refuse("refers to '{}', which is not defined in the object", target.name);
  }

  // The address of a kernel function, of which programs want to know whether it is 0.
  Result<void> ask_for_kfunc(Insn& insn, Insn& second, const ElfSymbol& target) {
    if (insn.imm != 0 || second.imm != 0)
      return refuse("takes the address of a part of '{}', a kernel function", target.name);
    const auto index = index_of_kfunc(target);
    if (!index) return std::unexpected(index.error());
    insn.src = kPseudoKfunc;
    insn.imm = *index;
    return {};
  }

  Result<void> bind_kconfig(Insn& insn, Insn& second, const ElfSymbol& target) {
    const auto value = to_.kconfig.values.find(target.name);
    if (value == to_.kconfig.values.end() || insn.imm != 0 || second.imm != 0)
      return refuse("refers to a part of '{}', a .kconfig value", target.name);
    if (!value->second.refused.empty())
      return refuse("reads '{}', a .kconfig value that {}", target.name, value->second.refused);
    insn.src = kPseudoMapValue;
    insn.imm = static_cast<int32_t>(to_.kconfig.map);
    second.imm = static_cast<int32_t>(value->second.offset);
    return {};
  }

  Result<void> resolve_call(Insn& insn, const ElfReloc* reloc) {
    if (reloc == nullptr) return resolve_plain_call(insn);
    if (reloc->type != kRelocCall || insn.src != kPseudoCall)
      return refuse("is a call with a relocation of type {}: expected {}", reloc->type, kRelocCall);
    const ElfSymbol& target = symbol(*reloc);
    if (!target.defined) return bind_kfunc(insn, target);
    if (!to_.elf.sections[target.section].executable)
      return refuse("calls '{}', which is not a function", target.name);
    // The immediate is the addend, relative to the next instruction: -1 is the symbol itself.
    const int64_t start = static_cast<int64_t>(target.value / kInsnBytes) + insn.imm + 1;
    return bind_function("calls", target.section, start, target.name);
  }

  Result<void> resolve_plain_call(Insn& insn) {
    // src 0 is a call of a helper by number: not a reference, the verifier judges it.
    if (insn.src == 0) return {};
    if (insn.src != kPseudoCall)
      return refuse("calls a kernel function by number: only calls by name are supported");
    const int64_t start = int64_t{function_.start} + static_cast<int64_t>(at_) + 1 + insn.imm;
    return bind_function("calls", function_.section, start, section().name);
  }

  Result<void> bind_function(std::string_view what, uint32_t home, int64_t start,
                             std::string_view name) {
    const auto callee =
        start < 0 ? std::nullopt : to_.functions.at(home, static_cast<uint64_t>(start));
    if (!callee)
      return refuse("{} '{}', instruction {} of section '{}', where no function begins", what, name,
                    start, to_.elf.sections[home].name);
    code_.uses.push_back({static_cast<uint32_t>(at_), *callee});
    return {};
  }

  Result<void> bind_kfunc(Insn& insn, const ElfSymbol& target) {
    if (to_.btf.external(target.name) != BtfView::Extern::kernel_function)
      return refuse("calls '{}', which is neither defined in the object nor declared __ksym",
                    target.name);
    const auto index = index_of_kfunc(target);
    if (!index) return std::unexpected(index.error());
    insn.src = kPseudoKfuncCall;
    insn.off = 0;
    insn.imm = *index;
    return {};
  }

  Result<int32_t> index_of_kfunc(const ElfSymbol& target) {
    const auto known = std::ranges::find(kfuncs_, target.name, &KfuncRef::name);
    const auto index = static_cast<int32_t>(known - kfuncs_.begin());
    if (known != kfuncs_.end()) return index;
    if (kfuncs_.size() == kMaxKfuncs)
      return refuse("calls '{}': the object calls more than {} kernel functions", target.name,
                    kMaxKfuncs);
    kfuncs_.push_back({std::string(target.name), target.weak});
    return index;
  }

  const ElfSymbol& symbol(const ElfReloc& reloc) const { return to_.elf.symbols[reloc.symbol]; }

  template <typename... Args>
  std::unexpected<Error> refuse(fmt::format_string<Args...> format, Args&&... args) const {
    return fail(Why::rejected, EINVAL, "function '{}', instruction {}: {}", function_.name, at_,
                fmt::format(format, std::forward<Args>(args)...));
  }

  const Function& function_;
  const Targets& to_;
  std::vector<KfuncRef>& kfuncs_;
  FunctionCode code_;
  std::span<const ElfReloc> relocs_;
  size_t next_ = 0;
  size_t at_ = 0;
};

}  // namespace

Result<FunctionCode> resolve_function(const Function& function, const Targets& targets,
                                      std::vector<KfuncRef>& kfuncs) {
  return Resolver(function, targets, kfuncs).resolve();
}

}  // namespace uarena::jit
