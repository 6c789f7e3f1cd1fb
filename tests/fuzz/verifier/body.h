// One function of a generated program, as it is written: instructions behind each other, and the
// picture (model.h) of what they leave in registers and stack. The parts of it are files of their
// own:
//   numbers.cc   numbers: where they come from, arithmetic, and how they are brought into bounds
//   accesses.cc  pointers into something, with constant and variable offsets; stack slots
//   flow.cc      branches, loops, sections
//   calls.cc     subprograms and callbacks
//   objects.cc   elements of maps, records, locks
//   packets.cc   the packet and its end
//
// Everything is chosen to be right, but for a mistake now and then (slip()): a bound that is off by
// one, a comparison of the wrong sign or width, a check that is missing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <vector>

#include "jit/isa.h"
#include "jit/object.h"
#include "jit/program.h"
#include "jit/program_type.h"
#include "tests/fuzz/random.h"
#include "tests/fuzz/verifier/model.h"

namespace uarena::fuzz {

enum Sub : uint32_t { kMain, kStatic, kGlobal, kCallback, kEach, kSubprogs };

// What a static or global function, or the callback, gets: chosen once for a program.
struct Signature {
  std::vector<Known> args;
  std::vector<jit::Param> params;  // of the global function
};

// What all functions of a program share.
struct Plan {
  jit::ProgramType type = jit::ProgramType::syscall;
  unsigned mistakes = 0;     // that may still be made
  bool names_arena = false;  // some instruction does
  int each = 0;              // the map that is walked
  std::array<Signature, kSubprogs> signatures;
};

// How deep blocks are nested: loops and branches, and where a small idiom has room for a block.
inline constexpr unsigned kMostDepth = 6;
inline constexpr unsigned kNested = 5;

class Body {
 public:
  Body(Random& random, Plan& plan, std::vector<jit::Insn>& out, Sub self);

  // Where another subprogram's place has to be filled in.
  struct Use {
    size_t at;
    Sub callee;
  };
  std::vector<Use> uses;

  void make(unsigned items);

 private:
  using Code = std::function<void()>;
  // Jumps to the end of the part of the program that is being written.
  struct Guard {
    std::vector<size_t> jumps;
    std::vector<Picture> pictures;  // at the jumps
  };
  // Registers that nothing inside may change.
  class Hold {
   public:
    Hold(Body& body, std::initializer_list<unsigned> regs) : body_(body), before_(body.held_) {
      for (const unsigned r : regs) body.held_ |= 1u << r;
    }
    ~Hold() { body_.held_ = before_; }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    Body& body_;
    unsigned before_;
  };

  void check_params();

  // --- choices ---
  unsigned pick(unsigned n) { return random_.pick(n); }
  bool slip();
  unsigned free_reg(std::initializer_list<unsigned> but = {});   // any that is not held
  unsigned saved_reg(std::initializer_list<unsigned> but = {});  // that calls leave alone
  int any_reg(What what);                                        // -1: none
  int number_reg() { return any_reg(What::number); }
  int free_slot(int slots = 1);  // the highest of some in a row that are not held; -1: none
  int constant();                // that comparisons like
  int64_t below(int64_t n) { return static_cast<int64_t>(random_.below(static_cast<uint64_t>(n))); }

  // --- instructions ---
  void put(int code, unsigned dst, unsigned src, int off, int64_t imm);
  void mov(unsigned dst, int64_t imm);
  void copy(unsigned dst, unsigned src);
  void add(unsigned dst, int64_t imm);
  void wide(unsigned dst, unsigned kind, int64_t low, uint64_t high);
  void call(int helper);
  void kfunc(int index);
  size_t jump(int code, unsigned dst, unsigned src, int64_t imm);
  void land(size_t from);
  void back(int code, unsigned dst, unsigned src, int64_t imm, size_t to);
  Known& reg(unsigned r) { return picture_.regs[r]; }
  Known& slot(int n) { return picture_.slots[static_cast<size_t>(n)]; }
  static int slot_offset(int n) { return -8 * (n + 1); }

  // --- numbers.cc ---
  void number(unsigned r);               // an unknown one
  void transform(unsigned r);            // any operation on it
  void compute(unsigned r);              // an operation that keeps it bounded
  void bound(unsigned r, int64_t most);  // into [0, most], or to the end of the guard
  void bound_by_jump(unsigned r, int64_t most);
  void bound_by_copy(unsigned r, int64_t most);
  void bound_by_slot(unsigned r, int64_t most);
  void out(int code, unsigned dst, unsigned src, int64_t imm);  // a jump to the guard's end
  void out_if(int cls, int op, unsigned r, int64_t imm);        // the same, in any form
  size_t condition_jump();

  // --- accesses.cc ---
  bool memory(unsigned r);  // a pointer to something; false: there is nothing
  void to_value(unsigned r, int map, int64_t offset);
  void to_stack(unsigned r, int slots);
  void touch(unsigned pointer);
  void touch_at(unsigned pointer, int off, unsigned bytes);
  void indexed();
  void spill_and_fill();
  void ctx_access();
  void arena_access();
  void arena_pointer(unsigned r);
  void written(const Known& base, int off, unsigned bytes, const Known& value);

  // --- flow.cc ---
  void items(unsigned n);
  void item();
  void plain();
  void guarded(const Code& code);
  void branch();
  void leave();
  void counted_loop();
  void shrinking_loop();
  void may_goto_loop();
  void iterator_loop();
  void loop_body(size_t& head, const Code& before);
  void section();

  // --- calls.cc ---
  void argument(unsigned r, const Known& wanted);
  void call_sub(Sub callee);
  void call_loop();
  void for_each();

  // --- objects.cc ---
  bool to_key(unsigned r, unsigned keys = 6);
  unsigned not_null(const Known& known);
  void map_lookup();
  void two_lookups();
  void locked(unsigned value);
  void transform_any();
  void map_change();
  void record();

  // --- packets.cc ---
  bool load_packet(unsigned r, jit::CtxLoad load);
  int64_t compare_with_end(unsigned pointer, unsigned end);
  void packet();
  void further(unsigned base, int64_t there);
  void packet_ctx(unsigned ctx);

  Random& random_;
  Plan& plan_;
  std::vector<jit::Insn>& out_;
  const Sub self_;
  Picture picture_ = Picture::empty();
  unsigned held_ = 0;        // registers, as bits
  unsigned held_slots_ = 0;  // slots
  std::vector<Guard> guards_;
  unsigned depth_ = 0;     // of blocks
  unsigned sections_ = 0;  // that are open: no way leads out of the function
};

}  // namespace uarena::fuzz
