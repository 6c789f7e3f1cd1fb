// The packet: what lies between its start and its end is known only by comparing, and a comparison
// of one pointer speaks for all that differ from it by a constant.
#include <linux/bpf.h>

#include <cstddef>

#include "tests/fuzz/verifier/body.h"
#include "tests/fuzz/verifier/world.h"

namespace uarena::fuzz {

using namespace jit;

namespace {

constexpr int64_t kFar = 80;  // no packet of this world is longer

int offset_of(ProgramType type, CtxLoad load) {
  const bool xdp = type == ProgramType::xdp;
  switch (load) {
    case CtxLoad::data:
      return xdp ? offsetof(xdp_md, data) : offsetof(__sk_buff, data);
    case CtxLoad::data_meta:
      return xdp ? offsetof(xdp_md, data_meta) : offsetof(__sk_buff, data_meta);
    default:
      return xdp ? offsetof(xdp_md, data_end) : offsetof(__sk_buff, data_end);
  }
}

}  // namespace

bool Body::load_packet(unsigned r, CtxLoad load) {
  const int ctx = any_reg(What::ctx);
  if (ctx < 0) return false;
  put(kLdx | kMem | kW, r, static_cast<unsigned>(ctx), offset_of(plan_.type, load), 0);
  reg(r) = load == CtxLoad::data ? Known::pointer(What::packet, 0) : Known{};
  return true;
}

// Leaves where `pointer` is behind the end; what is shown is that `pointer` bytes are there, one
// more where the comparison is strict.
int64_t Body::compare_with_end(unsigned pointer, unsigned end) {
  const int64_t wrong = slip() ? 1 : 0;
  const auto over = [&](int op, unsigned a, unsigned b) {  // stays where it holds
    const size_t in = jump(kJmp | op | kX, a, b, 0);
    out(kJmp | kJa, 0, 0, 0);
    land(in);
  };
  switch (pick(8)) {
    case 0:
      out(kJmp | kJgt | kX, pointer, end, 0);
      return wrong;
    case 1:
      out(kJmp | kJlt | kX, end, pointer, 0);
      return wrong;
    case 2:
      over(kJle, pointer, end);
      return wrong;
    case 3:
      over(kJge, end, pointer);
      return wrong;
    case 4:
      out(kJmp | kJge | kX, pointer, end, 0);
      return 1 + wrong;
    case 5:
      out(kJmp | kJle | kX, end, pointer, 0);
      return 1 + wrong;
    case 6:
      over(kJlt, pointer, end);
      return 1 + wrong;
    default:
      over(kJgt, end, pointer);
      return 1 + wrong;
  }
}

void Body::packet() {
  if (plan_.type != ProgramType::xdp && plan_.type != ProgramType::sched_cls) return plain();
  if (any_reg(What::ctx) < 0) return plain();
  guarded([&] {
    const unsigned base = saved_reg(), end = free_reg({base});
    const Hold first(*this, {base, end});
    if (!load_packet(base, CtxLoad::data) || !load_packet(end, CtxLoad::data_end)) return;
    if (pick(12) == 0) load_packet(end, CtxLoad::data_meta);
    if (pick(3)) {  // a variable part
      const unsigned index = free_reg();
      number(index);
      const Hold hold(*this, {index});
      bound(index, random_.one_of(1, 7, 15, 63, 255, 0x7fff));
      if (pick(2)) compute(index);
      if (!reg(index).bounded || reg(index).min < 0) return;
      put(kAlu64 | kAdd | kX, base, index, 0, 0);
      reg(base) = Known::pointer(What::packet, 0);
    }
    const unsigned pointer = free_reg();
    const Hold second(*this, {pointer});
    const int64_t moved = random_.one_of(1, 2, 4, 8, 14, 14, 15, 20, 34);
    copy(pointer, base);
    put(kAlu64 | kAdd, pointer, 0, 0, moved);
    const int64_t there = moved + compare_with_end(pointer, end);
    reg(base).size = there;
    reg(pointer) = reg(base);
    reg(pointer).min = reg(pointer).max = moved;
    reg(end) = {};
    touch(base);
    if (pick(2)) touch(pointer);
    for (unsigned n = pick(3); n > 0; --n) {
      touch(base);
      if (depth_ < kNested && pick(3) == 0) item();
    }
    if (there < kFar && depth_ < kNested && pick(3) == 0) further(base, there);
  });
}

// A number from the packet says where to go on in it.
void Body::further(unsigned base, int64_t there) {
  const unsigned index = free_reg(), end = free_reg({index}), pointer = free_reg({index, end});
  const Hold hold(*this, {index, end, pointer});
  put(kLdx | kMem | kB, index, base, static_cast<int>(below(there)), 0);
  reg(index) = Known::within(0, 255);
  if (pick(2)) {
    bound(index, random_.one_of(7, 15, 60));
    if (pick(2)) put(kAlu64 | kLsh, index, 0, 0, pick(3));
  }
  copy(pointer, base);
  put(kAlu64 | kAdd | kX, pointer, index, 0, 0);
  if (!load_packet(end, CtxLoad::data_end)) return;
  const int64_t moved = random_.one_of(1, 2, 4, 8);
  put(kAlu64 | kAdd, pointer, 0, 0, moved);
  const int64_t more = compare_with_end(pointer, end);
  reg(end) = {};
  reg(pointer) = Known::pointer(What::packet, moved + more);
  reg(pointer).min = reg(pointer).max = moved;
  touch(pointer);
  touch(pointer);
}

// Fields of the context that every program of the type may read; some may be written.
void Body::packet_ctx(unsigned ctx) {
  const bool skb = plan_.type != ProgramType::xdp;
  if (skb && pick(2)) {  // cb is an array
    const unsigned bytes = 1u << pick(4);
    const int size = bytes == 1 ? kB : bytes == 2 ? kH : bytes == 4 ? kW : kDw;
    const auto at = static_cast<int>(offsetof(__sk_buff, cb) + bytes * pick(20 / bytes));
    const int value = number_reg();
    if (value >= 0 && pick(2))
      return put(kStx | kMem | size, ctx, static_cast<unsigned>(value), at, 0);
    const unsigned to = free_reg();
    put(kLdx | kMem | size, to, ctx, at, 0);
    reg(to) = Known::number();
    return;
  }
  const int field =
      skb ? random_.one_of(offsetof(__sk_buff, len), offsetof(__sk_buff, mark),
                           offsetof(__sk_buff, protocol), offsetof(__sk_buff, priority))
          : random_.one_of(offsetof(xdp_md, ingress_ifindex), offsetof(xdp_md, rx_queue_index));
  const unsigned to = free_reg();
  put(kLdx | kMem | kW, to, ctx, field, 0);
  reg(to) = Known::within(0, 0xffffffff);
}

}  // namespace uarena::fuzz
