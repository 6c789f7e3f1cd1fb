// Calls of helpers and kernel functions: may it be called here, are the arguments right, what does
// it do, what does it give. In this order, in step_function.
#include <unistd.h>

#include <algorithm>

#include "jit/catalogue.h"
#include "jit/verifier/analysis.h"

namespace uarena::jit::verifier {
namespace {

constexpr int64_t kMaxErrno = 4095;
// More is held by no ordinary program: only by a loop that takes something at each pass.
constexpr size_t kMaxHeld = 64;

Checked<const FunctionDesc*> called(Walk& walk) {
  const Insn& i = walk.insn();
  const Subject& subject = walk.subject;
  const bool helper = is_helper_call(i);
  const FunctionDesc* found =
      helper ? subject.functions.helper(i.imm) : subject.functions.kfunc(i.imm);
  if (found != nullptr) return found;
  if (helper)
    return walk.fail(EINVAL, "program of this type cannot use helper {}#{}: it is not offered",
                     helper_name(i.imm), i.imm);
  return walk.fail(EINVAL, "call to kernel function `{}`: it is not offered",
                   subject.object.kfuncs[static_cast<size_t>(i.imm)].name);
}

// An element of the map, or NULL; never NULL where the path knows that the array has the element.
Reg looked_up(Walk& walk, const Arguments& arguments, bool any_cpu) {
  const MapDef& map = walk.subject.object.maps[*arguments.map];
  Reg value = Reg::pointer(Kind::map_value, *arguments.map);
  const bool array = map.kind == MapKind::array || map.kind == MapKind::percpu_array;
  value.or_null = any_cpu || !(array && arguments.key && *arguments.key < map.max_entries);
  if (value.or_null || !map.fields.empty()) value.id = ++walk.found.last_id;
  return value;
}

Reg reserved(Walk& walk, const Arguments& arguments) {
  Reg record = Reg::pointer(Kind::memory);
  record.or_null = true;
  record.size = static_cast<uint32_t>(*arguments.constant);
  record.id = record.ref = ++walk.found.last_id;
  walk.state.refs.push_back({.kind = Ref::Kind::record,
                             .id = record.ref,
                             .insn = static_cast<uint32_t>(walk.at),
                             .frame = walk.state.frames.size() - 1});
  return record;
}

// The iterator's value is part of it, and goes with it.
Reg iterated(Walk& walk, const Reg& iterator) {
  Reg value = Reg::pointer(Kind::memory);
  const int off = static_cast<int>(static_cast<int64_t>(*iterator.number.value()));
  value.ref = stack_slot(walk, {Region::stack, iterator, off, off}).spilled.ref;
  value.size = sizeof(int32_t);
  value.read_only = true;
  return value;
}

Scalar number_of(RetKind kind, const Arguments& arguments) {
  Scalar number;
  if (kind == RetKind::cpu) {
    static const auto cpus = static_cast<uint64_t>(std::max(1L, ::sysconf(_SC_NPROCESSORS_CONF)));
    number.full = Range<uint64_t>::of_unsigned(0, cpus - 1);
  } else if (kind == RetKind::length_or_error) {
    number.full = Range<uint64_t>::of_signed(-kMaxErrno, static_cast<int64_t>(arguments.size));
  }
  number.sync();
  return number;
}

Reg result(Walk& walk, const FunctionDesc& function, const Arguments& arguments) {
  switch (function.ret) {
    case RetKind::void_:
      return {};
    case RetKind::map_value_or_null:
    case RetKind::cpu_value_or_null:
      return looked_up(walk, arguments, function.ret == RetKind::cpu_value_or_null);
    case RetKind::ringbuf_record_or_null:
      return reserved(walk, arguments);
    case RetKind::iter_value_or_null:
      return iterated(walk, walk.reg(arguments.object));
    default:
      return Reg::scalar(number_of(function.ret, arguments));
  }
}

void give(State& state, const Reg& value) {
  for (unsigned r = 1; r <= 5; ++r) state.regs()[r] = {};
  state.regs()[0] = value;
}

// The callback's frame; the call stays what it is, since the callback comes back to it.
void enter_callback(Walk& walk, const FunctionDesc& function, const Arguments& arguments) {
  Frame frame;
  frame.subprog = *arguments.callback;
  frame.call_site = static_cast<uint32_t>(walk.at);
  frame.entered = Entered::looped;
  if (function.effect == Effect::calls_back) {
    frame.regs[1] = Reg::scalar(Scalar::of_bytes(4));
    frame.regs[2] = walk.reg(3);
  } else {
    frame.regs[1] = walk.reg(1);
    frame.regs[2] = Reg::pointer(Kind::map_key, *arguments.map);
    frame.regs[3] = Reg::pointer(Kind::map_value, *arguments.map);
    if (!walk.subject.object.maps[*arguments.map].fields.empty())
      frame.regs[3].id = ++walk.found.last_id;
    frame.regs[4] = walk.reg(3);
  }
  frame.regs[10] = Reg::frame_pointer(walk.state.frames.size());
  walk.found.loops.insert({walk.state.top().subprog, frame.subprog});
  walk.state.frames.push_back(std::move(frame));
}

Checked<> check_place(Walk& walk, const FunctionDesc& function) {
  const State& state = walk.state;
  if (state.refs.size() >= kMaxHeld || state.rcu_locks >= kMaxHeld ||
      state.preempt_locks >= kMaxHeld)
    return walk.fail(
        E2BIG,
        "{} references, locks or sections are held here: a loop that takes one at each "
        "pass would lead to reference leak",
        kMaxHeld);
  if (walk.state.holds_lock() && !function.under_lock)
    return walk.fail(EINVAL, "function calls are not allowed while holding a lock");
  const bool calls_back =
      function.effect == Effect::calls_back || function.effect == Effect::for_each;
  if (calls_back && walk.state.frames.size() >= kMaxFrames)
    return walk.fail(E2BIG, "the call stack of {} frames is too deep",
                     walk.state.frames.size() + 1);
  return {};
}

Checked<> check_timer(Walk& walk, const FunctionDesc& function, const Arguments& arguments) {
  const Reg& timer = walk.reg(1);
  if (function.args[0] != ArgKind::timer) return {};
  if (arguments.map && *arguments.map != timer.map)
    return walk.fail(EINVAL,
                     "timer pointer in R1 map_uid={} doesn't match map pointer in R2 map_uid={}",
                     timer.map, *arguments.map);
  if (function.effect == Effect::sets_callback)
    walk.found.timed.insert({*arguments.callback, timer.map});
  return {};
}

}  // namespace

Checked<CallOutcome> step_function(Walk& walk) {
  const auto function = called(walk);
  if (!function) return std::unexpected(function.error());
  const FunctionDesc& desc = **function;
  if (auto ok = check_place(walk, desc); !ok) return std::unexpected(ok.error());
  const auto arguments = check_arguments(walk, desc);
  if (!arguments) return std::unexpected(arguments.error());
  if (auto ok = check_timer(walk, desc, *arguments); !ok) return std::unexpected(ok.error());
  if (auto ok = apply_effect(walk, desc, *arguments); !ok) return std::unexpected(ok.error());

  CallOutcome outcome;
  const Reg object = arguments->object == 0 ? Reg{} : walk.reg(arguments->object);
  switch (desc.effect) {
    case Effect::calls_back:
    case Effect::for_each: {
      const bool done = desc.effect == Effect::calls_back &&
                        walk.state.top().turns >= walk.reg(1).number.full.umax;
      State after = walk.state;
      after.top().turns = 0;
      give(after, Reg::scalar(Scalar::unknown()));
      if (done) {
        walk.state = std::move(after);
        return outcome;
      }
      outcome.other = std::move(after);
      outcome.entered = true;
      enter_callback(walk, desc, *arguments);
      return outcome;
    }
    case Effect::iter_next:
      outcome.other = drained(walk, object);
      give(*outcome.other, Reg::scalar(Scalar::constant(0)));
      break;
    case Effect::try_lock: {
      outcome.other = walk.state;
      Scalar error;
      error.full = Range<uint64_t>::of_signed(-kMaxErrno, -1);
      error.sync();
      give(*outcome.other, Reg::scalar(error));
      lock_taken(walk, object, Ref::Kind::res_lock);
      give(walk.state, Reg::scalar(Scalar::constant(0)));
      return outcome;
    }
    default:
      break;
  }
  give(walk.state, result(walk, desc, *arguments));
  return outcome;
}

}  // namespace uarena::jit::verifier
