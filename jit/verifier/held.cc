// What a program holds and has to give back: locks, iterators, saved interrupt flags, records of
// ring buffers, RCU and preemption sections. Each is entered into the state when it is taken; a
// program must have given back everything when it ends, whichever way it went.
#include <algorithm>

#include "jit/verifier/analysis.h"

namespace uarena::jit::verifier {
namespace {

// The place on the stack that an argument check has found to be one.
Place place_of(const Reg& reg) {
  const int off = static_cast<int>(static_cast<int64_t>(*reg.number.value()));
  return {Region::stack, reg, off, off};
}

uint32_t acquire(Walk& walk, Ref ref) {
  ref.id = ++walk.found.last_id;
  ref.insn = static_cast<uint32_t>(walk.at);
  ref.frame = walk.state.frames.size() - 1;
  walk.state.refs.push_back(ref);
  return ref.id;
}

void put_on_stack(Walk& walk, const Reg& at, Byte kind, uint32_t ref) {
  Slot& slot = stack_slot(walk, place_of(at));
  slot.set_all(kind);
  slot.spilled.ref = ref;
}

void take_from_stack(Walk& walk, const Reg& at) {
  Slot& slot = stack_slot(walk, place_of(at));
  const uint32_t ref = slot.spilled.ref;
  slot.set_all(Byte::misc);
  walk.state.release(ref);
}

Checked<> new_iterator(Walk& walk, unsigned n) {
  const Reg at = walk.reg(n);
  if (stack_slot(walk, place_of(at)).is_special())
    return walk.fail(EINVAL, "expected uninitialized iter_num as arg #{}", n - 1);
  const uint32_t ref = acquire(walk, {.kind = Ref::Kind::iterator});
  put_on_stack(walk, at, Byte::iterator, ref);
  return {};
}

Checked<> need_iterator(Walk& walk, unsigned n) {
  if (!stack_slot(walk, place_of(walk.reg(n))).is(Byte::iterator))
    return walk.fail(EINVAL, "expected an initialized iter_num as arg #{}", n - 1);
  return {};
}

Checked<> destroy_iterator(Walk& walk, unsigned n) {
  if (auto ok = need_iterator(walk, n); !ok) return ok;
  take_from_stack(walk, Reg(walk.reg(n)));
  return {};
}

Checked<> save_irq(Walk& walk, unsigned n) {
  const Reg at = walk.reg(n);
  if (stack_slot(walk, place_of(at)).is_special())
    return walk.fail(EINVAL, "expected uninitialized irq flag as arg#{}", n - 1);
  const uint32_t ref = acquire(walk, {.kind = Ref::Kind::irq_flags});
  put_on_stack(walk, at, Byte::irq_flags, ref);
  return {};
}

Checked<> restore_irq(Walk& walk, unsigned n) {
  const Slot& slot = stack_slot(walk, place_of(walk.reg(n)));
  if (!slot.is(Byte::irq_flags))
    return walk.fail(EINVAL, "expected an initialized irq flag as arg#{}", n - 1);
  const Ref* newest = walk.state.find_ref(Ref::Kind::irq_flags);
  if (newest == nullptr || newest->id != slot.spilled.ref)
    return walk.fail(
        EACCES, "cannot restore irq state out of order, expected id={} acquired at insn_idx={}",
        newest == nullptr ? 0 : newest->id, newest == nullptr ? 0 : newest->insn);
  take_from_stack(walk, Reg(walk.reg(n)));
  return {};
}

bool same_lock(const Ref& ref, const Reg& lock) {
  return ref.map == lock.map && ref.value == lock.id && ref.offset == lock.number.value();
}

Checked<> take_lock(Walk& walk, const Reg& lock) {
  if (walk.state.find_ref(Ref::Kind::lock) != nullptr)
    return walk.fail(EINVAL, "Locking two bpf_spin_locks are not allowed");
  lock_taken(walk, lock, Ref::Kind::lock);
  return {};
}

Checked<> release_lock(Walk& walk, const Reg& lock) {
  const Ref* held = walk.state.find_ref(Ref::Kind::lock);
  if (held == nullptr) return walk.fail(EINVAL, "bpf_spin_unlock without taking a lock");
  if (!same_lock(*held, lock)) return walk.fail(EINVAL, "bpf_spin_unlock of different lock");
  walk.state.release(held->id);
  return {};
}

Checked<> try_lock(Walk& walk, const Reg& lock) {
  const auto same = [&](const Ref& ref) {
    return ref.kind == Ref::Kind::res_lock && same_lock(ref, lock);
  };
  if (std::ranges::any_of(walk.state.refs, same))
    return walk.fail(EINVAL, "Acquiring the same lock again, AA deadlock detected");
  return {};
}

Checked<> release_res_lock(Walk& walk, const Reg& lock) {
  const Ref* held = walk.state.find_ref(Ref::Kind::res_lock);
  if (held == nullptr) return walk.fail(EINVAL, "bpf_res_spin_unlock without taking a lock");
  if (!same_lock(*held, lock)) return walk.fail(EINVAL, "bpf_res_spin_unlock of different lock");
  walk.state.release(held->id);
  return {};
}

Checked<> leave_section(Walk& walk, uint16_t& depth, std::string_view what) {
  if (depth == 0) return walk.fail(EINVAL, "{}", what);
  --depth;
  return {};
}

}  // namespace

void lock_taken(Walk& walk, const Reg& lock, Ref::Kind kind) {
  acquire(walk, {.kind = kind,
                 .map = lock.map,
                 .value = lock.id,
                 .offset = static_cast<uint32_t>(*lock.number.value())});
}

Checked<> apply_effect(Walk& walk, const FunctionDesc& function, const Arguments& arguments) {
  const unsigned n = arguments.object;
  State& state = walk.state;
  switch (function.effect) {
    case Effect::rcu_lock:
      ++state.rcu_locks;
      return {};
    case Effect::rcu_unlock:
      return leave_section(walk, state.rcu_locks,
                           "unmatched rcu read unlock (kernel function bpf_rcu_read_unlock)");
    case Effect::preempt_disable:
      ++state.preempt_locks;
      return {};
    case Effect::preempt_enable:
      return leave_section(
          walk, state.preempt_locks,
          "unmatched attempt to enable preemption (kernel function bpf_preempt_enable)");
    case Effect::irq_save:
      return save_irq(walk, n);
    case Effect::irq_restore:
      return restore_irq(walk, n);
    case Effect::lock:
      return take_lock(walk, Reg(walk.reg(n)));
    case Effect::unlock:
      return release_lock(walk, Reg(walk.reg(n)));
    case Effect::try_lock:
      return try_lock(walk, walk.reg(n));
    case Effect::try_unlock:
      return release_res_lock(walk, Reg(walk.reg(n)));
    case Effect::iter_new:
      return new_iterator(walk, n);
    case Effect::iter_next:
      return need_iterator(walk, n);
    case Effect::iter_destroy:
      return destroy_iterator(walk, n);
    default:
      break;
  }
  if (arguments.released != 0) state.release(arguments.released);
  return {};
}

State drained(Walk& walk, const Reg& iterator) {
  State other = walk.state;
  Walk there{walk.subject, walk.found, other, walk.at};
  stack_slot(there, place_of(iterator)).drained = true;
  return other;
}

Checked<> check_frame_left(Walk& walk) {
  for (const Slot& slot : walk.state.top().stack) {
    if (!slot.is(Byte::iterator)) continue;
    const auto ref = std::ranges::find(walk.state.refs, slot.spilled.ref, &Ref::id);
    return walk.fail(EINVAL,
                     "Unreleased reference id={} alloc_insn={}: the frame that it is in ends",
                     slot.spilled.ref, ref == walk.state.refs.end() ? 0 : ref->insn);
  }
  return {};
}

Checked<> check_nothing_held(Walk& walk, std::string_view what) {
  const State& state = walk.state;
  const size_t depth = state.frames.size() - 1;
  const bool last = depth == 0;
  const bool locked = std::ranges::any_of(state.refs, [](const Ref& ref) {
    return ref.kind == Ref::Kind::lock || ref.kind == Ref::Kind::res_lock;
  });
  if (last && locked)
    return walk.fail(EINVAL, "{} cannot be used inside bpf_spin_lock-ed region", what);
  for (const Ref& ref : state.refs) {
    if (ref.frame < depth || ref.kind == Ref::Kind::irq_flags || ref.kind == Ref::Kind::lock ||
        ref.kind == Ref::Kind::res_lock)
      continue;
    return walk.fail(EINVAL,
                     "Unreleased reference id={} alloc_insn={}: {} would lead to reference leak",
                     ref.id, ref.insn, what);
  }
  if (!last) return {};
  if (state.find_ref(Ref::Kind::irq_flags) != nullptr)
    return walk.fail(EINVAL, "{} cannot be used inside bpf_local_irq_save-ed region", what);
  if (state.rcu_locks != 0)
    return walk.fail(EINVAL, "{} cannot be used inside bpf_rcu_read_lock-ed region", what);
  if (state.preempt_locks != 0)
    return walk.fail(EINVAL, "{} cannot be used inside bpf_preempt_disable-ed region", what);
  return {};
}

}  // namespace uarena::jit::verifier
