// The three stages of a program, each a type that only the stage itself can make:
//   verify()  : ProgramDef      -> VerifiedProgram   (safe, with what the verifier learned)
//   fix_up()  : VerifiedProgram -> FixedProgram      (arena accesses, casts and references lowered)
//   compile() / interpret(): take a FixedProgram and nothing else.
// So unverified instructions can't reach the compiler, by type.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ipc/base/result.h"
#include "jit/object.h"
#include "jit/own_pointers.h"
#include "jit/runtime.h"

namespace uarena::jit {

namespace verifier {
class StateSink;
}

// What an instruction's memory operand points to, the same on every path (K73).
enum class Region : uint8_t { none, stack, map_value, ctx, arena, packet, memory };

// What a load from the context gives: the field as it stands, or a place of the packet.
enum class CtxLoad : uint8_t { plain, data, data_end, data_meta };

// What the verifier learned of one instruction.
struct InsnFacts {
  Region region = Region::none;  // loads, stores, atomics
  CtxLoad ctx_load = CtxLoad::plain;
  bool reached = false;    // on some path; what is not is replaced by fix_up (dead code)
  bool arena_alu = false;  // ALU64 on an arena pointer: becomes the 32-bit operation (K62)
  bool budget = false;     // a loop comes back here of which nobody knows that it ends: counted
};

class VerifiedProgram {
 public:
  const ProgramDef& def() const { return def_; }
  const std::vector<InsnFacts>& facts() const { return facts_; }
  uint32_t ctx_size() const { return ctx_size_; }  // bytes of context accessed
  const std::vector<uint32_t>& stack_bytes() const { return stack_bytes_; }  // per subprogram
  // Per subprogram: it may read stack that it has not written, so the frame must be zeroed.
  const std::vector<bool>& zeroed_stack() const { return zeroed_stack_; }
  // Of the calls that hand over any, by instruction.
  const std::map<size_t, OwnPointers>& own_pointers() const { return own_pointers_; }
  uint64_t insns_processed() const { return insns_processed_; }

 private:
  friend class Verifier;
  friend class VerifiedProgramTestPeer;  // tests of fix_up, which bring their own facts
  VerifiedProgram() = default;
  ProgramDef def_;
  std::vector<InsnFacts> facts_;
  std::vector<uint32_t> stack_bytes_;
  std::vector<bool> zeroed_stack_;
  std::map<size_t, OwnPointers> own_pointers_;
  uint32_t ctx_size_ = 0;
  uint64_t insns_processed_ = 0;
};

// Why a program was not accepted. `error.message` is one sentence that names the instruction and
// the source line; `log` is the path to it.
struct Rejection {
  Error error;
  size_t insn = 0;
  std::string log;
};

struct VerifierInput {
  const Object* object = nullptr;
  size_t program = 0;
  const CallTable* functions = nullptr;
  // The arena's attributes, when the object has one.
  uint64_t user_vm_start = 0;
  uint64_t arena_size = 0;
  int log_level = 0;
  uint64_t insn_limit = 1'000'000;  // instructions walked over all paths
  // The walk ends with E2BIG when this time has come, with ECANCELED when nobody waits any more.
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
  const std::atomic<bool>* cancelled = nullptr;
  verifier::StateSink* sink = nullptr;  // observe.h; nobody outside of tests
};
std::expected<VerifiedProgram, Rejection> verify(const VerifierInput& input,
                                                 std::string* log = nullptr);

// Subprogram frame after fix-up.
struct FixedSubprog {
  std::string name;
  uint32_t start = 0;
  uint32_t count = 0;
  uint32_t stack_bytes = 0;  // of BPF stack that it uses, multiple of 8, at most 512
  bool has_may_goto = false;
  bool zero_stack = false;   // it may read what it has not written
  bool is_callback = false;  // a function may be given it, to call
};

// Ready to run. Instructions now mean:
//  - ld_imm64: always a plain 64-bit constant (BoundMap address, value address, arena user
//    address, number of a subprogram to call back);
//  - PROBE_MEM32, PROBE_MEM32SX, PROBE_ATOMIC: arena access at kern_vm_start + (u32)reg + off;
//  - MEM, MEMSX, ATOMIC: plain access to stack, map value or context, proven in bounds;
//  - addr_space_cast: only cast_user is left, and none with NO_USER_CONV (K58);
//  - call: pseudo call within the program, or src kPseudoKfuncCall with imm an index into
//    functions, helpers too; callx: of numbered_functions();
//  - may_goto as it was.
// Where counts_at() says so, one turn is counted before the instruction (turns.h).
class FixedProgram {
 public:
  const std::vector<Insn>& insns() const { return insns_; }
  const std::vector<FixedSubprog>& subprogs() const { return subprogs_; }
  const std::vector<LineInfo>& lines() const { return lines_; }
  const std::vector<const FunctionDesc*>& functions() const { return functions_; }
  // What callx may call, by number. Another number, or a null, ends the run.
  const std::vector<HelperFn>& numbered_functions() const { return numbered_functions_; }
  const std::string& name() const { return name_; }
  // Of a call; its address stays the same as long as the program lives, wherever it is moved to.
  const OwnPointers* own_pointers_at(size_t insn) const {
    const auto found = own_pointers_.find(insn);
    return found == own_pointers_.end() ? nullptr : &found->second;
  }
  bool counts_at(size_t insn) const { return insn < counts_.size() && counts_[insn]; }
  bool uses_arena() const { return uses_arena_; }
  const ArenaView& arena() const { return arena_; }
  const std::vector<const BoundMap*>& maps() const { return maps_; }
  uint32_t ctx_size() const { return ctx_size_; }

 private:
  friend class Fixup;
  friend class FixedProgramTestPeer;  // tests of the executors, which bring their own instructions
  FixedProgram() = default;
  std::string name_;
  std::vector<Insn> insns_;
  std::vector<FixedSubprog> subprogs_;
  std::vector<LineInfo> lines_;
  std::vector<const FunctionDesc*> functions_;
  std::vector<HelperFn> numbered_functions_;
  std::map<size_t, OwnPointers> own_pointers_;
  std::vector<bool> counts_;  // short: false for the rest
  std::vector<const BoundMap*> maps_;
  ArenaView arena_;
  bool uses_arena_ = false;
  uint32_t ctx_size_ = 0;
};

// What an object was bound to before fix-up. `maps` has one element per Object::maps; the
// pointed-to maps outlive the program.
struct Binding {
  std::vector<const BoundMap*> maps;
  const CallTable* functions = nullptr;
  ArenaView arena;  // size 0: none
};
FixedProgram fix_up(const VerifiedProgram& program, const Binding& binding);

}  // namespace uarena::jit
