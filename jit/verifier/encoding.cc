// Is this one instruction valid? Opcodes, operand values and fields that must be zero (K55, K61),
// one function per instruction class.
#include "jit/verifier/cfg.h"

namespace uarena::jit::verifier {
namespace {

constexpr unsigned kFp = 10;

Checked<> unknown_opcode(size_t at, const Insn& i) {
  return fault(at, EINVAL, "unknown opcode {:02x}", i.code);
}

Checked<> reserved(size_t at, const char* what) {
  return fault(at, EINVAL, "{} uses reserved fields", what);
}

Checked<> check_written(size_t at, unsigned reg) {
  if (reg == kFp) return fault(at, EACCES, "frame pointer is read only");
  return {};
}

Checked<> check_mov(size_t at, const Insn& i) {
  const bool wide = insn_class(i.code) == kAlu64;
  if (!uses_register(i.code)) {
    if (i.src != 0 || i.off != 0) return reserved(at, "BPF_MOV");
    return {};
  }
  if (wide && i.off == kAddrSpaceCastOff) {
    if (i.imm == kCastKern || i.imm == kCastUser) return {};
    return fault(
        at, EINVAL,
        "addr_space_cast insn can only convert between address space 1 and 0, not {} and "
        "{}{}",
        static_cast<uint32_t>(i.imm) >> 16, i.imm & 0xffff,
        i.imm == 0 ? " (imm 0: an inline-assembly cast whose address spaces are both 0)" : "");
  }
  const bool extends = i.off == 8 || i.off == 16 || (wide && i.off == 32);
  if (i.imm != 0 || (i.off != 0 && !extends)) return reserved(at, "BPF_MOV");
  return {};
}

Checked<> check_alu(size_t at, const Insn& i) {
  const uint8_t op = insn_op(i.code);
  const bool wide = insn_class(i.code) == kAlu64;
  if (op > kEnd) return unknown_opcode(at, i);
  if (auto ok = check_written(at, i.dst); !ok) return ok;
  if (op == kMov) return check_mov(at, i);
  if (op == kEnd) {
    const bool swaps = i.imm == 16 || i.imm == 32 || i.imm == 64;
    if (i.src != 0 || i.off != 0 || !swaps || (wide && uses_register(i.code)))
      return reserved(at, "BPF_END");
    return {};
  }
  if (op == kNeg) {
    if (uses_register(i.code) || i.src != 0 || i.off != 0 || i.imm != 0)
      return reserved(at, "BPF_NEG");
    return {};
  }
  const bool divides = op == kDiv || op == kMod;
  if (i.off != 0 && !(divides && i.off == 1)) return reserved(at, "BPF_ALU");
  if (uses_register(i.code)) {
    if (i.imm != 0) return reserved(at, "BPF_ALU");
    return {};
  }
  if (i.src != 0) return reserved(at, "BPF_ALU");
  if (divides && i.imm == 0) return fault(at, EINVAL, "div by zero");
  const bool shifts = op == kLsh || op == kRsh || op == kArsh;
  if (shifts && (i.imm < 0 || i.imm >= (wide ? 64 : 32)))
    return fault(at, EINVAL, "invalid shift {}", i.imm);
  return {};
}

Checked<> check_kfunc(size_t at, const Object& object, const Insn& i) {
  if (i.imm >= 0 && static_cast<size_t>(i.imm) < object.kfuncs.size()) return {};
  return fault(at, EINVAL, "kernel function index {} of {}", i.imm, object.kfuncs.size());
}

Checked<> check_call(size_t at, const Object& object, const Insn& i) {
  if (uses_register(i.code) || i.dst != 0 || i.off != 0) return reserved(at, "BPF_CALL");
  if (i.src > kPseudoKfuncCall) return reserved(at, "BPF_CALL");
  if (i.src == kPseudoKfuncCall) return check_kfunc(at, object, i);
  return {};
}

Checked<> check_jump(size_t at, const Object& object, const Insn& i) {
  const uint8_t op = insn_op(i.code);
  const bool wide = insn_class(i.code) == kJmp;
  const bool reg = uses_register(i.code);
  switch (op) {
    case kJa:
      if (reg || i.dst != 0 || i.src != 0 || (wide ? i.imm != 0 : i.off != 0))
        return reserved(at, "BPF_JA");
      return {};
    case kCall:
      return wide ? check_call(at, object, i) : unknown_opcode(at, i);
    case kExit:
      if (!wide) return unknown_opcode(at, i);
      if (reg || i.dst != 0 || i.src != 0 || i.off != 0 || i.imm != 0)
        return reserved(at, "BPF_EXIT");
      return {};
    case kJcond:
      if (!wide || reg) return unknown_opcode(at, i);
      if (i.dst != 0 || i.src != 0 || i.imm != 0) return reserved(at, "BPF_JCOND (may_goto)");
      return {};
    case 0xf0:
      return unknown_opcode(at, i);
    default:
      if (reg ? i.imm != 0 : i.src != 0) return reserved(at, "BPF_JMP");
      return {};
  }
}

Checked<> check_constant(size_t at, const Object& object, const ProgramDef& program) {
  const Insn& i = program.insns[at];
  if (at + 1 >= program.insns.size())
    return fault(at, EINVAL, "invalid bpf_ld_imm64 insn: its second half is missing");
  const Insn& second = program.insns[at + 1];
  if (second.code != 0 || second.dst != 0 || second.src != 0 || second.off != 0 || i.off != 0)
    return fault(at, EINVAL, "invalid bpf_ld_imm64 insn");
  if (auto ok = check_written(at, i.dst); !ok) return ok;
  if (i.src == 0) return {};
  if (i.src == kPseudoFunc && second.imm == 0) return {};  // where it leads is the graph's question
  if (i.src == kPseudoKfunc && second.imm == 0) return check_kfunc(at, object, i);
  if (i.src > kPseudoMapValue || (i.src == kPseudoMapFd && second.imm != 0))
    return fault(at, EINVAL, "unrecognized bpf_ld_imm64 insn");
  if (i.imm < 0 || static_cast<size_t>(i.imm) >= object.maps.size())
    return fault(at, EINVAL, "map index {} of {}", i.imm, object.maps.size());
  return {};
}

Checked<> check_atomic(size_t at, const Insn& i) {
  const uint8_t size = insn_size(i.code);
  const bool narrow = size == kB || size == kH;
  switch (i.imm) {
    case kLoadAcq:
      return check_written(at, i.dst);
    case kStoreRel:
      return {};
    case kAdd:
    case kAnd:
    case kOr:
    case kXor:
      if (narrow) return fault(at, EINVAL, "invalid atomic operand size");
      return {};
    case kAdd | kFetch:
    case kAnd | kFetch:
    case kOr | kFetch:
    case kXor | kFetch:
    case kXchg:
    case kCmpxchg:
      if (narrow) return fault(at, EINVAL, "invalid atomic operand size");
      return i.imm == kCmpxchg ? Checked<>{} : check_written(at, i.src);
    default:
      return fault(at, EINVAL, "BPF_ATOMIC uses invalid atomic opcode {:02x}", i.imm);
  }
}

Checked<> check_memory(size_t at, const Insn& i) {
  const uint8_t mode = insn_mode(i.code);
  switch (insn_class(i.code)) {
    case kLdx:
      if (mode != kMem && !(mode == kMemsx && insn_size(i.code) != kDw))
        return unknown_opcode(at, i);
      if (i.imm != 0) return reserved(at, "BPF_LDX");
      return check_written(at, i.dst);
    case kSt:
      if (mode != kMem) return unknown_opcode(at, i);
      if (i.src != 0) return reserved(at, "BPF_ST");
      return {};
    default:  // kStx
      if (mode == kAtomic) return check_atomic(at, i);
      if (mode != kMem) return unknown_opcode(at, i);
      if (i.imm != 0) return reserved(at, "BPF_STX");
      return {};
  }
}

}  // namespace

Checked<> check_encoding(const Object& object, const ProgramDef& program, size_t at) {
  const Insn& i = program.insns[at];
  for (const unsigned reg : {unsigned{i.dst}, unsigned{i.src}})
    if (reg > kFp) return fault(at, EINVAL, "R{} is invalid, registers are R0..R10", reg);
  switch (insn_class(i.code)) {
    case kAlu:
    case kAlu64:
      return check_alu(at, i);
    case kJmp:
    case kJmp32:
      return check_jump(at, object, i);
    case kLd:
      if (is_ld_imm64(i)) return check_constant(at, object, program);
      return unknown_opcode(at, i);
    default:
      return check_memory(at, i);
  }
}

}  // namespace uarena::jit::verifier
