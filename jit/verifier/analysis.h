// What the walk works on: the program with what was computed of it beforehand, and what is learned
// of its instructions on the way. And the steps: what one instruction does to a state, one function
// per kind of instruction. Each either changes the state or says why the program is not safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "jit/program.h"
#include "jit/program_type.h"
#include "jit/verifier/cfg.h"
#include "jit/verifier/fault.h"
#include "jit/verifier/liveness.h"
#include "jit/verifier/loops.h"
#include "jit/verifier/print.h"
#include "jit/verifier/state.h"

namespace uarena::jit::verifier {

// Fixed during the walk.
struct Subject {
  const Object& object;
  const ProgramDef& program;
  const CallTable& functions;
  ProgramType type = ProgramType::syscall;
  uint64_t user_vm_start = 0;
  uint64_t arena_size = 0;
  Cfg cfg;
  std::vector<Live> live;
  std::vector<Repeat> repeats;
  std::vector<int64_t> thresholds;  // what the program compares with, ascending

  const Insn& insn(size_t at) const { return program.insns[at]; }
};

// What a call hands to a function that follows it, as far as it was walked.
struct HandedOver {
  OwnPointers pointers;
  uint32_t numbers = 0;  // bit per value: a number other than 0 on some path
  uint32_t unknown = 0;  // bit per value: it is not followed and not shown, whatever it is
};

// Grows during one walk.
struct Findings {
  std::vector<InsnFacts> facts;
  std::vector<bool> plain_alu;     // ALU64 that also works on something else than an arena pointer
  std::vector<int> stack_depth;    // per subprogram, bytes used below its frame pointer
  std::vector<bool> reads_uninit;  // per subprogram: it may read stack that it has not written
  std::set<std::pair<uint32_t, uint32_t>> loops;  // subprogram, callback that a call of it runs
  std::set<std::pair<uint32_t, uint32_t>> timed;  // callbacks of timers, and the timer's map
  std::set<uint32_t> globals;                     // global subprograms that are called
  std::map<size_t, HandedOver> handed;            // by instruction
  uint32_t ctx_size = 0;
  uint32_t last_id = 0;  // of copies of scalars, of references, …

  explicit Findings(const ProgramDef& program)
      : facts(program.insns.size()),
        plain_alu(program.insns.size()),
        stack_depth(program.subprogs.size()),
        reads_uninit(program.subprogs.size()) {}
};

struct Walk {
  const Subject& subject;
  Findings& found;
  State& state;
  size_t at;

  const Insn& insn() const { return subject.insn(at); }
  Reg& reg(unsigned n) { return state.regs()[n]; }
  template <typename... Args>
  std::unexpected<Fault> fail(int code, fmt::format_string<Args...> format, Args&&... args) const {
    return fault(at, code, format, std::forward<Args>(args)...);
  }
  // The register was written on this path.
  Checked<> readable(unsigned n) const;
  // Makes copies of a scalar recognisable as such.
  void give_id(Reg& scalar);
};

Checked<> step_alu(Walk& walk);
Checked<> step_constant(Walk& walk);  // ld_imm64
Checked<> step_load(Walk& walk);
Checked<> step_store(Walk& walk);  // ST, STX
Checked<> step_atomic(Walk& walk);

// Calls of helpers and kernel functions (K33, K45). `other`: what the call may give instead. A call
// that runs a callback enters it; `other` is then the state in which it runs it no more.
struct CallOutcome {
  std::optional<State> other;
  bool entered = false;
};
Checked<CallOutcome> step_function(Walk& walk);
// Enters a subprogram; the caller goes on at its first instruction. A global one is judged on its
// own: its arguments are checked, and its result is any number.
Checked<> enter_subprog(Walk& walk);
// Leaves the running frame. The value: the instruction to go on at, or nothing at the end of the
// walk's first frame.
Checked<std::optional<size_t>> step_exit(Walk& walk);

// Whether subprogram `n` is judged on its own.
bool is_global(const ProgramDef& program, uint32_t n);

// The states in which a walk of its own begins.
State program_entry();
Checked<State> global_entry(const Subject& subject, uint32_t subprog, Findings& found);
State timer_entry(const Subject& subject, uint32_t subprog, uint32_t map, Findings& found);

// A conditional jump: which ways are possible, and what each teaches.
struct Way {
  enum class Teaches { nothing, numbers, null, not_null, packet };
  bool possible = true;
  Teaches teaches = Teaches::nothing;
  Scalar dst;  // numbers: what the operands are now
  Scalar src;
  Kind kind = Kind::uninit;  // packet: of the pointers
  uint32_t id = 0;           // null, packet: whom it concerns
  uint32_t ref = 0;          // null: the reference that never was
  uint32_t range = 0;        // packet: bytes that are there
};
struct Fork {
  Way taken;
  Way fall;
};
Checked<Fork> step_branch(Walk& walk);
void learn(Walk& walk, State& state, const Way& way);

// --- memory.cc, stack.cc, context.cc: what an access reaches ---

enum class Access { read, write, atomic };
struct Place {
  Region region = Region::none;
  Reg base;        // as it was at the access
  int offset = 0;  // stack, known: from the frame pointer
  int last = 0;    // stack: the highest start that the access may have
};
// The bytes that the memory instruction at hand reaches through register `n`.
Checked<Place> check_access(Walk& walk, unsigned n, Access access);
// The bytes [off, off + size) behind register `n`, for accesses of instructions and functions.
Checked<Place> check_bytes(Walk& walk, unsigned n, int64_t off, int64_t size, Access access);
Checked<Place> stack_place(Walk& walk, const Reg& base, unsigned n, int64_t off, int64_t size,
                           Access access);
Checked<Place> ctx_place(Walk& walk, const Reg& base, unsigned n, unsigned bytes, Access access);
Checked<Reg> read_ctx(Walk& walk, const Place& place, unsigned bytes);

Checked<Reg> read_stack(Walk& walk, const Place& place, unsigned bytes);
Checked<> write_stack(Walk& walk, const Place& place, unsigned bytes, const Reg& value);
// How many bytes from a pointer to the stack on are no part of an address.
uint32_t stack_bytes_behind(Walk& walk, const Reg& base);
// A function reads `size` bytes there, or fills them: exactly so many, or up to that.
Checked<> read_stack_bytes(Walk& walk, unsigned n, const Place& place, int64_t size);
void fill_stack_bytes(Walk& walk, const Place& place, int64_t size, bool exact);
// The slot at a known, aligned offset; grows the stack.
Slot& stack_slot(Walk& walk, const Place& place);

// --- arguments.cc: what a function's prototype asks of R1..R5 ---

struct Arguments {
  std::optional<uint32_t> map;       // of the map argument
  std::optional<uint32_t> callback;  // subprogram
  std::optional<uint64_t> constant;  // the constant_size argument
  uint32_t released = 0;             // reference
  unsigned object = 0;               // register of the lock, timer, iterator or flags
  uint64_t size = 0;                 // the highest value of the size argument
  std::optional<uint64_t> key;       // the key, if it is a known number of four bytes
};
Checked<Arguments> check_arguments(Walk& walk, const FunctionDesc& function);

// --- handed_over.cc: pointers of the program's own that a function follows (own_pointers.h) ---

// Argument `n` of the call at hand.
Checked<> hand_over_argument(Walk& walk, unsigned n);
// The same where a format says what is printed; none: nobody knows yet how many it wants.
Checked<> hand_over_printed(Walk& walk, unsigned n, std::optional<size_t> wanted);
// 64-bit values on the stack.
Checked<> hand_over_values(Walk& walk, unsigned n, const Place& place, int64_t size);

// --- held.cc: sections, locks, iterators, flags, references ---

// After the checks of the arguments, before R0 to R5 are forgotten.
Checked<> apply_effect(Walk& walk, const FunctionDesc& function, const Arguments& arguments);
// The iterator's other way: it is drained.
State drained(Walk& walk, const Reg& iterator);
void lock_taken(Walk& walk, const Reg& lock, Ref::Kind kind);
// No iterator may be left in the running frame, since pointers to its value may outlive it.
Checked<> check_frame_left(Walk& walk);
// Nothing may be held where `what` ends ("BPF_EXIT instruction in main prog").
Checked<> check_nothing_held(Walk& walk, std::string_view what);

}  // namespace uarena::jit::verifier
