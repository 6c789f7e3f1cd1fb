// The context: what each type of program may read and write of it. Most fields are numbers; some
// are where the packet begins and ends. Fields that only mean something inside the kernel are
// refused.
#include <linux/bpf.h>

#include <cstddef>
#include <span>

#include "jit/verifier/analysis.h"

namespace uarena::jit::verifier {
namespace {

constexpr unsigned kMaxCtx = 65535;        // of a syscall program
constexpr unsigned kMaxRawArguments = 12;  // of a tracepoint, eight bytes each

struct Field {
  unsigned from = 0;  // bytes
  unsigned size = 0;
  bool write = false;
  bool narrow = true;  // parts of it may be read
  CtxLoad load = CtxLoad::plain;
};

#define UARENA_FIELD(type, name) offsetof(type, name), sizeof(type::name)

constexpr Field kSocketFilter[] = {
    {UARENA_FIELD(__sk_buff, len)},      {UARENA_FIELD(__sk_buff, pkt_type)},
    {UARENA_FIELD(__sk_buff, mark)},     {UARENA_FIELD(__sk_buff, queue_mapping)},
    {UARENA_FIELD(__sk_buff, protocol)}, {UARENA_FIELD(__sk_buff, vlan_present)},
    {UARENA_FIELD(__sk_buff, vlan_tci)}, {UARENA_FIELD(__sk_buff, vlan_proto)},
    {UARENA_FIELD(__sk_buff, priority)}, {UARENA_FIELD(__sk_buff, ingress_ifindex)},
    {UARENA_FIELD(__sk_buff, ifindex)},  {UARENA_FIELD(__sk_buff, tc_index)},
    {UARENA_FIELD(__sk_buff, cb), true}, {UARENA_FIELD(__sk_buff, hash)},
    {UARENA_FIELD(__sk_buff, napi_id)},  {UARENA_FIELD(__sk_buff, gso_segs)},
    {UARENA_FIELD(__sk_buff, gso_size)},
};

constexpr Field kSchedCls[] = {
    {UARENA_FIELD(__sk_buff, len)},
    {UARENA_FIELD(__sk_buff, pkt_type)},
    {UARENA_FIELD(__sk_buff, mark), true},
    {UARENA_FIELD(__sk_buff, queue_mapping), true},
    {UARENA_FIELD(__sk_buff, protocol)},
    {UARENA_FIELD(__sk_buff, vlan_present)},
    {UARENA_FIELD(__sk_buff, vlan_tci)},
    {UARENA_FIELD(__sk_buff, vlan_proto)},
    {UARENA_FIELD(__sk_buff, priority), true},
    {UARENA_FIELD(__sk_buff, ingress_ifindex)},
    {UARENA_FIELD(__sk_buff, ifindex)},
    {UARENA_FIELD(__sk_buff, tc_index), true},
    {UARENA_FIELD(__sk_buff, cb), true},
    {UARENA_FIELD(__sk_buff, hash)},
    {UARENA_FIELD(__sk_buff, tc_classid), true},
    {UARENA_FIELD(__sk_buff, data), false, false, CtxLoad::data},
    {UARENA_FIELD(__sk_buff, data_end), false, false, CtxLoad::data_end},
    {UARENA_FIELD(__sk_buff, napi_id)},
    {UARENA_FIELD(__sk_buff, data_meta), false, false, CtxLoad::data_meta},
    {UARENA_FIELD(__sk_buff, tstamp), true, false},
    {UARENA_FIELD(__sk_buff, wire_len)},
    {UARENA_FIELD(__sk_buff, gso_segs)},
    {UARENA_FIELD(__sk_buff, gso_size)},
    {offsetof(__sk_buff, tstamp_type), 1, false, false},
    {UARENA_FIELD(__sk_buff, hwtstamp), false, false},
};

constexpr Field kXdp[] = {
    {UARENA_FIELD(xdp_md, data), false, false, CtxLoad::data},
    {UARENA_FIELD(xdp_md, data_end), false, false, CtxLoad::data_end},
    {UARENA_FIELD(xdp_md, data_meta), false, false, CtxLoad::data_meta},
    {UARENA_FIELD(xdp_md, ingress_ifindex), false, false},
    {UARENA_FIELD(xdp_md, rx_queue_index), false, false},
};

#undef UARENA_FIELD

std::span<const Field> fields_of(ProgramType type) {
  switch (type) {
    case ProgramType::socket_filter:
      return kSocketFilter;
    case ProgramType::sched_cls:
      return kSchedCls;
    case ProgramType::xdp:
      return kXdp;
    default:
      return {};
  }
}

const Field* field_at(ProgramType type, unsigned off, unsigned bytes) {
  for (const Field& field : fields_of(type))
    if (off >= field.from && off + bytes <= field.from + field.size) return &field;
  return nullptr;
}

// The bytes a program of this type may access there.
bool allowed(ProgramType type, unsigned off, unsigned bytes, bool writes) {
  if (off % bytes != 0) return false;
  if (type == ProgramType::syscall) return off + bytes <= kMaxCtx;
  if (type == ProgramType::raw_tracepoint) return !writes && off + bytes <= kMaxRawArguments * 8;
  const Field* field = field_at(type, off, bytes);
  if (field == nullptr || (writes && !field->write)) return false;
  const bool array = field->size > 8;  // cb: any aligned part of it
  if (array || bytes == field->size) return true;
  return !writes && field->narrow;
}

}  // namespace

Checked<Place> ctx_place(Walk& walk, const Reg& base, unsigned n, unsigned bytes, Access access) {
  const auto start = base.number.value();
  if (!start)
    return walk.fail(EACCES, "variable ctx access R{} off={} disallowed", n,
                     to_string(base.number));
  if (*start != 0)
    return walk.fail(EACCES, "dereference of modified ctx ptr R{} off={} disallowed", n,
                     static_cast<int64_t>(*start));
  const int off = walk.insn().off;
  const ProgramType type = walk.subject.type;
  if (off < 0 || !allowed(type, static_cast<unsigned>(off), bytes, access != Access::read))
    return walk.fail(EACCES, "invalid bpf_context access off={} size={}", off, bytes);
  walk.found.ctx_size =
      std::max(walk.found.ctx_size, static_cast<uint32_t>(off) + static_cast<uint32_t>(bytes));
  if (const Field* field = field_at(type, static_cast<unsigned>(off), bytes))
    walk.found.facts[walk.at].ctx_load = field->load;
  return Place{Region::ctx, base, off, off};
}

Checked<Reg> read_ctx(Walk& walk, const Place& place, unsigned bytes) {
  const Field* field = field_at(walk.subject.type, static_cast<unsigned>(place.offset), bytes);
  switch (field == nullptr ? CtxLoad::plain : field->load) {
    case CtxLoad::plain:
      break;
    case CtxLoad::data:
      return Reg::pointer(Kind::packet);
    case CtxLoad::data_meta:
      return Reg::pointer(Kind::packet_meta);
    case CtxLoad::data_end:
      return Reg::pointer(Kind::packet_end);
  }
  return Reg::scalar(Scalar::of_bytes(bytes));
}

}  // namespace uarena::jit::verifier
