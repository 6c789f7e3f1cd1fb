// The disassembler: one instruction as one line of text in the form of the kernel's own, so that
// what people know from bpftool and the verifier's log helps them here. What the kernel's form
// leaves open is made plain: a 64-bit constant ends in "ll", an arena access after fix-up says
// "__arena", map and function references are indices ("map[idx:0]", "kfunc#1"). The text is
// unambiguous: tests assemble it back to the same instruction.
#include "jit/isa.h"

#include <fmt/format.h>

namespace uarena::jit {
namespace {

const char* unsigned_type(uint8_t code) {
  switch (insn_size(code)) {
    case kB:
      return "u8";
    case kH:
      return "u16";
    case kW:
      return "u32";
    default:
      return "u64";
  }
}

const char* signed_type(uint8_t code) {
  switch (insn_size(code)) {
    case kB:
      return "s8";
    case kH:
      return "s16";
    case kW:
      return "s32";
    default:
      return "s64";
  }
}

std::string memory(const char* type, bool arena, unsigned reg, int off) {
  return fmt::format("({}{} *)(r{} {:+})", type, arena ? " __arena" : "", reg, off);
}

std::string invalid(const Insn& i) {
  return fmt::format("(invalid: code 0x{:02x}, dst {}, src {}, off {}, imm {})", i.code,
                     unsigned{i.dst}, unsigned{i.src}, i.off, i.imm);
}

std::string alu(const Insn& i) {
  const uint8_t op = insn_op(i.code);
  const bool wide = insn_class(i.code) == kAlu64;
  const char r = wide ? 'r' : 'w';
  const unsigned dst = i.dst;
  const unsigned src = i.src;
  if (op == kNeg) return fmt::format("{}{} = -{}{}", r, dst, r, dst);
  if (op == kEnd) {
    if (i.imm != 16 && i.imm != 32 && i.imm != 64) return invalid(i);
    const char* kind = wide ? "bswap" : uses_register(i.code) ? "be" : "le";
    return fmt::format("r{} = {}{} r{}", dst, kind, i.imm, dst);
  }
  if (is_addr_space_cast(i))
    return fmt::format("r{} = addr_space_cast(r{}, {}, {})", dst, src,
                       static_cast<uint32_t>(i.imm) >> 16, i.imm & 0xffff);
  if (op == kMov && uses_register(i.code) && (i.off == 8 || i.off == 16 || i.off == 32))
    return fmt::format("{}{} = (s{}){}{}", r, dst, i.off, r, src);
  if (i.off != 0 && (i.off != 1 || (op != kDiv && op != kMod))) return invalid(i);
  const std::string_view sign = alu_sign(op, (op == kDiv || op == kMod) && i.off == 1);
  if (sign.empty()) return invalid(i);
  if (uses_register(i.code)) return fmt::format("{}{} {} {}{}", r, dst, sign, r, src);
  return fmt::format("{}{} {} {}", r, dst, sign, i.imm);
}

const char* jump_sign(uint8_t op) {
  switch (op) {
    case kJeq:
      return "==";
    case kJgt:
      return ">";
    case kJge:
      return ">=";
    case kJset:
      return "&";
    case kJne:
      return "!=";
    case kJsgt:
      return "s>";
    case kJsge:
      return "s>=";
    case kJlt:
      return "<";
    case kJle:
      return "<=";
    case kJslt:
      return "s<";
    case kJsle:
      return "s<=";
    default:
      return nullptr;
  }
}

std::string jump(const Insn& i) {
  const uint8_t op = insn_op(i.code);
  const bool wide = insn_class(i.code) == kJmp;
  if (op == kJa)
    return wide ? fmt::format("goto pc{:+}", i.off) : fmt::format("gotol pc{:+}", i.imm);
  if (wide && op == kJcond) return fmt::format("may_goto pc{:+}", i.off);
  if (wide && op == kExit) return "exit";
  if (is_call_by_number(i)) return fmt::format("callx r{}", unsigned{i.dst});
  if (wide && op == kCall) {
    if (i.src == kPseudoCall) return fmt::format("call pc{:+}", i.imm);
    if (i.src == kPseudoKfuncCall) return fmt::format("call kfunc#{}", i.imm);
    return fmt::format("call helper#{}", i.imm);
  }
  const char* sign = jump_sign(op);
  if (sign == nullptr) return invalid(i);
  const char r = wide ? 'r' : 'w';
  if (uses_register(i.code))
    return fmt::format("if {}{} {} {}{} goto pc{:+}", r, unsigned{i.dst}, sign, r, unsigned{i.src},
                       i.off);
  return fmt::format("if {}{} {} {} goto pc{:+}", r, unsigned{i.dst}, sign, i.imm, i.off);
}

std::string atomic(const Insn& i) {
  const bool arena = insn_mode(i.code) == kProbeAtomic;
  const std::string at = memory(unsigned_type(i.code), arena, i.dst, i.off);
  const std::string from = memory(unsigned_type(i.code), arena, i.src, i.off);
  const unsigned src = i.src;
  const char* width = insn_size(i.code) == kDw ? "64" : "";
  switch (i.imm) {
    case kAdd:
    case kAnd:
    case kOr:
    case kXor:
      return fmt::format("lock *{} {} r{}", at, alu_sign(static_cast<uint8_t>(i.imm), false), src);
    case kAdd | kFetch:
      return fmt::format("r{} = atomic{}_fetch_add({}, r{})", src, width, at, src);
    case kAnd | kFetch:
      return fmt::format("r{} = atomic{}_fetch_and({}, r{})", src, width, at, src);
    case kOr | kFetch:
      return fmt::format("r{} = atomic{}_fetch_or({}, r{})", src, width, at, src);
    case kXor | kFetch:
      return fmt::format("r{} = atomic{}_fetch_xor({}, r{})", src, width, at, src);
    case kXchg:
      return fmt::format("r{} = atomic{}_xchg({}, r{})", src, width, at, src);
    case kCmpxchg:
      return fmt::format("r0 = atomic{}_cmpxchg({}, r0, r{})", width, at, src);
    case kLoadAcq:
      return fmt::format("r{} = load_acquire({})", unsigned{i.dst}, from);
    case kStoreRel:
      return fmt::format("store_release({}, r{})", at, src);
    default:
      return invalid(i);
  }
}

std::string load_store(const Insn& i) {
  const uint8_t mode = insn_mode(i.code);
  const uint8_t size = insn_size(i.code);
  const bool arena = mode == kProbeMem32 || mode == kProbeMem32sx;
  switch (insn_class(i.code)) {
    case kLdx:
      if (mode == kMem || mode == kProbeMem32)
        return fmt::format("r{} = *{}", unsigned{i.dst},
                           memory(unsigned_type(i.code), arena, i.src, i.off));
      if ((mode == kMemsx || mode == kProbeMem32sx) && size != kDw)
        return fmt::format("r{} = *{}", unsigned{i.dst},
                           memory(signed_type(i.code), arena, i.src, i.off));
      return invalid(i);
    case kStx:
      if (mode == kAtomic || mode == kProbeAtomic) return atomic(i);
      if (mode == kMem || mode == kProbeMem32)
        return fmt::format("*{} = r{}", memory(unsigned_type(i.code), arena, i.dst, i.off),
                           unsigned{i.src});
      return invalid(i);
    default:  // kSt
      if (mode == kMem || mode == kProbeMem32)
        return fmt::format("*{} = {}", memory(unsigned_type(i.code), arena, i.dst, i.off), i.imm);
      return invalid(i);
  }
}

std::string constant(std::span<const Insn> program, size_t at) {
  const Insn& i = program[at];
  const auto low = static_cast<uint32_t>(i.imm);
  if (at + 1 >= program.size()) return invalid(i);
  const auto high = static_cast<uint32_t>(program[at + 1].imm);
  switch (i.src) {
    case 0:
      return fmt::format("r{} = 0x{:x} ll", unsigned{i.dst}, uint64_t{high} << 32 | low);
    case kPseudoMapFd:
      return fmt::format("r{} = map[idx:{}]", unsigned{i.dst}, low);
    case kPseudoMapValue:
      return fmt::format("r{} = map[idx:{}][0]+{}", unsigned{i.dst}, low, high);
    case kPseudoKfunc:
      return fmt::format("r{} = kfunc[idx:{}]", unsigned{i.dst}, low);
    default:
      return invalid(i);
  }
}

}  // namespace

std::string_view alu_sign(uint8_t op, bool is_signed) {
  switch (op) {
    case kAdd:
      return "+=";
    case kSub:
      return "-=";
    case kMul:
      return "*=";
    case kDiv:
      return is_signed ? "s/=" : "/=";
    case kOr:
      return "|=";
    case kAnd:
      return "&=";
    case kLsh:
      return "<<=";
    case kRsh:
      return ">>=";
    case kMod:
      return is_signed ? "s%=" : "%=";
    case kXor:
      return "^=";
    case kMov:
      return "=";
    case kArsh:
      return "s>>=";
    default:
      return {};
  }
}

std::string disassemble(std::span<const Insn> program, size_t at) {
  if (at >= program.size()) return fmt::format("(no instruction {})", at);
  const Insn& i = program[at];
  if (is_ld_imm64(i)) return constant(program, at);
  switch (insn_class(i.code)) {
    case kAlu:
    case kAlu64:
      return alu(i);
    case kJmp:
    case kJmp32:
      return jump(i);
    case kLd:
      if (i.code == 0 && at > 0 && is_ld_imm64(program[at - 1])) return "(second half)";
      return invalid(i);
    default:
      return load_store(i);
  }
}

}  // namespace uarena::jit
