// What instructions and functions touch, against what there is: the frames of the run, the context,
// the packet, maps, and what functions have given out.
#include <fmt/format.h>

#include <algorithm>

#include "jit/verifier/analysis.h"
#include "tests/fuzz/verifier/oracle.h"

namespace uarena::fuzz {

// What a caller gives to a global function as memory must be there.
void Oracle::lend(uint64_t address, const jit::Param& param) {
  using Kind = jit::Param::Kind;
  if (param.kind != Kind::memory && param.kind != Kind::memory_or_null) return;
  if (param.kind == Kind::memory_or_null && address == 0) return;
  if (!may_touch(address, param.size, true) && !may_touch(address, param.size, false))
    return find(fmt::format("{} bytes at {:#x} are lent, which are nobody's", param.size, address));
  lent_.emplace_back(address, param.size);
}

// Keys, values and locks that functions get by address.
void Oracle::check_call(const jit::Insn& insn) {
  const Frame& frame = frames_.back();
  const jit::FunctionDesc* function = world_functions().helper(insn.imm);
  if (function == nullptr) return;
  const jit::BoundMap* map = nullptr;
  for (unsigned n = 0; n < 5; ++n) {
    const uint64_t value = frame.regs[n + 1];
    uint64_t bytes = 0;
    switch (function->args[n]) {
      case jit::ArgKind::map:
        map = reinterpret_cast<const jit::BoundMap*>(value);
        break;
      case jit::ArgKind::map_key:
        bytes = map->key_size;
        break;
      case jit::ArgKind::map_value:
        bytes = map->value_size;
        break;
      case jit::ArgKind::spin_lock:
        if (!is_lock(value)) find(fmt::format("insn {}: {:#x} is no lock", frame.last, value));
        if (function->effect == jit::Effect::unlock &&
            !run_.held.holds(reinterpret_cast<void*>(value)))
          find(fmt::format("insn {}: the lock at {:#x} is not held", frame.last, value));
        break;
      case jit::ArgKind::ringbuf_record:
        if (!run_.held.holds(reinterpret_cast<void*>(value)))
          find(fmt::format("insn {}: {:#x} is no record that is held", frame.last, value));
        break;
      default:
        break;
    }
    if (bytes != 0 && !may_touch(value, bytes, false))
      find(fmt::format("insn {}: {} gets {} bytes at {:#x}, which are nobody's", frame.last,
                       function->name, bytes, value));
  }
}

bool Oracle::is_lock(uint64_t address) const {
  const jit::BoundMap& map = memory_.map(kLocked);
  const uint64_t off = address - reinterpret_cast<uint64_t>(map.value);
  return off < uint64_t{map.max_entries} * map.value_size && off % map.value_size == 0;
}

// Arena accesses are made safe at run time; all others must be right.
void Oracle::check_access(const jit::Insn& insn) {
  const uint8_t cls = jit::insn_class(insn.code);
  if (cls != jit::kLdx && cls != jit::kSt && cls != jit::kStx) return;
  const Frame& frame = frames_.back();
  if (program_.facts()[frame.last].region == jit::Region::arena) return;
  const bool atomic = cls == jit::kStx && jit::insn_mode(insn.code) == jit::kAtomic;
  const bool loads = cls == jit::kLdx || (atomic && insn.imm == jit::kLoadAcq);
  const uint64_t address =
      frame.regs[loads ? insn.src : insn.dst] + static_cast<uint64_t>(int64_t{insn.off});
  if (!may_touch(address, jit::access_bytes(insn.code), !loads))
    find(fmt::format("insn {} ({}): touches {:#x}, which is nobody's", frame.last,
                     disassemble(program_.def().insns, frame.last), address));
}

bool Oracle::may_touch(uint64_t address, uint64_t bytes, bool writes) const {
  const auto inside = [&](uint64_t from, uint64_t size) {
    return address >= from && address - from + bytes <= size;
  };
  for (const Frame& frame : frames_)
    if (!frame.fresh) {
      const uint64_t size = program_.stack_bytes()[frame.subprog];
      if (inside(frame.top() - size, size)) return true;
    }
  if (inside(reinterpret_cast<uint64_t>(memory_.ctx().data()), program_.ctx_size())) return true;
  const auto packet = memory_.packet();
  if (inside(reinterpret_cast<uint64_t>(packet.data()), packet.size())) return true;
  for (const auto& [from, size] : run_.given)
    if (inside(from, size)) return true;
  for (const uint64_t value : run_.values)
    if (inside(value, kElementBytes)) return true;
  for (const uint64_t key : run_.keys)
    if (!writes && inside(key, sizeof(uint32_t))) return true;
  return may_touch_map(address, bytes, writes);
}

bool Oracle::may_touch_map(uint64_t address, uint64_t bytes, bool writes) const {
  const auto inside = [&](uint64_t from, uint64_t size) {
    return address >= from && address - from + bytes <= size;
  };
  if (!writes && inside(reinterpret_cast<uint64_t>(memory_.array_key()), sizeof(uint32_t)))
    return true;
  for (size_t n = 0; n < object_.maps.size(); ++n) {
    const jit::BoundMap& map = memory_.map(n);
    if (map.kind == jit::MapKind::hash) {
      for (uint32_t place = 0; place < map.map->places(); ++place) {
        const auto element = map.map->at(place, 0);
        if (element.key == nullptr) continue;
        if (inside(reinterpret_cast<uint64_t>(element.value), map.value_size)) return true;
        if (!writes && inside(reinterpret_cast<uint64_t>(element.key), map.key_size)) return true;
      }
      continue;
    }
    if (map.value == nullptr || (writes && map.read_only)) continue;
    // Locks at the start of a value are not touched.
    const uint64_t skip = map.fields.empty() ? 0 : kLockBytes;
    for (uint64_t e = 0; e < map.max_entries; ++e)
      if (inside(reinterpret_cast<uint64_t>(map.value) + e * map.value_size + skip,
                 map.value_size - skip))
        return true;
  }
  return false;
}

}  // namespace uarena::fuzz
