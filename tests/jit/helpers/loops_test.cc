// bpf_loop in both executors, and the number iterator.
#include <gtest/gtest.h>
#include <linux/bpf.h>

#include <array>
#include <climits>

#include "jit/catalogue.h"
#include "jit/helpers/functions.h"
#include "tests/jit/exec/program_builder.h"

namespace uarena::jit {
namespace {

const FunctionDesc* helper(int32_t number) {
  return offered_helpers().at(static_cast<size_t>(number));
}

class Loop : public testing::TestWithParam<Mode> {
 protected:
  // r1 and r4 as given; the callback adds its index to the context's first word and stops where
  // the index is that of the second.
  uint64_t run(int64_t loops, int64_t flags = 0) {
    auto fixed = FixedProgramTestPeer::make(
        test::assemble_or_die(fmt::format("r3 = r1\n"
                                          "r1 = {} ll\n"
                                          "raw 0x18 2 4 0 4\nraw 0 0 0 0 0\n"
                                          "r4 = {}\n"
                                          "call kfunc#0\n"
                                          "exit\n"
                                          "r3 = *(u64 *)(r2 +0)\n"
                                          "r3 += r1\n"
                                          "*(u64 *)(r2 +0) = r3\n"
                                          "r4 = *(u64 *)(r2 +8)\n"
                                          "r0 = 1\n"
                                          "if r4 == r1 goto pc+1\n"
                                          "r0 = 0\n"
                                          "exit\n",
                                          static_cast<uint64_t>(loops), flags)),
        nullptr, {helper(BPF_FUNC_loop)});
    return executable(std::move(fixed), GetParam())
        ->run(std::as_writable_bytes(std::span(ctx_)), context_);
  }
  std::array<uint64_t, 2> ctx_ = {0, ~uint64_t{0}};
  RunContext context_;
};

TEST_P(Loop, CallsBackWithEachIndex) {
  EXPECT_EQ(run(1000), 1000U);
  EXPECT_EQ(ctx_[0], 999U * 1000 / 2);
}

TEST_P(Loop, StopsWhereTheCallbackSaysSo) {
  ctx_[1] = 10;
  EXPECT_EQ(run(1000), 11U);
  EXPECT_EQ(ctx_[0], 55U);
}

TEST_P(Loop, RefusesAsTheKernelDoes) {
  EXPECT_EQ(run(0), 0U);
  EXPECT_EQ(static_cast<int64_t>(run(1, 1)), -EINVAL);
  EXPECT_EQ(run((8 << 20) + 1), static_cast<uint32_t>(-E2BIG));
  EXPECT_EQ(run(int64_t{1} << 32), 0U);  // a u32
  EXPECT_EQ(ctx_[0], 0U);
}

INSTANTIATE_TEST_SUITE_P(Executors, Loop, testing::Values(Mode::interpret, Mode::compile),
                         [](const auto& param) {
                           return param.param == Mode::compile ? "Compiler" : "Interpreter";
                         });

// What a bpf_for over [start, end) sees, and what new returned.
std::pair<int64_t, std::vector<int>> numbers(int start, int end, size_t most = 100) {
  uint64_t iter = 0;
  const auto it = reinterpret_cast<uint64_t>(&iter);
  const auto answer = static_cast<int64_t>(helpers::iter_num_new(
      it, static_cast<uint32_t>(start), static_cast<uint32_t>(end), 0, 0, {}));
  std::vector<int> seen;
  while (seen.size() < most) {
    const auto* next = reinterpret_cast<const int*>(helpers::iter_num_next(it, 0, 0, 0, 0, {}));
    if (next == nullptr) break;
    seen.push_back(*next);
  }
  EXPECT_TRUE(seen.size() == most || helpers::iter_num_next(it, 0, 0, 0, 0, {}) == 0);
  helpers::iter_num_destroy(it, 0, 0, 0, 0, {});
  EXPECT_EQ(iter, 0U);
  return {answer, seen};
}

TEST(IterNum, WalksARange) {
  using Seen = std::pair<int64_t, std::vector<int>>;
  EXPECT_EQ(numbers(-2, 3), (Seen{0, {-2, -1, 0, 1, 2}}));
  EXPECT_EQ(numbers(5, 5), (Seen{0, {}}));
  EXPECT_EQ(numbers(5, 4), (Seen{-EINVAL, {}}));
  EXPECT_EQ(numbers(INT_MIN, INT_MIN + 2), (Seen{0, {INT_MIN, INT_MIN + 1}}));
  EXPECT_EQ(numbers(INT_MAX - 1, INT_MAX), (Seen{0, {INT_MAX - 1}}));
  EXPECT_EQ(numbers(0, 8 << 20, 2), (Seen{0, {0, 1}}));
  EXPECT_EQ(numbers(0, (8 << 20) + 1), (Seen{-E2BIG, {}}));
  EXPECT_EQ(numbers(INT_MIN, INT_MAX), (Seen{-E2BIG, {}}));
}

TEST(Sections, AreCounted) {
  RunContext run;
  helpers::preempt_disable(0, 0, 0, 0, 0, &run);
  helpers::preempt_disable(0, 0, 0, 0, 0, &run);
  helpers::preempt_enable(0, 0, 0, 0, 0, &run);
  EXPECT_EQ(run.preempt_depth, 1U);
  uint64_t outer = 77;
  uint64_t inner = 77;
  helpers::irq_save(reinterpret_cast<uint64_t>(&outer), 0, 0, 0, 0, &run);
  helpers::irq_save(reinterpret_cast<uint64_t>(&inner), 0, 0, 0, 0, &run);
  EXPECT_EQ(run.irq_depth, 2U);
  helpers::irq_restore(reinterpret_cast<uint64_t>(&inner), 0, 0, 0, 0, &run);
  EXPECT_EQ(run.irq_depth, 1U);
  helpers::irq_restore(reinterpret_cast<uint64_t>(&outer), 0, 0, 0, 0, &run);
  EXPECT_EQ(run.irq_depth, 0U);
  helpers::rcu_read_lock(0, 0, 0, 0, 0, &run);
  EXPECT_EQ(run.rcu_depth, 1U);
  helpers::rcu_read_unlock(0, 0, 0, 0, 0, &run);
  EXPECT_EQ(run.rcu_depth, 0U);
}

// What the verifier takes for callable can be called: nothing is offered without a function, and
// every function here belongs to a row.
TEST(Catalogue, OffersWhatThereIs) {
  size_t with_function = 0;
  for (const FunctionDesc& row : catalogue()) with_function += row.function != nullptr ? 1 : 0;
  EXPECT_EQ(with_function, helpers::implementations().size());
  for (const FunctionDesc* offered : offered_helpers())
    EXPECT_TRUE(offered == nullptr || offered->function != nullptr);
  EXPECT_EQ(find_kfunc("bpf_iter_num_new")->function, &helpers::iter_num_new);
  EXPECT_EQ(find_kfunc("bpf_arena_alloc_pages")->function, nullptr);  // the broker's
}

}  // namespace
}  // namespace uarena::jit
