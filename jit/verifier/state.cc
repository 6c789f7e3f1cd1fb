// What states hold, and what they forget.
#include "jit/verifier/state.h"

#include <algorithm>

namespace uarena::jit::verifier {
namespace {

void forget_dead_in(Frame& frame, const Live& live) {
  for (unsigned r = 0; r < 10; ++r)
    if ((live.regs >> r & 1) == 0) frame.regs[r] = {};
  for (size_t n = 0; n < frame.stack.size(); ++n)
    if ((live.slots >> n & 1) == 0 && !frame.stack[n].is_special())
      frame.stack[n].set_all(Byte::uninit);
  while (!frame.stack.empty()) {
    const auto& bytes = frame.stack.back().bytes;
    if (std::any_of(bytes.begin(), bytes.end(), [](Byte b) { return b != Byte::uninit; })) break;
    frame.stack.pop_back();
  }
}

}  // namespace

// An id that only one register has says nothing about scalars.
void forget_single_ids(State& state) {
  std::vector<uint32_t> ids;
  for_each_reg(state, [&](Reg& reg) {
    if (reg.kind == Kind::scalar && reg.id != 0) ids.push_back(reg.id);
  });
  std::sort(ids.begin(), ids.end());
  for_each_reg(state, [&](Reg& reg) {
    if (reg.kind != Kind::scalar || reg.id == 0) return;
    const auto [from, to] = std::equal_range(ids.begin(), ids.end(), reg.id);
    if (to - from < 2) reg.id = 0;
    if (reg.id == 0) reg.delta = 0;
  });
}

void forget_dead(State& state, size_t at, const std::vector<Live>& live) {
  for (size_t f = 0; f < state.frames.size(); ++f) {
    const bool running = f + 1 == state.frames.size();
    size_t next = at;
    if (!running) {
      const Frame& callee = state.frames[f + 1];
      // A loop's callback goes back to the call itself.
      next = callee.entered == Entered::looped ? callee.call_site : callee.call_site + size_t{1};
    }
    Live here = live[next];
    if (!running) here.regs &= static_cast<uint16_t>(~1u);  // R0 comes from the callee
    forget_dead_in(state.frames[f], here);
  }
  forget_single_ids(state);
}

bool same_calls(const State& a, const State& b) {
  return std::ranges::equal(a.frames, b.frames, [](const Frame& x, const Frame& y) {
    return x.subprog == y.subprog && x.call_site == y.call_site && x.entered == y.entered;
  });
}

const Ref* State::find_ref(Ref::Kind kind) const {
  for (size_t n = refs.size(); n-- > 0;)
    if (refs[n].kind == kind) return &refs[n];
  return nullptr;
}

void State::release(uint32_t id) {
  std::erase_if(refs, [&](const Ref& ref) { return ref.id == id; });
  take_back_pointers(id);
}

void State::take_back_pointers(uint32_t ref) {
  for_each_reg(*this, [&](Reg& reg) {
    if (reg.ref == ref) reg = Reg::pointer(Kind::gone);
  });
}

}  // namespace uarena::jit::verifier
