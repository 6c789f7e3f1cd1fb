// Calls and constants: what enters a program from outside (kernel functions, maps, global
// variables), and how frames come and go. Subprograms, global ones too, are walked in their
// caller's state.
#include "jit/catalogue.h"
#include "jit/verifier/analysis.h"

namespace uarena::jit::verifier {
namespace {

std::string offered(const Subject& subject) {
  std::string names;
  for (const FunctionDesc* kfunc : subject.kfuncs.kfuncs)
    if (kfunc != nullptr) names += (names.empty() ? "" : ", ") + std::string(kfunc->name);
  return names.empty() ? "kernel functions: bpf_arena_alloc_pages and the other arena functions"
                       : "of the kernel functions that this object calls: " + names;
}

Checked<> check_argument(Walk& walk, unsigned n, ArgKind kind) {
  if (kind == ArgKind::none) return {};
  if (auto ok = walk.readable(n); !ok) return ok;
  const Reg& reg = walk.reg(n);
  switch (kind) {
    case ArgKind::map_arena:
      if (reg.kind != Kind::map_ptr || walk.subject.object.maps[reg.map].kind != MapKind::arena)
        return walk.fail(EINVAL, "arg#{} expected pointer to STRUCT bpf_map: R{} is no arena map",
                         n - 1, n);
      return {};
    case ArgKind::scalar:
      if (reg.kind != Kind::scalar) return walk.fail(EINVAL, "R{} is not a scalar", n);
      return {};
    default:
      if (reg.is_broker_pointer())
        return walk.fail(EINVAL, "R{} is not a pointer to arena or scalar", n);
      return {};
  }
}

Checked<> step_map_value(Walk& walk, uint32_t index, uint32_t off) {
  const MapDef& map = walk.subject.object.maps[index];
  Reg& dst = walk.reg(walk.insn().dst);
  if (map.kind == MapKind::arena) {  // K74
    if (off >= walk.subject.arena_size)
      return walk.fail(ERANGE, "invalid access to map value pointer, value_size=0 off={}", off);
    dst = Reg::scalar(Scalar::constant(walk.subject.user_vm_start + off));
    return {};
  }
  if (map.kind == MapKind::other || (map.kind == MapKind::array && map.max_entries != 1))
    return walk.fail(EINVAL, "map `{}` (type {}) has no value that an instruction can name",
                     map.name, map.type);
  if (off >= map.value_size)
    return walk.fail(ERANGE, "invalid access to map value pointer, value_size={} off={}",
                     map.value_size, off);
  dst = {Kind::map_value, 0, index, 0, Scalar::constant(off)};
  return {};
}

}  // namespace

Checked<> Walk::readable(unsigned n) const {
  if (state.regs()[n].kind == Kind::uninit) return fail(EACCES, "R{} !read_ok", n);
  return {};
}

void Walk::give_id(Reg& scalar) {
  if (scalar.id == 0 && !scalar.number.is_constant()) scalar.id = ++found.last_id;
}

Checked<> step_constant(Walk& walk) {
  const Insn& i = walk.insn();
  const auto high = static_cast<uint32_t>(walk.subject.insn(walk.at + 1).imm);
  const auto low = static_cast<uint32_t>(i.imm);
  if (i.src == kPseudoMapValue) return step_map_value(walk, low, high);
  if (i.src == kPseudoMapFd)
    walk.reg(i.dst) = {Kind::map_ptr, 0, low, 0, {}};
  else
    walk.reg(i.dst) = Reg::scalar(Scalar::constant(uint64_t{high} << 32 | low));
  return {};
}

Checked<> step_function(Walk& walk) {
  const Insn& i = walk.insn();
  if (i.src != kPseudoKfuncCall)
    return walk.fail(EINVAL, "call to {}#{}: not offered, as no helper function is; offered are {}",
                     helper_name(i.imm), i.imm, offered(walk.subject));
  const auto index = static_cast<size_t>(i.imm);
  const FunctionDesc* kfunc = walk.subject.kfuncs.kfunc(i.imm);
  if (kfunc == nullptr)
    return walk.fail(EINVAL, "call to kernel function `{}`: not offered; offered are {}",
                     walk.subject.object.kfuncs[index].name, offered(walk.subject));
  for (unsigned a = 0; a < 5; ++a)
    if (auto ok = check_argument(walk, a + 1, kfunc->args[a]); !ok) return ok;
  for (unsigned r = 0; r <= 5; ++r) walk.reg(r) = {};
  if (kfunc->ret == RetKind::scalar) walk.reg(0) = Reg::scalar(Scalar::unknown());
  return {};
}

Checked<> enter_subprog(Walk& walk) {
  State& state = walk.state;
  if (state.frames.size() >= kMaxFrames)
    return walk.fail(E2BIG, "the call stack of {} frames is too deep, allowed are {}",
                     state.frames.size() + 1, kMaxFrames);
  Frame frame;
  frame.subprog = call_target(walk.subject.cfg, walk.subject.program, walk.at);
  frame.call_site = static_cast<uint32_t>(walk.at);
  frame.activation = ++walk.found.last_activation;
  for (unsigned r = 1; r <= 5; ++r) frame.regs[r] = walk.reg(r);
  for (unsigned r = 0; r <= 5; ++r) walk.reg(r) = {};
  frame.regs[10] = {Kind::stack, static_cast<uint8_t>(state.frames.size()), 0, 0,
                    Scalar::constant(0)};
  state.frames.push_back(std::move(frame));
  return {};
}

Checked<std::optional<size_t>> step_exit(Walk& walk) {
  State& state = walk.state;
  const Reg result = walk.reg(0);
  if (state.frames.size() == 1) {
    if (auto ok = walk.readable(0); !ok) return std::unexpected(ok.error());
    if (result.is_broker_pointer()) return walk.fail(EACCES, "R0 leaks addr as return value");
    return std::optional<size_t>{};
  }
  if (result.kind == Kind::stack && result.frame + 1u == state.frames.size())
    return walk.fail(EINVAL, "cannot return stack pointer to the caller");
  const size_t next = state.top().call_site + size_t{1};
  state.frames.pop_back();
  state.regs()[0] = result;
  return std::optional<size_t>{next};
}

}  // namespace uarena::jit::verifier
