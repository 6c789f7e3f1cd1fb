// Assembles by matching each line against the disassembler's forms, one regular expression per
// form; labels are resolved in a second pass.
#include "tests/support/bpf_asm.h"

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <regex>

#include "tests/support/insn.h"

namespace uarena::test {
namespace {

using jit::Insn;
using Match = std::smatch;
// What one line becomes; nullopt: the form fits but a part of it is wrong.
using Maker = std::function<std::optional<std::vector<Insn>>(const Match&)>;

struct Form {
  std::regex pattern;
  Maker make;
};

// Where a jump goes: a number of instructions, or a label to look up.
struct Fix {
  size_t insn;
  std::string label;
  size_t line;
};

// The label of the line being assembled; set by target() and taken by assemble().
thread_local std::string pending_label;

long long number(const std::string& text) { return std::stoll(text, nullptr, 0); }
uint8_t reg(const std::string& digits) { return static_cast<uint8_t>(std::stoi(digits) & 15); }

long long target(const std::string& text) {
  if (text.starts_with("pc")) return number(text.substr(text[2] == '+' ? 3 : 2));
  pending_label = text;
  return 0;
}

unsigned size_code(const std::string& bits) {
  if (bits == "8") return jit::kB;
  if (bits == "16") return jit::kH;
  if (bits == "32") return jit::kW;
  return jit::kDw;
}

std::optional<unsigned> alu_op(const std::string& sign) {
  static const std::map<std::string, unsigned> ops = {
      {"+=", jit::kAdd},  {"-=", jit::kSub},  {"*=", jit::kMul},    {"/=", jit::kDiv},
      {"|=", jit::kOr},   {"&=", jit::kAnd},  {"<<=", jit::kLsh},   {">>=", jit::kRsh},
      {"%=", jit::kMod},  {"^=", jit::kXor},  {"s>>=", jit::kArsh}, {"=", jit::kMov},
      {"s/=", jit::kDiv}, {"s%=", jit::kMod},
  };
  auto it = ops.find(sign);
  if (it == ops.end()) return std::nullopt;
  return it->second;
}

std::optional<unsigned> jump_op(const std::string& sign) {
  static const std::map<std::string, unsigned> ops = {
      {"==", jit::kJeq}, {">", jit::kJgt},   {">=", jit::kJge},   {"&", jit::kJset},
      {"!=", jit::kJne}, {"s>", jit::kJsgt}, {"s>=", jit::kJsge}, {"<", jit::kJlt},
      {"<=", jit::kJle}, {"s<", jit::kJslt}, {"s<=", jit::kJsle},
  };
  auto it = ops.find(sign);
  if (it == ops.end()) return std::nullopt;
  return it->second;
}

std::optional<long long> fetch_op(const std::string& name) {
  static const std::map<std::string, long long> ops = {
      {"fetch_add", jit::kAdd | jit::kFetch},
      {"fetch_and", jit::kAnd | jit::kFetch},
      {"fetch_or", jit::kOr | jit::kFetch},
      {"fetch_xor", jit::kXor | jit::kFetch},
      {"xchg", jit::kXchg},
  };
  auto it = ops.find(name);
  if (it == ops.end()) return std::nullopt;
  return it->second;
}

std::vector<Insn> wide(unsigned dst, unsigned src, uint64_t low, uint64_t high) {
  return {make_insn(jit::kLd | jit::kImm | jit::kDw, dst, src, 0, static_cast<int32_t>(low)),
          make_insn(0, 0, 0, 0, static_cast<int32_t>(high))};
}

// "(u64 *)(r1 +8)" with its groups: signed/unsigned, bits, arena, register, offset.
const char* const kMemory = R"(\(([us])(8|16|32|64)( __arena)? \*\)\(r(\d+) ?([+-]\w+)\))";

unsigned mode(const Match& m, size_t arena, unsigned plain, unsigned probe) {
  return m[arena].matched ? probe : plain;
}

void add_memory_forms(std::vector<Form>& forms) {
  const std::string mem = kMemory;
  auto add = [&](const std::string& text, Maker maker) {
    forms.push_back({std::regex(text), std::move(maker)});
  };
  add(R"(r(\d+) = \*)" + mem, [](const Match& m) -> std::optional<std::vector<Insn>> {
    const unsigned kind = m[2] == "s" ? mode(m, 4, jit::kMemsx, jit::kProbeMem32sx)
                                      : mode(m, 4, jit::kMem, jit::kProbeMem32);
    return {{make_insn(jit::kLdx | kind | size_code(m[3]), reg(m[1]), reg(m[5]), number(m[6]), 0)}};
  });
  add(R"(\*)" + mem + R"( = r(\d+))", [](const Match& m) -> std::optional<std::vector<Insn>> {
    return {{make_insn(jit::kStx | mode(m, 3, jit::kMem, jit::kProbeMem32) | size_code(m[2]),
                       reg(m[4]), reg(m[6]), number(m[5]), 0)}};
  });
  add(R"(\*)" + mem + R"( = (-?\w+))", [](const Match& m) -> std::optional<std::vector<Insn>> {
    return {{make_insn(jit::kSt | mode(m, 3, jit::kMem, jit::kProbeMem32) | size_code(m[2]),
                       reg(m[4]), 0, number(m[5]), number(m[6]))}};
  });
  auto atomic = [](const Match& m, size_t size, size_t arena, unsigned dst, unsigned src,
                   const std::string& off, long long imm) {
    return std::vector<Insn>{
        make_insn(jit::kStx | mode(m, arena, jit::kAtomic, jit::kProbeAtomic) | size_code(m[size]),
                  dst, src, number(off), imm)};
  };
  add(R"(lock \*)" + mem + R"( ([+&|^]=) r(\d+))",
      [atomic](const Match& m) -> std::optional<std::vector<Insn>> {
        return atomic(m, 2, 3, reg(m[4]), reg(m[7]), m[5], *alu_op(m[6]));
      });
  add(R"(r(\d+) = atomic(?:64)?_(\w+)\()" + mem + R"(, r(\d+)\))",
      [atomic](const Match& m) -> std::optional<std::vector<Insn>> {
        const auto op = fetch_op(m[2]);
        if (!op || m[1] != m[8]) return std::nullopt;
        return atomic(m, 4, 5, reg(m[6]), reg(m[8]), m[7], *op);
      });
  add(R"(r0 = atomic(?:64)?_cmpxchg\()" + mem + R"(, r0, r(\d+)\))",
      [atomic](const Match& m) -> std::optional<std::vector<Insn>> {
        return atomic(m, 2, 3, reg(m[4]), reg(m[6]), m[5], jit::kCmpxchg);
      });
  add(R"(r(\d+) = load_acquire\()" + mem + R"(\))",
      [atomic](const Match& m) -> std::optional<std::vector<Insn>> {
        return atomic(m, 3, 4, reg(m[1]), reg(m[5]), m[6], jit::kLoadAcq);
      });
  add(R"(store_release\()" + mem + R"(, r(\d+)\))",
      [atomic](const Match& m) -> std::optional<std::vector<Insn>> {
        return atomic(m, 2, 3, reg(m[4]), reg(m[6]), m[5], jit::kStoreRel);
      });
}

void add_alu_forms(std::vector<Form>& forms) {
  auto add = [&](const std::string& text, Maker maker) {
    forms.push_back({std::regex(text), std::move(maker)});
  };
  auto cls = [](const std::string& letter) { return letter == "r" ? jit::kAlu64 : jit::kAlu; };
  add(R"(r(\d+) = addr_space_cast\(r(\d+), (\d+), (\d+)\))",
      [](const Match& m) -> std::optional<std::vector<Insn>> {
        return {{make_insn(jit::kAlu64 | jit::kMov | jit::kX, reg(m[1]), reg(m[2]),
                           jit::kAddrSpaceCastOff, number(m[3]) << 16 | number(m[4]))}};
      });
  add(R"(([rw])(\d+) = \(s(\d+)\)\1(\d+))",
      [cls](const Match& m) -> std::optional<std::vector<Insn>> {
        return {
            {make_insn(cls(m[1]) | jit::kMov | jit::kX, reg(m[2]), reg(m[4]), number(m[3]), 0)}};
      });
  add(R"(([rw])(\d+) = -\1(\d+))", [cls](const Match& m) -> std::optional<std::vector<Insn>> {
    if (m[2] != m[3]) return std::nullopt;
    return {{make_insn(cls(m[1]) | jit::kNeg, reg(m[2]), 0, 0, 0)}};
  });
  add(R"(r(\d+) = (bswap|be|le)(\d+) r(\d+))",
      [](const Match& m) -> std::optional<std::vector<Insn>> {
        if (m[1] != m[4]) return std::nullopt;
        const unsigned code = m[2] == "bswap" ? jit::kAlu64 | jit::kEnd
                              : m[2] == "be"  ? jit::kAlu | jit::kEnd | jit::kX
                                              : jit::kAlu | jit::kEnd;
        return {{make_insn(code, reg(m[1]), 0, 0, number(m[3]))}};
      });
  add(R"(r(\d+) = (0[xX][0-9a-fA-F]+|\d+) ll)",
      [](const Match& m) -> std::optional<std::vector<Insn>> {
        const uint64_t value = std::stoull(m[2], nullptr, 0);
        return wide(reg(m[1]), 0, value & 0xffffffff, value >> 32);
      });
  add(R"(r(\d+) = map\[idx:(\d+)\])", [](const Match& m) -> std::optional<std::vector<Insn>> {
    return wide(reg(m[1]), jit::kPseudoMapFd, std::stoull(m[2]), 0);
  });
  add(R"(r(\d+) = map\[idx:(\d+)\]\[0\]\+(\d+))",
      [](const Match& m) -> std::optional<std::vector<Insn>> {
        return wide(reg(m[1]), jit::kPseudoMapValue, std::stoull(m[2]), std::stoull(m[3]));
      });
  add(R"(r(\d+) = func ([A-Za-z_]\w*))", [](const Match& m) -> std::optional<std::vector<Insn>> {
    return wide(reg(m[1]), jit::kPseudoFunc, static_cast<uint64_t>(target(m[2])), 0);
  });
  add(R"(([rw])(\d+) (\S*=) \1(\d+))", [cls](const Match& m) -> std::optional<std::vector<Insn>> {
    const auto op = alu_op(m[3]);
    if (!op) return std::nullopt;
    const bool is_signed = m[3] == "s/=" || m[3] == "s%=";
    return {{make_insn(cls(m[1]) | *op | jit::kX, reg(m[2]), reg(m[4]), is_signed ? 1 : 0, 0)}};
  });
  add(R"(([rw])(\d+) (\S*=) (-?\w+))", [cls](const Match& m) -> std::optional<std::vector<Insn>> {
    const auto op = alu_op(m[3]);
    if (!op) return std::nullopt;
    const bool is_signed = m[3] == "s/=" || m[3] == "s%=";
    return {{make_insn(cls(m[1]) | *op, reg(m[2]), 0, is_signed ? 1 : 0, number(m[4]))}};
  });
}

void add_jump_forms(std::vector<Form>& forms) {
  auto add = [&](const std::string& text, Maker maker) {
    forms.push_back({std::regex(text), std::move(maker)});
  };
  const std::string to = R"((pc[+-]\w+|[A-Za-z_]\w*))";
  add("exit", [](const Match&) -> std::optional<std::vector<Insn>> {
    return {{make_insn(jit::kJmp | jit::kExit, 0, 0, 0, 0)}};
  });
  add("goto " + to, [](const Match& m) -> std::optional<std::vector<Insn>> {
    return {{make_insn(jit::kJmp | jit::kJa, 0, 0, target(m[1]), 0)}};
  });
  add("gotol " + to, [](const Match& m) -> std::optional<std::vector<Insn>> {
    return {{make_insn(jit::kJmp32 | jit::kJa, 0, 0, 0, target(m[1]))}};
  });
  add("may_goto " + to, [](const Match& m) -> std::optional<std::vector<Insn>> {
    return {{make_insn(jit::kJmp | jit::kJcond, 0, 0, target(m[1]), 0)}};
  });
  add(R"(call kfunc#(-?\d+))", [](const Match& m) -> std::optional<std::vector<Insn>> {
    return {{make_insn(jit::kJmp | jit::kCall, 0, jit::kPseudoKfuncCall, 0, number(m[1]))}};
  });
  add(R"(callx r(\d+))", [](const Match& m) -> std::optional<std::vector<Insn>> {
    return {{make_insn(jit::kJmp | jit::kCall | jit::kX, reg(m[1]), 0, 0, 0)}};
  });
  add(R"(call helper#(-?\d+))", [](const Match& m) -> std::optional<std::vector<Insn>> {
    return {{make_insn(jit::kJmp | jit::kCall, 0, 0, 0, number(m[1]))}};
  });
  add("call " + to, [](const Match& m) -> std::optional<std::vector<Insn>> {
    return {{make_insn(jit::kJmp | jit::kCall, 0, jit::kPseudoCall, 0, target(m[1]))}};
  });
  auto cls = [](const std::string& letter) { return letter == "r" ? jit::kJmp : jit::kJmp32; };
  add(R"(if ([rw])(\d+) (\S+) \1(\d+) goto )" + to,
      [cls](const Match& m) -> std::optional<std::vector<Insn>> {
        const auto op = jump_op(m[3]);
        if (!op) return std::nullopt;
        return {{make_insn(cls(m[1]) | *op | jit::kX, reg(m[2]), reg(m[4]), target(m[5]), 0)}};
      });
  add(R"(if ([rw])(\d+) (\S+) (-?\w+) goto )" + to,
      [cls](const Match& m) -> std::optional<std::vector<Insn>> {
        const auto op = jump_op(m[3]);
        if (!op) return std::nullopt;
        return {{make_insn(cls(m[1]) | *op, reg(m[2]), 0, target(m[5]), number(m[4]))}};
      });
}

const std::vector<Form>& forms() {
  static const std::vector<Form> all = [] {
    std::vector<Form> list;
    add_memory_forms(list);
    add_alu_forms(list);
    add_jump_forms(list);
    list.push_back({std::regex(R"(raw (\w+) (\w+) (\w+) (-?\w+) (-?\w+))"),
                    [](const Match& m) -> std::optional<std::vector<Insn>> {
                      return {{make_insn(number(m[1]), number(m[2]), number(m[3]), number(m[4]),
                                         number(m[5]))}};
                    }});
    return list;
  }();
  return all;
}

std::string strip(std::string_view line) {
  for (std::string_view mark : {" #", "//", ";"}) line = line.substr(0, line.find(mark));
  if (line.starts_with('#')) return {};
  const size_t from = line.find_first_not_of(" \t\r");
  if (from == std::string_view::npos) return {};
  return std::string(line.substr(from, line.find_last_not_of(" \t\r") - from + 1));
}

std::optional<std::vector<Insn>> assemble_line(const std::string& line) {
  for (const Form& form : forms()) {
    Match match;
    if (!std::regex_match(line, match, form.pattern)) continue;
    try {
      if (auto insns = form.make(match)) return insns;
    } catch (const std::exception&) {  // a number out of range
      return std::nullopt;
    }
  }
  return std::nullopt;
}

// gotol, call and the address of a function keep their distance in imm, all others in off.
void set_target(Insn& i, int64_t distance) {
  const bool in_imm = i.code == (jit::kJmp32 | jit::kJa) || jit::is_pseudo_call(i) ||
                      (jit::is_ld_imm64(i) && i.src == jit::kPseudoFunc);
  if (in_imm)
    i.imm = static_cast<int32_t>(distance);
  else
    i.off = static_cast<int16_t>(distance);
}

}  // namespace

Result<Assembly> assemble(std::string_view text) {
  Assembly out;
  std::vector<Fix> fixes;
  size_t number_of_line = 0;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = strip(text.substr(at, end - at));
    at = end + 1;
    ++number_of_line;
    if (line.empty()) continue;
    if (line.ends_with(':')) {
      out.labels[line.substr(0, line.size() - 1)] = out.insns.size();
      continue;
    }
    pending_label.clear();
    const auto insns = assemble_line(line);
    if (!insns) return fail(EINVAL, "line {}: cannot assemble '{}'", number_of_line, line);
    if (!pending_label.empty()) fixes.push_back({out.insns.size(), pending_label, number_of_line});
    for (const Insn& i : *insns) {
      out.insns.push_back(i);
      out.lines.push_back(number_of_line);
    }
  }
  for (const Fix& fix : fixes) {
    const auto it = out.labels.find(fix.label);
    if (it == out.labels.end()) return fail(EINVAL, "line {}: no label '{}'", fix.line, fix.label);
    set_target(out.insns[fix.insn],
               static_cast<int64_t>(it->second) - static_cast<int64_t>(fix.insn) - 1);
  }
  return out;
}

std::vector<Insn> assemble_or_die(std::string_view text) {
  auto assembly = assemble(text);
  if (!assembly) {
    std::fprintf(stderr, "assemble: %s\n", assembly.error().message.c_str());
    std::abort();
  }
  return std::move(assembly->insns);
}

}  // namespace uarena::test
