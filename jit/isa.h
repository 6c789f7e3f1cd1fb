// The BPF instruction set as values: encoding, constants and a few questions about one instruction.
// Names are those of RFC 9669 and the kernel's UAPI; the arena's own opcodes (casts, PROBE_MEM32)
// are rows K54-K61 of docs/kernel-parity.md. Nothing here knows of programs or memory.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace uarena::jit {

struct Insn {
  uint8_t code = 0;
  uint8_t dst : 4 = 0;
  uint8_t src : 4 = 0;
  int16_t off = 0;
  int32_t imm = 0;
  friend bool operator==(const Insn&, const Insn&) = default;
};
static_assert(sizeof(Insn) == 8);

// Instruction classes (low 3 bits of the opcode).
inline constexpr uint8_t kLd = 0;
inline constexpr uint8_t kLdx = 1;
inline constexpr uint8_t kSt = 2;
inline constexpr uint8_t kStx = 3;
inline constexpr uint8_t kAlu = 4;
inline constexpr uint8_t kJmp = 5;
inline constexpr uint8_t kJmp32 = 6;
inline constexpr uint8_t kAlu64 = 7;
// Load/store sizes.
inline constexpr uint8_t kW = 0x00;
inline constexpr uint8_t kH = 0x08;
inline constexpr uint8_t kB = 0x10;
inline constexpr uint8_t kDw = 0x18;
// Load/store modes. The kProbe modes exist only after fix-up: an arena access whose address
// register holds a 32-bit arena offset.
inline constexpr uint8_t kImm = 0x00;
inline constexpr uint8_t kMem = 0x60;
inline constexpr uint8_t kMemsx = 0x80;
inline constexpr uint8_t kProbeMem32 = 0xa0;
inline constexpr uint8_t kAtomic = 0xc0;  // with class STX
inline constexpr uint8_t kProbeMem32sx =
    0xc0;  // with class LDX, where kAtomic (class STX) can't stand
inline constexpr uint8_t kProbeAtomic = 0xe0;
// ALU operations (high 4 bits).
inline constexpr uint8_t kAdd = 0x00;
inline constexpr uint8_t kSub = 0x10;
inline constexpr uint8_t kMul = 0x20;
inline constexpr uint8_t kDiv = 0x30;
inline constexpr uint8_t kOr = 0x40;
inline constexpr uint8_t kAnd = 0x50;
inline constexpr uint8_t kLsh = 0x60;
inline constexpr uint8_t kRsh = 0x70;
inline constexpr uint8_t kNeg = 0x80;
inline constexpr uint8_t kMod = 0x90;
inline constexpr uint8_t kXor = 0xa0;
inline constexpr uint8_t kMov = 0xb0;
inline constexpr uint8_t kArsh = 0xc0;
inline constexpr uint8_t kEnd = 0xd0;
// Jump operations (high 4 bits).
inline constexpr uint8_t kJa = 0x00;
inline constexpr uint8_t kJeq = 0x10;
inline constexpr uint8_t kJgt = 0x20;
inline constexpr uint8_t kJge = 0x30;
inline constexpr uint8_t kJset = 0x40;
inline constexpr uint8_t kJne = 0x50;
inline constexpr uint8_t kJsgt = 0x60;
inline constexpr uint8_t kJsge = 0x70;
inline constexpr uint8_t kCall = 0x80;
inline constexpr uint8_t kExit = 0x90;
inline constexpr uint8_t kJlt = 0xa0;
inline constexpr uint8_t kJle = 0xb0;
inline constexpr uint8_t kJslt = 0xc0;
inline constexpr uint8_t kJsle = 0xd0;
inline constexpr uint8_t kJcond = 0xe0;  // may_goto (K54)
inline constexpr uint8_t kK = 0x00;
inline constexpr uint8_t kX = 0x08;  // operand: immediate or register

// Pseudo source registers of ld_imm64 and call.
inline constexpr uint8_t kPseudoMapFd =
    1;  // imm: index into Object::maps; the register becomes the map's pointer
inline constexpr uint8_t kPseudoMapValue =
    2;  // imm: index into Object::maps; next imm: byte offset into its value
inline constexpr uint8_t kPseudoKfunc =
    3;  // imm: index into Object::kfuncs; the register is 1 if that is offered here, else 0
inline constexpr uint8_t kPseudoFunc =
    4;  // imm: distance in instructions to the subprogram, from the next one: a callback
inline constexpr uint8_t kPseudoCall =
    1;  // imm: distance in instructions to the subprogram, from the next one
inline constexpr uint8_t kPseudoKfuncCall = 2;  // imm: index into Object::kfuncs

// Atomic operations (imm of kAtomic).
inline constexpr int32_t kFetch = 0x01;
inline constexpr int32_t kXchg = 0xe0 | kFetch;
inline constexpr int32_t kCmpxchg = 0xf0 | kFetch;
inline constexpr int32_t kLoadAcq = 0x100;
inline constexpr int32_t kStoreRel = 0x110;

// addr_space_cast: ALU64|MOV|X with off 1 (K55).
inline constexpr int16_t kAddrSpaceCastOff = 1;
inline constexpr int32_t kCastKern = 1;        // as(1) -> as(0)
inline constexpr int32_t kCastUser = 0x10000;  // as(0) -> as(1)

inline constexpr uint8_t insn_class(uint8_t code) { return code & 0x07; }
inline constexpr uint8_t insn_op(uint8_t code) { return code & 0xf0; }
inline constexpr uint8_t insn_mode(uint8_t code) { return code & 0xe0; }
inline constexpr uint8_t insn_size(uint8_t code) { return code & 0x18; }
inline constexpr bool uses_register(uint8_t code) { return (code & kX) != 0; }
inline constexpr unsigned access_bytes(uint8_t code) {
  switch (insn_size(code)) {
    case kB:
      return 1;
    case kH:
      return 2;
    case kW:
      return 4;
    default:
      return 8;
  }
}
inline constexpr bool is_ld_imm64(const Insn& i) { return i.code == (kLd | kImm | kDw); }
inline constexpr bool is_may_goto(const Insn& i) { return i.code == (kJmp | kJcond); }
inline constexpr bool is_addr_space_cast(const Insn& i) {
  return i.code == (kAlu64 | kMov | kX) && i.off == kAddrSpaceCastOff;
}
inline constexpr bool is_pseudo_call(const Insn& i) {
  return i.code == (kJmp | kCall) && i.src == kPseudoCall;
}
inline constexpr bool is_helper_call(const Insn& i) {
  return i.code == (kJmp | kCall) && i.src == 0;
}
inline constexpr bool is_kfunc_call(const Insn& i) {
  return i.code == (kJmp | kCall) && i.src == kPseudoKfuncCall;
}

// callx: a call of the function whose number is in dst (RFC 9669). The verifier accepts none, as
// the kernel's; the executors run it.
inline constexpr bool is_call_by_number(const Insn& i) { return i.code == (kJmp | kCall | kX); }

// The operator of an arithmetic operation ("+=", "s>>="); empty for negation and byte swaps, which
// are not written with one, and for what is no operation.
std::string_view alu_sign(uint8_t op, bool is_signed = false);

// The text of the instruction at `at`, in the form of the kernel's own disassembler
// ("r1 = *(u64 *)(r2 +8)", "r1 = addr_space_cast(r1, 0, 1)"). Never reads past the span.
std::string disassemble(std::span<const Insn> program, size_t at);

}  // namespace uarena::jit
