// Of two numbers the hull; what is not the same on both ways is not used again.
#include "tests/fuzz/verifier/model.h"

#include <algorithm>
#include <numeric>

namespace uarena::fuzz {

Known merge(const Known& a, const Known& b) {
  if (a == b) return a;
  if (a.what != b.what || a.map != b.map || a.size != b.size || a.read_only != b.read_only)
    return {};
  if (!a.bounded || !b.bounded) return a.is_number() ? Known::number() : Known{};
  // A packet's bytes are known to be there for one variable offset only.
  if (a.what == What::packet) return {};
  Known both = a;
  both.min = std::min(a.min, b.min);
  both.max = std::max(a.max, b.max);
  both.step = std::gcd(std::gcd(a.step, b.step), a.min - b.min);
  both.step = std::max<int64_t>(both.step, 1);
  return both;
}

Picture merge(const Picture& a, const Picture& b) {
  Picture both;
  for (size_t r = 0; r < both.regs.size(); ++r) both.regs[r] = merge(a.regs[r], b.regs[r]);
  for (size_t n = 0; n < both.slots.size(); ++n) both.slots[n] = merge(a.slots[n], b.slots[n]);
  return both;
}

}  // namespace uarena::fuzz
