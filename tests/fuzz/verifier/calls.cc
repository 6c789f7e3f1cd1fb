// Calls of the program's own functions with what they ask for, and of those that call back.
#include <linux/bpf.h>

#include <algorithm>

#include "tests/fuzz/verifier/body.h"
#include "tests/fuzz/verifier/world.h"

namespace uarena::fuzz {

using namespace jit;

// Puts what a function wants as an argument into a register.
void Body::argument(unsigned r, const Known& wanted) {
  switch (wanted.what) {
    case What::ctx:
      if (const int ctx = any_reg(What::ctx); ctx >= 0)
        copy(r, static_cast<unsigned>(ctx));
      else
        mov(r, 0);
      return;
    case What::memory:
      to_stack(r, static_cast<int>(wanted.size / 8));
      if (slip()) add(r, random_.one_of(1, 8, 8, 16));  // shorter than it has to be
      return;
    case What::value:
      return to_value(r, wanted.map, 0);
    case What::arena:
      return arena_pointer(r);
    default:
      break;
  }
  const int n = number_reg();
  if (n >= 0 && static_cast<unsigned>(n) > r && pick(3))
    copy(r, static_cast<unsigned>(n));
  else
    mov(r, constant());
}

void Body::call_sub(Sub callee) {
  // Static functions call nothing of the program's, global ones static ones: no recursion.
  const bool allowed = callee == kGlobal ? self_ == kMain : self_ != kStatic;
  if (!allowed || (held_ & 0x3f) != 0) return plain();
  const auto& args = plan_.signatures[callee].args;
  const bool needs_ctx =
      std::ranges::any_of(args, [](const Known& known) { return known.what == What::ctx; });
  if (needs_ctx && any_reg(What::ctx) < 0) return plain();
  if (needs_ctx && any_reg(What::ctx) < 6) {
    const unsigned to = saved_reg();
    copy(to, static_cast<unsigned>(any_reg(What::ctx)));
  }
  const int left_out = slip() ? static_cast<int>(pick(3)) : -1;
  for (size_t n = 0; n < args.size(); ++n)
    if (static_cast<int>(n) != left_out) argument(static_cast<unsigned>(n) + 1, args[n]);
  uses.push_back({out_.size(), callee});
  put(kJmp | kCall, 0, kPseudoCall, 0, 0);
  picture_.call();
  reg(0) = Known::number();
}

void Body::call_loop() {
  if (self_ == kCallback || self_ == kStatic || (held_ & 0x3f) != 0) return plain();
  argument(1, pick(2) ? Known::number() : Known::within(0, 0));
  if (pick(3)) {
    mov(1, random_.one_of(0, 1, 2, 3, 5, 8));
  }
  uses.push_back({out_.size(), kCallback});
  wide(2, kPseudoFunc, 0, 0);
  to_stack(3, static_cast<int>(plan_.signatures[kCallback].args[1].size / 8));
  mov(4, slip() ? 1 : 0);
  call(BPF_FUNC_loop);
}

void Body::for_each() {
  if (self_ == kEach || self_ == kCallback || self_ == kStatic || (held_ & 0x3f) != 0)
    return plain();
  wide(1, kPseudoMapFd, plan_.each, 0);
  uses.push_back({out_.size(), kEach});
  wide(2, kPseudoFunc, 0, 0);
  to_stack(3, static_cast<int>(plan_.signatures[kEach].args[3].size / 8));
  mov(4, slip() ? 1 : 0);
  call(BPF_FUNC_for_each_map_elem);
}

}  // namespace uarena::fuzz
