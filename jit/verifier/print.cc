// A register is its type, then what is known of it in parentheses, in the kernel's order: id,
// reference, map, offset, range of a packet, size, and the bounds of its variable part.
#include "jit/verifier/print.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "jit/catalogue.h"

namespace uarena::jit::verifier {
namespace {

// Names of maps have at most 15 letters in the kernel.
constexpr size_t kMaxMapName = 15;

// Small numbers are decimal: signed ones of 16 bits, unsigned ones of 16 bits.
std::string signed_text(int64_t v) {
  if (v >= INT16_MIN && v <= INT16_MAX) return fmt::format("{}", v);
  return fmt::format("{:#x}", static_cast<uint64_t>(v));
}
std::string unsigned_text(uint64_t v) {
  if (v <= UINT16_MAX) return fmt::format("{}", v);
  return fmt::format("{:#x}", v);
}

struct Bound {
  std::string_view name;
  int64_t value;
  bool omit;  // it says nothing
};

// Bounds that are equal are written once: "smax=umax=63".
std::string bounds_text(const Scalar& s) {
  std::array<Bound, 8> bounds = {{
      {"smin", s.full.smin, s.full.smin == INT64_MIN},
      {"smax", s.full.smax, s.full.smax == INT64_MAX},
      {"umin", static_cast<int64_t>(s.full.umin), s.full.umin == 0},
      {"umax", static_cast<int64_t>(s.full.umax), s.full.umax == UINT64_MAX},
      {"smin32", s.low.smin, s.low.smin == INT32_MIN},
      {"smax32", s.low.smax, s.low.smax == INT32_MAX},
      {"umin32", s.low.umin, s.low.umin == 0},
      {"umax32", s.low.umax, s.low.umax == UINT32_MAX},
  }};
  std::string out;
  for (size_t n = 0; n < bounds.size(); ++n) {
    if (bounds[n].omit) continue;
    out += out.empty() ? "" : ",";
    out += bounds[n].name;
    for (size_t m = n + 1; m < bounds.size(); ++m) {
      if (bounds[m].omit || bounds[m].value != bounds[n].value) continue;
      bounds[m].omit = true;
      out += "=" + std::string(bounds[m].name);
    }
    const bool is_signed = bounds[n].name[0] == 's';
    out += "=" + (is_signed ? signed_text(bounds[n].value)
                            : unsigned_text(static_cast<uint64_t>(bounds[n].value)));
  }
  return out;
}

std::string range_text(const Scalar& s) {
  std::string out = bounds_text(s);
  if (s.full.bits == Tnum<uint64_t>::unknown()) return out;
  return out + fmt::format("{}var_off=({:#x}; {:#x})", out.empty() ? "" : ",", s.full.bits.value,
                           s.full.bits.mask);
}

class Attributes {
 public:
  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    text_ += (text_.empty() ? "" : ",") + fmt::format(format, std::forward<Args>(args)...);
  }
  void add_range(const Scalar& s) {
    const std::string range = range_text(s);
    if (!range.empty()) add("{}", range);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string_view map_name(const MapDef& map) {
  return std::string_view(map.name).substr(0, kMaxMapName);
}

bool names_map(Kind kind) {
  return kind == Kind::map_value || kind == Kind::map_key || kind == Kind::map_ptr;
}

std::string attributes(const Reg& reg, const Object& object) {
  Attributes out;
  if (reg.id != 0) out.add("id={}", reg.id);
  if (reg.ref != 0) out.add("ref_obj_id={}", reg.ref);
  if (names_map(reg.kind)) {
    const MapDef& map = object.maps[reg.map];
    out.add("map={},ks={},vs={}", map_name(map), map.key_size, map.value_size);
  }
  const auto offset = reg.number.value();
  const int64_t fixed = reg.is_packet() ? reg.fixed : static_cast<int64_t>(offset.value_or(0));
  if (reg.kind != Kind::scalar && fixed != 0) out.add("off={}", signed_text(fixed));
  if (reg.is_packet()) out.add("r={}", reg.size);
  if (reg.kind == Kind::memory) out.add("sz={}", reg.size);
  const bool bounded = reg.kind != Kind::map_ptr && reg.kind != Kind::gone &&
                       reg.kind != Kind::callback && reg.kind != Kind::packet_end;
  if (!offset && bounded) out.add_range(reg.number);
  return out.text();
}

char letter(Byte b) {
  switch (b) {
    case Byte::uninit:
    case Byte::lost:
      return '?';
    case Byte::misc:
      return 'm';
    case Byte::zero:
      return '0';
    case Byte::spill:
      return 'r';
    case Byte::iterator:
      return 'i';
    case Byte::irq_flags:
      return 'f';
  }
  return '?';
}

std::string constant_text(const Object& object, const ProgramDef& program, size_t at) {
  const Insn& i = program.insns[at];
  const auto index = static_cast<size_t>(i.imm);
  if (i.src == kPseudoMapFd && index < object.maps.size())
    return fmt::format("r{} = map[{}]", unsigned{i.dst}, object.maps[index].name);
  if (i.src == kPseudoMapValue && index < object.maps.size())
    return fmt::format("r{} = map[{}][0]+{}", unsigned{i.dst}, object.maps[index].name,
                       static_cast<uint32_t>(program.insns[at + 1].imm));
  if (i.src == kPseudoKfunc && index < object.kfuncs.size())
    return fmt::format("r{} = {}", unsigned{i.dst}, object.kfuncs[index].name);
  if (i.src == kPseudoFunc) return fmt::format("r{} = func pc{:+}", unsigned{i.dst}, i.imm);
  return disassemble(program.insns, at);
}

// The kernel writes what a jump compares with in hexadecimal.
std::string jump_text(const Insn& i, std::string text) {
  const size_t end = text.rfind(" goto ");
  const size_t begin = end == std::string::npos ? end : text.rfind(' ', end - 1);
  if (begin == std::string::npos) return text;
  return text.replace(begin, end - begin, fmt::format(" {:#x}", static_cast<uint32_t>(i.imm)));
}

bool compares_with_number(const Insn& i) {
  const uint8_t cls = insn_class(i.code), op = insn_op(i.code);
  return (cls == kJmp || cls == kJmp32) && !uses_register(i.code) && op != kJa && op != kCall &&
         op != kExit && op != kJcond;
}

}  // namespace

std::string type_name(const Reg& reg) {
  const auto named = [&](const char* name) {
    return std::string(name) + (reg.or_null ? "_or_null" : "");
  };
  switch (reg.kind) {
    case Kind::uninit:
      return "?";
    case Kind::scalar:
      return "scalar";
    case Kind::ctx:
      return named("ctx");
    case Kind::stack:
      return named("fp");
    case Kind::map_value:
      return named("map_value");
    case Kind::map_key:
      return named("map_key");
    case Kind::memory:
      return reg.ref != 0 ? named("ringbuf_mem") : named("mem");
    case Kind::packet:
      return named("pkt");
    case Kind::packet_meta:
      return named("pkt_meta");
    case Kind::packet_end:
      return named("pkt_end");
    case Kind::map_ptr:
      return named("map_ptr");
    case Kind::gone:
      return "scalar";  // as the kernel has it for those who may see addresses
    case Kind::callback:
      return named("func");
    case Kind::arena:
      return "arena";
  }
  return "?";
}

std::string to_string(const Reg& reg, const Object& object, size_t frame) {
  const auto value = reg.number.value();
  std::string type = type_name(reg);
  switch (reg.kind) {
    case Kind::uninit:
    case Kind::arena:
      return type;
    case Kind::scalar:
      if (value) return signed_text(static_cast<int64_t>(*value));
      break;
    case Kind::stack:
      if (reg.frame != frame) type += fmt::format("[{}]", unsigned{reg.frame});
      if (value) return type + signed_text(static_cast<int64_t>(*value));
      break;
    default:
      break;
  }
  return fmt::format("{}({})", type, attributes(reg, object));
}

std::string to_string(const Slot& slot, const State& state, size_t frame, const Object& object) {
  if (slot.is(Byte::iterator))
    return fmt::format("iter_num(ref_id={},state={})", slot.spilled.ref,
                       slot.drained ? "drained" : "active");
  std::string bytes;  // the highest address first
  for (const Byte b : slot.bytes) bytes.insert(bytes.begin(), letter(b));
  if (bytes == "????????") return {};
  if (!slot.has_spill()) return bytes;
  // What was stored in one half, and beside it the other half's bytes.
  const bool upper = slot.bytes[7] == Byte::spill;
  std::erase(bytes, 'r');
  const std::string value =
      to_string(slot.spilled, object, std::min(frame, state.frames.size() - 1));
  return upper ? value + bytes : bytes + value;
}

std::string frame_label(size_t frame) {
  return frame == 0 ? std::string{} : fmt::format(" frame{}:", frame);
}

std::string refs_text(const State& state) {
  std::string out;
  for (const Ref& ref : state.refs) out += (out.empty() ? " refs=" : ",") + std::to_string(ref.id);
  return out;
}

std::string to_string(const State& state, size_t frame, const Object& object) {
  std::string out = frame_label(frame);
  const Frame& f = state.frames[frame];
  for (size_t r = 0; r < f.regs.size(); ++r)
    if (f.regs[r].kind != Kind::uninit)
      out += fmt::format(" R{}={}", r, to_string(f.regs[r], object, frame));
  for (size_t n = 0; n < f.stack.size(); ++n) {
    const std::string slot = to_string(f.stack[n], state, frame, object);
    if (!slot.empty()) out += fmt::format(" fp{}={}", -8 * static_cast<int>(n + 1), slot);
  }
  return out + refs_text(state);
}

std::string to_string(const State& state, const Object& object) {
  return to_string(state, state.frames.size() - 1, object);
}

std::string insn_text(const Object& object, const ProgramDef& program, size_t at) {
  const Insn& i = program.insns[at];
  std::string text;
  if (is_ld_imm64(i) && at + 1 < program.insns.size())
    text = constant_text(object, program, at);
  else if (is_kfunc_call(i) && static_cast<size_t>(i.imm) < object.kfuncs.size())
    text = fmt::format("call {}", object.kfuncs[static_cast<size_t>(i.imm)].name);
  else if (is_helper_call(i))
    text = fmt::format("call {}#{}", helper_name(i.imm), i.imm);
  else
    text = disassemble(program.insns, at);
  if (compares_with_number(i)) text = jump_text(i, std::move(text));
  return fmt::format("({:02x}) {}", i.code, text);
}

std::string line_text(const LineInfo* line) {
  if (line == nullptr) return {};
  const std::string_view file = line->file;
  const size_t slash = file.rfind('/');
  std::string_view text = line->text;
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  return fmt::format("{} @ {}:{}", text,
                     file.substr(slash == std::string_view::npos ? 0 : slash + 1), line->line);
}

}  // namespace uarena::jit::verifier
