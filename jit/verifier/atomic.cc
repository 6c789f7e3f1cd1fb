// Atomic operations (K61): read-modify-write in place, acquiring loads and releasing stores. In the
// arena only what the compiler has an instruction for; never on the context.
#include "jit/verifier/analysis.h"

namespace uarena::jit::verifier {
namespace {

bool fetching_logic(int32_t op) {
  return op == (kAnd | kFetch) || op == (kOr | kFetch) || op == (kXor | kFetch);
}

Checked<> check_target(Walk& walk, unsigned n, const char* way) {
  const Kind kind = walk.reg(n).kind;
  if (kind == Kind::ctx) return walk.fail(EACCES, "BPF_ATOMIC {} R{} ctx is not allowed", way, n);
  if (kind == Kind::packet || kind == Kind::packet_meta)
    return walk.fail(EACCES, "BPF_ATOMIC {} R{} {} is not allowed", way, n, type_name(walk.reg(n)));
  if (kind == Kind::arena && fetching_logic(walk.insn().imm))
    return walk.fail(EACCES, "BPF_ATOMIC {} R{} arena is not allowed", way, n);
  return {};
}

Checked<> check_number(Walk& walk, unsigned n) {
  if (auto ok = walk.readable(n); !ok) return ok;
  if (walk.reg(n).is_broker_pointer()) return walk.fail(EACCES, "R{} leaks addr into mem", n);
  return {};
}

Checked<> step_load_acquire(Walk& walk) {
  const Insn& i = walk.insn();
  if (auto ok = walk.readable(i.src); !ok) return ok;
  if (auto ok = check_target(walk, i.src, "loads from"); !ok) return ok;
  const auto place = check_access(walk, i.src, Access::atomic);
  if (!place) return std::unexpected(place.error());
  const unsigned bytes = access_bytes(i.code);
  Reg value = Reg::scalar(Scalar::of_bytes(bytes));
  if (place->region == Region::stack) {
    auto read = read_stack(walk, *place, bytes);
    if (!read) return std::unexpected(read.error());
    value = *read;
  }
  walk.reg(i.dst) = value;
  return {};
}

Checked<> step_modify(Walk& walk) {
  const Insn& i = walk.insn();
  const unsigned bytes = access_bytes(i.code);
  if (auto ok = check_number(walk, i.src); !ok) return ok;
  if (i.imm == kCmpxchg)
    if (auto ok = check_number(walk, 0); !ok) return ok;
  if (auto ok = walk.readable(i.dst); !ok) return ok;
  if (auto ok = check_target(walk, i.dst, "stores into"); !ok) return ok;
  const auto place = check_access(walk, i.dst, Access::atomic);
  if (!place) return std::unexpected(place.error());
  const Reg value = Reg::scalar(Scalar::of_bytes(bytes));
  Reg fetched = value;
  if (place->region == Region::stack) {
    if (i.imm != kStoreRel) {
      const auto old = read_stack(walk, *place, bytes);
      if (!old) return std::unexpected(old.error());
      if (old->is_broker_pointer())
        return walk.fail(EACCES, "attempt to corrupt spilled pointer on stack");
      if (old->kind == Kind::scalar) fetched = *old;
    }
    if (auto ok = write_stack(walk, *place, bytes, value); !ok) return ok;
  }
  if (i.imm == kCmpxchg)
    walk.reg(0) = fetched;
  else if (i.imm != kStoreRel && (i.imm & kFetch) != 0)
    walk.reg(i.src) = fetched;
  return {};
}

}  // namespace

Checked<> step_atomic(Walk& walk) {
  return walk.insn().imm == kLoadAcq ? step_load_acquire(walk) : step_modify(walk);
}

}  // namespace uarena::jit::verifier
