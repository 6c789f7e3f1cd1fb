// Programs straight from instructions, without a verifier: what goes in must be right. Only the
// tests of fix-up and the executors may do this (VerifiedProgramTestPeer and FixedProgramTestPeer
// are friends of VerifiedProgram and FixedProgram).
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include "jit/engine.h"
#include "jit/program.h"
#include "tests/support/bpf_asm.h"
#include "tests/support/insn.h"

namespace uarena::jit {

using test::make_insn;

class VerifiedProgramTestPeer {
 public:
  // One function, with what a verifier would have found out.
  static VerifiedProgram make(std::vector<Insn> insns, std::vector<InsnFacts> facts,
                              uint32_t ctx_size, uint32_t stack_bytes = 0) {
    VerifiedProgram program;
    program.def_.name = "test";
    program.def_.subprogs = {{.name = "main", .count = static_cast<uint32_t>(insns.size())}};
    program.def_.lines = {{0, 1, 1, "a.bpf.c", "text"}};
    program.def_.insns = std::move(insns);
    program.facts_ = std::move(facts);
    program.stack_bytes_ = {stack_bytes};
    program.ctx_size_ = ctx_size;
    return program;
  }
};

class FixedProgramTestPeer {
 public:
  // Subprograms start at instruction 0 and wherever a pseudo call or a callback (ld_imm64 with
  // kPseudoFunc) goes; each has 512 bytes of stack. `arena` null: no arena. kfunc calls index
  // `functions`.
  static FixedProgram make(std::vector<Insn> insns, const ArenaView* arena = nullptr,
                           std::vector<const FunctionDesc*> functions = {}) {
    FixedProgram program;
    program.name_ = "test";
    program.functions_ = std::move(functions);
    program.uses_arena_ = arena != nullptr;
    if (arena != nullptr) program.arena_ = *arena;
    std::vector<uint32_t> starts = {0};
    std::vector<uint32_t> callbacks;
    for (size_t at = 0; at < insns.size(); ++at) {
      const auto target = static_cast<uint32_t>(static_cast<int64_t>(at) + 1 + insns[at].imm);
      if (is_ld_imm64(insns[at])) {
        if (insns[at].src == kPseudoFunc) callbacks.push_back(target);
        ++at;
      } else if (is_pseudo_call(insns[at])) {
        starts.push_back(target);
      }
    }
    starts.insert(starts.end(), callbacks.begin(), callbacks.end());
    std::ranges::sort(starts);
    starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
    for (size_t n = 0; n < starts.size(); ++n) {
      const auto end = n + 1 < starts.size() ? starts[n + 1] : static_cast<uint32_t>(insns.size());
      FixedSubprog subprog{fmt::format("f{}", n), starts[n], end - starts[n], 512};
      for (uint32_t at = starts[n]; at < end; ++at) {
        if (is_may_goto(insns[at])) subprog.has_may_goto = true;
      }
      subprog.is_callback = std::ranges::find(callbacks, starts[n]) != callbacks.end();
      program.subprogs_.push_back(std::move(subprog));
    }
    name_callbacks(&insns, program.subprogs_);
    program.insns_ = std::move(insns);
    return program;
  }

  // As fix_up does it: the value of a callback is the number of its subprogram.
  static void name_callbacks(std::vector<Insn>* insns, const std::vector<FixedSubprog>& subprogs) {
    for (size_t at = 0; at < insns->size(); ++at) {
      Insn& insn = (*insns)[at];
      if (!is_ld_imm64(insn)) continue;
      if (insn.src == kPseudoFunc) {
        const auto start = static_cast<uint32_t>(static_cast<int64_t>(at) + 1 + insn.imm);
        insn.src = 0;
        insn.imm = static_cast<int32_t>(std::ranges::find(subprogs, start, &FixedSubprog::start) -
                                        subprogs.begin());
      }
      ++at;
    }
  }

  // A loop head that counts turns, as the verifier asks for with InsnFacts::budget.
  static void count_at(FixedProgram* program, size_t insn) {
    program->counts_.resize(program->insns_.size());
    program->counts_[insn] = true;
  }
  static void set_own_pointers(FixedProgram* program, size_t insn, const OwnPointers& own) {
    program->own_pointers_[insn] = own;
  }
  static void set_maps(FixedProgram* program, std::vector<const BoundMap*> maps) {
    program->maps_ = std::move(maps);
  }
  // What callx may call.
  static void set_numbered_functions(FixedProgram* program, std::vector<HelperFn> functions) {
    program->numbered_functions_ = std::move(functions);
  }
  static void set_lines(FixedProgram* program, std::vector<LineInfo> lines) {
    program->lines_ = std::move(lines);
  }
  static void set_stack(FixedProgram* program, size_t subprog, uint32_t bytes) {
    program->subprogs_[subprog].stack_bytes = bytes;
  }
  static void set_zero_stack(FixedProgram* program, size_t subprog) {
    program->subprogs_[subprog].zero_stack = true;
  }
};

inline std::unique_ptr<Executable> executable(FixedProgram program, Mode mode) {
  auto made = make_executable(std::move(program), mode);
  EXPECT_TRUE(made) << made.error().message;
  return std::move(*made);
}

// What a run left behind.
struct Outcome {
  uint64_t result = 0;
  uint64_t faults = 0;
  bool expired = false;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

inline Outcome run_once(const Executable& program, std::span<std::byte> ctx = {},
                        const ArenaView* arena = nullptr) {
  RunContext context;
  context.arena = arena;
  Outcome outcome;
  outcome.result = program.run(ctx, context);
  outcome.faults = context.faults.load();
  outcome.expired = context.may_goto_expired;
  return outcome;
}

inline void append_constant(std::vector<Insn>* insns, uint8_t dst, uint64_t value) {
  insns->push_back(make_insn(kLd | kImm | kDw, dst, 0, 0, static_cast<int32_t>(value)));
  insns->push_back(make_insn(0, 0, 0, 0, static_cast<int32_t>(value >> 32)));
}

}  // namespace uarena::jit
