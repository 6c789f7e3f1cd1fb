// Constants and frames: what an ld_imm64 names (maps, global variables, functions), and how
// subprograms are entered and left. A static subprogram is walked in its caller's state, again for
// each call. A global one is judged once, on its own, by what its type says of its parameters
// (K75): a caller only has to keep to that.
#include <algorithm>

#include "jit/verifier/analysis.h"

namespace uarena::jit::verifier {
namespace {

Checked<> step_map_value(Walk& walk, uint32_t index, uint32_t off) {
  const MapDef& map = walk.subject.object.maps[index];
  Reg& dst = walk.reg(walk.insn().dst);
  if (map.kind == MapKind::arena) {  // K74
    if (off >= walk.subject.arena_size)
      return walk.fail(ERANGE, "invalid access to map value pointer, value_size=0 off={}", off);
    dst = Reg::scalar(Scalar::constant(walk.subject.user_vm_start + off));
    return {};
  }
  const bool internal = map.kind == MapKind::data || map.kind == MapKind::bss ||
                        map.kind == MapKind::rodata || map.kind == MapKind::kconfig;
  if (!internal && !(map.kind == MapKind::array && map.max_entries == 1))
    return walk.fail(EINVAL, "map `{}` (type {}) has no value that an instruction can name",
                     map.name, map.type);
  if (off >= map.value_size)
    return walk.fail(EINVAL, "invalid access to map value pointer, value_size={} off={}",
                     map.value_size, off);
  dst = Reg::pointer(Kind::map_value, index);
  dst.number = Scalar::constant(off);
  return {};
}

const Subprog& subprog(const Subject& subject, uint32_t n) { return subject.program.subprogs[n]; }

Checked<> check_memory_argument(Walk& walk, unsigned n, const Param& param) {
  const Reg& reg = walk.reg(n);
  const bool null = reg.kind == Kind::scalar && reg.number.value() == uint64_t{0};
  if (null && param.kind == Param::Kind::memory_or_null) return {};
  const bool memory = reg.kind == Kind::stack || reg.kind == Kind::map_value ||
                      reg.kind == Kind::memory || reg.is_packet();
  if (!memory || (reg.or_null && param.kind == Param::Kind::memory))
    return walk.fail(EACCES, "R{} type={} expected={}", n, type_name(reg),
                     "fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_");
  Reg& there = walk.reg(n);
  const bool or_null = std::exchange(there.or_null, false);
  auto place = check_bytes(walk, n, 0, param.size, Access::read);
  if (place) place = check_bytes(walk, n, 0, param.size, Access::write);
  walk.reg(n).or_null = or_null;
  if (!place) return std::unexpected(place.error());
  if (place->region != Region::stack) return {};
  if (auto ok = read_stack_bytes(walk, n, *place, param.size); !ok) return ok;
  fill_stack_bytes(walk, *place, param.size, false);
  return {};
}

Checked<> check_parameter(Walk& walk, unsigned n, const Param& param) {
  if (auto ok = walk.readable(n); !ok) return ok;
  const Reg& reg = walk.reg(n);
  switch (param.kind) {
    case Param::Kind::scalar:
      if (reg.kind != Kind::scalar) return walk.fail(EINVAL, "R{} is not a scalar", n);
      return {};
    case Param::Kind::arena:
      if (reg.is_broker_pointer())
        return walk.fail(EINVAL, "R{} is not a pointer to arena or scalar.", n);
      return {};
    case Param::Kind::ctx:
      if (reg.kind != Kind::ctx) return walk.fail(EINVAL, "arg#{} expects pointer to ctx", n - 1);
      if (reg.number.value() != uint64_t{0})
        return walk.fail(EACCES, "dereference of modified ctx ptr R{} off={} disallowed", n,
                         to_string(reg.number));
      return {};
    case Param::Kind::memory:
    case Param::Kind::memory_or_null:
      return check_memory_argument(walk, n, param);
    case Param::Kind::unsupported:
      break;
  }
  return walk.fail(EINVAL, "arg#{} has type {}, which is not supported", n - 1, param.type);
}

Checked<> call_global(Walk& walk, uint32_t callee) {
  const Subprog& target = subprog(walk.subject, callee);
  if (walk.state.holds_lock())
    return walk.fail(EINVAL,
                     "global function calls are not allowed while holding a lock, use static "
                     "function instead");
  for (unsigned n = 1; n <= target.params.size(); ++n)
    if (auto ok = check_parameter(walk, n, target.params[n - 1]); !ok)
      return walk.fail(ok.error().code, "{}; Caller passes invalid args into func#{} ('{}')",
                       ok.error().text, callee, target.name);
  if (!target.returns_scalar)
    return walk.fail(EINVAL,
                     "Global function {}() doesn't return scalar. Only those are supported.",
                     target.name);
  walk.found.globals.insert(callee);
  for (unsigned r = 0; r <= 5; ++r) walk.reg(r) = {};
  walk.reg(0) = Reg::scalar(Scalar::unknown());
  return {};
}

Checked<> check_callback_result(Walk& walk, uint64_t highest, std::string_view where) {
  const Reg& r0 = walk.reg(0);
  if (r0.kind == Kind::scalar && r0.number.full.umax <= highest) return {};
  return walk.fail(EINVAL, "{} the register R0 has {} should have been in [0, {}]", where,
                   r0.kind == Kind::scalar ? to_string(r0.number) : type_name(r0), highest);
}

Checked<> leave_first_frame(Walk& walk) {
  if (auto ok = check_nothing_held(walk, "BPF_EXIT instruction in main prog"); !ok) return ok;
  const Frame& frame = walk.state.top();
  const Reg& r0 = walk.reg(0);
  if (frame.entered == Entered::global) {
    if (auto ok = walk.readable(0); !ok) return ok;
    if (r0.is_broker_pointer())
      return walk.fail(EINVAL, "At subprogram exit the register R0 is not a scalar value ({})",
                       type_name(r0));
    return {};
  }
  if (auto ok = walk.readable(0); !ok) return ok;
  if (frame.entered == Entered::timed) return check_callback_result(walk, 0, "At async callback");
  if (r0.is_broker_pointer()) return walk.fail(EACCES, "R0 leaks addr as return value");
  return {};
}

Reg parameter_value(Findings& found, const Param& param) {
  switch (param.kind) {
    case Param::Kind::ctx:
      return Reg::pointer(Kind::ctx);
    case Param::Kind::memory:
    case Param::Kind::memory_or_null: {
      Reg reg = Reg::pointer(Kind::memory);
      reg.size = param.size;
      reg.or_null = param.kind == Param::Kind::memory_or_null;
      if (reg.or_null) reg.id = ++found.last_id;
      return reg;
    }
    default:
      return Reg::scalar(Scalar::unknown());
  }
}

State first_frame(uint32_t subprog, Entered entered) {
  State state;
  Frame frame;
  frame.subprog = subprog;
  frame.entered = entered;
  frame.regs[10] = Reg::frame_pointer(0);
  state.frames.push_back(std::move(frame));
  return state;
}

}  // namespace

Checked<> Walk::readable(unsigned n) const {
  if (state.regs()[n].kind == Kind::uninit) return fail(EACCES, "R{} !read_ok", n);
  return {};
}

void Walk::give_id(Reg& scalar) {
  if (scalar.id != 0 || scalar.number.is_constant()) return;
  scalar.id = ++found.last_id;
  scalar.delta = 0;
}

Checked<> step_constant(Walk& walk) {
  const Insn& i = walk.insn();
  const auto high = static_cast<uint32_t>(walk.subject.insn(walk.at + 1).imm);
  const auto low = static_cast<uint32_t>(i.imm);
  switch (i.src) {
    case kPseudoMapValue:
      return step_map_value(walk, low, high);
    case kPseudoMapFd:
      walk.reg(i.dst) = Reg::pointer(Kind::map_ptr, low);
      return {};
    case kPseudoKfunc:
      walk.reg(i.dst) =
          Reg::scalar(Scalar::constant(walk.subject.functions.kfunc(i.imm) != nullptr ? 1U : 0U));
      return {};
    case kPseudoFunc:
      walk.reg(i.dst) = Reg::pointer(
          Kind::callback, callback_target(walk.subject.cfg, walk.subject.program, walk.at));
      return {};
    default:
      walk.reg(i.dst) = Reg::scalar(Scalar::constant(uint64_t{high} << 32 | low));
      return {};
  }
}

Checked<> enter_subprog(Walk& walk) {
  State& state = walk.state;
  const uint32_t callee = call_target(walk.subject.cfg, walk.subject.program, walk.at);
  if (is_global(walk.subject.program, callee)) return call_global(walk, callee);
  if (state.frames.size() >= kMaxFrames)
    return walk.fail(E2BIG, "the call stack of {} frames is too deep", state.frames.size() + 1);
  Frame frame;
  frame.subprog = callee;
  frame.call_site = static_cast<uint32_t>(walk.at);
  for (unsigned r = 1; r <= 5; ++r) frame.regs[r] = walk.reg(r);
  for (unsigned r = 0; r <= 5; ++r) walk.reg(r) = {};
  frame.regs[10] = Reg::frame_pointer(state.frames.size());
  state.frames.push_back(std::move(frame));
  return {};
}

Checked<std::optional<size_t>> step_exit(Walk& walk) {
  State& state = walk.state;
  if (state.frames.size() == 1) {
    if (auto ok = leave_first_frame(walk); !ok) return std::unexpected(ok.error());
    return std::optional<size_t>{};
  }
  const Reg result = walk.reg(0);
  const Frame frame = state.top();
  if (frame.entered == Entered::looped) {
    if (auto ok = walk.readable(0); !ok) return std::unexpected(ok.error());
    if (auto ok = check_callback_result(walk, 1, "At callback return"); !ok)
      return std::unexpected(ok.error());
    if (auto ok = check_nothing_held(walk, "BPF_EXIT instruction in callback"); !ok)
      return std::unexpected(ok.error());
    state.frames.pop_back();
    ++state.top().turns;
    return std::optional<size_t>{frame.call_site};
  }
  if (result.kind == Kind::stack && result.frame + 1u == state.frames.size())
    return walk.fail(EINVAL, "cannot return stack pointer to the caller");
  if (auto ok = check_frame_left(walk); !ok) return std::unexpected(ok.error());
  state.frames.pop_back();
  state.regs()[0] = result;
  return std::optional<size_t>{frame.call_site + size_t{1}};
}

bool is_global(const ProgramDef& program, uint32_t n) {
  const Subprog& self = program.subprogs[n];
  return n != 0 && self.global && self.btf_func_id != 0;
}

State program_entry() {
  State state = first_frame(0, Entered::called);
  state.regs()[1] = Reg::pointer(Kind::ctx);
  return state;
}

Checked<State> global_entry(const Subject& subject, uint32_t n, Findings& found) {
  const Subprog& self = subprog(subject, n);
  State state = first_frame(n, Entered::global);
  for (size_t p = 0; p < self.params.size(); ++p) {
    const Param& param = self.params[p];
    if (param.kind == Param::Kind::unsupported || p >= 5)
      return fault(self.start, EINVAL, "Arg#{} type {} in {}() is not supported yet.", p,
                   param.type, self.name);
    state.regs()[p + 1] = parameter_value(found, param);
  }
  return state;
}

State timer_entry(const Subject& subject, uint32_t n, uint32_t map, Findings& found) {
  State state = first_frame(n, Entered::timed);
  state.regs()[1] = Reg::pointer(Kind::map_ptr, map);
  state.regs()[2] = Reg::pointer(Kind::map_key, map);
  state.regs()[3] = Reg::pointer(Kind::map_value, map);
  if (!subject.object.maps[map].fields.empty()) state.regs()[3].id = ++found.last_id;
  return state;
}

}  // namespace uarena::jit::verifier
