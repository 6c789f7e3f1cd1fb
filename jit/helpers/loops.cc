// Loops that a function runs for a program: bpf_loop, and the number iterator behind bpf_for. An
// iterator lies in eight bytes of the program's stack, in the kernel's layout.
#include "jit/engine.h"
#include "jit/helpers/functions.h"
#include "jit/turns.h"

namespace uarena::jit::helpers {
namespace {

// struct bpf_iter_num.
struct IterNum {
  int32_t current;  // what next gave last
  int32_t end;
};
static_assert(sizeof(IterNum) == 8);

}  // namespace

// long bpf_loop(u32 nr_loops, long (*callback)(u64 index, void *ctx), void *ctx, u64 flags)
uint64_t loop(uint64_t nr_loops, uint64_t callback, uint64_t ctx, uint64_t flags, uint64_t,
              RunContext* run) {
  if (flags != 0) return result(-EINVAL);
  const auto count = static_cast<uint32_t>(nr_loops);
  // The kernel puts its own loop in the place of the call, whose error has 32 bits.
  if (count > kMaxLoops) return static_cast<uint32_t>(-E2BIG);
  for (uint64_t n = 0; n < count; ++n) {
    if (!take_turn(run)) return 0;
    const uint64_t stop = run->program->call_back(callback, {n, ctx, 0, 0, 0}, *run);
    if (run->ended) return 0;
    if (stop != 0) return n + 1;
  }
  return count;
}

// int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end)
uint64_t iter_num_new(uint64_t it, uint64_t r2, uint64_t r3, uint64_t, uint64_t, RunContext*) {
  auto* iter = pointer<IterNum>(it);
  const auto start = static_cast<int32_t>(r2);
  const auto end = static_cast<int32_t>(r3);
  *iter = {};  // drained
  if (start > end) return result(-EINVAL);
  if (int64_t{end} - start > kMaxLoops) return result(-E2BIG);
  // One before the first; from the smallest number that wraps around, and back.
  iter->current = static_cast<int32_t>(static_cast<uint32_t>(start) - 1);
  iter->end = end;
  return 0;
}

// int *bpf_iter_num_next(struct bpf_iter_num *it)
uint64_t iter_num_next(uint64_t it, uint64_t, uint64_t, uint64_t, uint64_t, RunContext*) {
  auto* iter = pointer<IterNum>(it);
  const auto next = static_cast<int32_t>(static_cast<uint32_t>(iter->current) + 1);
  if (next >= iter->end) {
    *iter = {};
    return 0;
  }
  iter->current = next;
  return reinterpret_cast<uint64_t>(&iter->current);
}

// void bpf_iter_num_destroy(struct bpf_iter_num *it)
uint64_t iter_num_destroy(uint64_t it, uint64_t, uint64_t, uint64_t, uint64_t, RunContext*) {
  *pointer<IterNum>(it) = {};
  return 0;
}

}  // namespace uarena::jit::helpers
