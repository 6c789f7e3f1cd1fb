// One case per kind of register.
#include "jit/verifier/print.h"

#include <fmt/format.h>

namespace uarena::jit::verifier {

std::string to_string(const Reg& reg) {
  const std::string offset = to_string(reg.number);
  switch (reg.kind) {
    case Kind::uninit:
      return "?";
    case Kind::scalar:
      return fmt::format("scalar({})", offset);
    case Kind::ctx:
      return fmt::format("ctx({})", offset);
    case Kind::stack:
      return fmt::format("fp{}({})", reg.frame, offset);
    case Kind::map_value:
      return fmt::format("map_value({},off={})", reg.map, offset);
    case Kind::map_ptr:
      return fmt::format("map_ptr({})", reg.map);
    case Kind::arena:
      return "arena";
    default:
      return "pointer";
  }
  return "?";
}

std::string to_string(const State& state) {
  const Frame& frame = state.top();
  std::string out = fmt::format("frame{}:", state.frames.size() - 1);
  for (size_t r = 0; r < frame.regs.size(); ++r)
    if (frame.regs[r].kind != Kind::uninit)
      out += fmt::format(" R{}={}", r, to_string(frame.regs[r]));
  for (size_t n = 0; n < frame.stack.size(); ++n) {
    const Slot& slot = frame.stack[n];
    const int off = -8 * static_cast<int>(n + 1);
    if (slot.is_spill()) {
      out += fmt::format(" fp{}={}", off, to_string(slot.spilled));
      continue;
    }
    std::string bytes;
    for (const Byte b : slot.bytes) bytes += b == Byte::uninit ? '?' : b == Byte::zero ? '0' : 'm';
    if (bytes != "????????") out += fmt::format(" fp{}={}", off, bytes);
  }
  return out;
}

}  // namespace uarena::jit::verifier
