// Every object in tests/bpf, the demo's and the benchmarks' load into the live kernel and compute
// there what they say: the reference that the broker's own runs are compared with.
#include <gtest/gtest.h>

#include <cerrno>
#include <csetjmp>
#include <csignal>
#include <cstring>
#include <optional>

#include "tests/bpf/contexts.h"
#include "tests/support/bpf_objects.h"
#include "tests/support/kernel_loader.h"
#include "tools/bench/contexts.h"
#include "tools/bench/works/work.h"
#include "tools/examples/demo/demo.h"

namespace uarena::testing {
namespace {

// Writes one byte. What SIGSEGV said, or nothing when the write succeeded. In this process, since a
// child would have no arena at all (K22).
std::optional<siginfo_t> touch(uint64_t address) {
  static sigjmp_buf back;
  static siginfo_t seen;
  struct sigaction action{};
  struct sigaction before{};
  action.sa_flags = SA_SIGINFO;
  action.sa_sigaction = [](int, siginfo_t* info, void*) {
    seen = *info;
    siglongjmp(back, 1);
  };
  ::sigaction(SIGSEGV, &action, &before);
  const bool faulted = sigsetjmp(back, 1) != 0;
  if (!faulted) *reinterpret_cast<volatile uint8_t*>(address) = 1;
  ::sigaction(SIGSEGV, &before, nullptr);
  if (!faulted) return std::nullopt;
  return seen;
}

class KernelObjects : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto reason = kernel_arena_unavailable()) GTEST_SKIP() << *reason;
  }

  void load(const std::string& name, const KernelLoadOptions& options = {}) {
    std::string log;
    auto loaded = KernelObject::load(load_bpf_object(name), options, &log);
    ASSERT_TRUE(loaded.has_value()) << loaded.error().message << '\n' << log;
    object_ = std::move(*loaded);
  }

  // Runs a program that returns 0.
  template <typename Context>
  Context run(const char* program, Context context) {
    EXPECT_EQ(run_for(program, context), 0) << program;
    return context;
  }

  template <typename Context>
  int32_t run_for(const char* program, Context& context) {
    const KernelProgram* found = object_.program(program);
    if (found == nullptr) {
      ADD_FAILURE() << "no program " << program;
      return INT32_MIN;
    }
    const auto result = found->run(context);
    EXPECT_TRUE(result.has_value()) << result.error().message;
    return result.value_or(INT32_MIN);
  }

  uint64_t base() const { return object_.arena_address(); }
  // The word as this process sees it; touching it allocates the page (K26).
  uint64_t& word(uint64_t address) const { return *reinterpret_cast<uint64_t*>(address); }
  kfunc_ctx kfunc(const char* program, uint64_t addr, uint32_t cnt, uint64_t flags = 0) {
    return run(program, kfunc_ctx{addr, cnt, -1, flags, 0});
  }
  int64_t reserve(uint64_t addr, uint32_t cnt) {
    return static_cast<int64_t>(kfunc("reserve_pages", addr, cnt).result);
  }

  KernelObject object_;
};

TEST_F(KernelObjects, ListIsBuiltAndWalked) {
  load("list");
  run("build", count_ctx{1000, 0, 0});
  const auto walked = run("walk", count_ctx{});
  EXPECT_EQ(walked.found, 1000u);
  EXPECT_EQ(walked.sum, 500500u);
  // The same through this process's own mapping: head is at offset 0, a node is {next, value}.
  uint64_t sum = 0;
  for (uint64_t node = word(base()); node != 0; node = word(node)) sum += word(node + 8);
  EXPECT_EQ(sum, 500500u);
}

TEST_F(KernelObjects, ListBuildFailsWhenTheArenaIsFull) {
  load("list");
  count_ctx context{TEST_PAGES * 256, 0, 0};  // one page is taken by the globals
  EXPECT_EQ(run_for("build", context), -ENOMEM);
}

TEST_F(KernelObjects, HashTableFindsWhatWasInserted) {
  load("htab");
  run("insert", count_ctx{5000, 0, 0});
  const auto found = run("lookup", count_ctx{6000, 0, 0});
  EXPECT_EQ(found.found, 5000u);
  EXPECT_EQ(found.sum, 7u * 5000 * 5001 / 2);
}

TEST_F(KernelObjects, Atomics64) {
  load("atomics");
  const auto c = run("atomics64", atomic_ctx{});
  const uint64_t memory[] = {0x100000007, 0x100000006, 0x100000036, 0x300000037,
                             0x400000037, 77,          0x500000088, 0x500000088};
  const uint64_t returned[] = {0, 0, 0, 0, 0x300000037, 0x400000037, 77, 0x500000088};
  for (int i = 0; i < ATOMIC_STEPS; i++) {
    EXPECT_EQ(c.memory[i], memory[i]) << i;
    EXPECT_EQ(c.returned[i], returned[i]) << i;
  }
}

TEST_F(KernelObjects, Atomics32LeaveTheOtherHalfAlone) {
  load("atomics");
  const auto c = run("atomics32", atomic_ctx{});
  const uint64_t memory[] = {0x100000007, 0x100000006, 0x100000036, 0x180000037,
                             0x100000037, 0x10000004d, 0x100000088, 0x100000088};
  const uint64_t returned[] = {0, 0, 0, 0, 0x80000037, 0x37, 77, 0x88};
  for (int i = 0; i < ATOMIC_STEPS; i++) {
    EXPECT_EQ(c.memory[i], memory[i]) << i;
    EXPECT_EQ(c.returned[i], returned[i]) << i;
  }
}

TEST_F(KernelObjects, AcquireAndReleaseInAllSizes) {
  load("acquire_release");
  const auto c = run("acquire_release", acquire_ctx{});
  const uint64_t loaded[] = {0xff, 0xffff, 0xffffffff, ~uint64_t{0}};
  const uint64_t stored[] = {0x88, 0x7788, 0x55667788, 0x1122334455667788};
  for (int i = 0; i < 4; i++) {
    EXPECT_EQ(c.loaded[i], loaded[i]) << i;
    EXPECT_EQ(c.stored[i], stored[i]) << i;
  }
}

TEST_F(KernelObjects, SignExtendingLoads) {
  load("sign_extend");
  const auto c = run("sign_extend", extend_ctx{});
  EXPECT_EQ(c.s8, -1);
  EXPECT_EQ(c.s16, -1);
  EXPECT_EQ(c.s32, -1);
  EXPECT_EQ(c.u8, 0xffu);
  EXPECT_EQ(c.u16, 0xffffu);
  EXPECT_EQ(c.u32, 0xffffffffu);
  EXPECT_EQ(c.positive, 0x7f);
}

TEST_F(KernelObjects, CastToUserGivesTheArenasUpperHalf) {
  load("casts", {.arena_address = 0x7e9300000000});
  const auto c = run("cast", cast_ctx{0x123456789abcdef0, 0, 0});
  EXPECT_EQ(c.kern, 0x9abcdef0u);
  EXPECT_EQ(c.user, 0x7e939abcdef0u);
  // A null pointer stays one (K57).
  EXPECT_EQ(run("cast", cast_ctx{0x7e9300000000, 1, 1}).user, 0u);
}

TEST_F(KernelObjects, NoUserConvLeavesTheLowerHalf) {
  load("casts_no_user_conv", {.arena_address = 0x7e9300000000});
  EXPECT_EQ(run("cast", cast_ctx{0x123456789abcdef0, 0, 0}).user, 0x9abcdef0u);
}

TEST_F(KernelObjects, AbsentPagesReadAsZeroAndSwallowStores) {
  load("absent");
  absent_ctx context{};
  std::memset(&context, 0xee, sizeof context);
  context.addr = base() + 5 * kPageSize;
  const auto loaded = run("loads", context);
  for (const uint64_t value : loaded.loads) EXPECT_EQ(value, 0u);
  for (const int64_t value : loaded.signed_loads) EXPECT_EQ(value, 0);
  EXPECT_EQ(loaded.done, 1u);
  const auto stored = run("stores", context);
  EXPECT_EQ(stored.after_store, 0u);
  EXPECT_EQ(stored.done, 1u);
  // Destination registers differ between kernels (K51): only what memory shows is compared.
  const auto atomics = run("atomics", context);
  EXPECT_EQ(atomics.after_store, 0u);
  EXPECT_EQ(atomics.done, 1u);
  EXPECT_EQ(word(context.addr), 0u);  // our own touch: a fresh page
}

TEST_F(KernelObjects, PresentPagesAreReadAndWritten) {
  load("absent");
  absent_ctx context{};
  context.addr = base() + 5 * kPageSize;
  word(context.addr) = 0x80808080ffffffff;
  const auto loaded = run("loads", context);
  EXPECT_EQ(loaded.loads[0], 0xffu);
  EXPECT_EQ(loaded.loads[3], 0x80808080ffffffffu);
  EXPECT_EQ(loaded.signed_loads[2], -1);
  EXPECT_EQ(run("stores", context).after_store, context.addr);
  EXPECT_EQ(word(context.addr), context.addr);
  word(context.addr) = 41;
  const auto atomics = run("atomics", context);
  constexpr uint64_t kPattern = 0x5a5a5a5a5a5a5a5a;
  EXPECT_EQ(atomics.fetch_add, 42u);
  EXPECT_EQ(atomics.xchg, kPattern + 42);
  EXPECT_EQ(atomics.cmpxchg, kPattern);
  EXPECT_EQ(atomics.acquire, 1u);
  EXPECT_EQ(atomics.after_store, kPattern);
}

TEST_F(KernelObjects, MayGotoEndsALoop) {
  load("may_goto");
  EXPECT_EQ(run("spin", loop_ctx{1000, 0}).turns, 1000u);
  EXPECT_GT(run("spin", loop_ctx{0, 0}).turns, 100'000u);  // K54: after 250 ms
}

TEST_F(KernelObjects, CallsBetweenFunctions) {
  load("calls");
  const auto c = run("calls", calls_ctx{100, 0, 0, 0, 0});
  EXPECT_EQ(c.by_static, 5050u);
  EXPECT_EQ(c.by_global, 42u);
  EXPECT_EQ(c.scalar, 10000u);
  EXPECT_EQ(c.depth, 8u);
  EXPECT_EQ(run("calls_again", calls_ctx{7, 0, 0, 0, 0}).scalar, 49u);
}

TEST_F(KernelObjects, GlobalsKeepTheirValuesBetweenRuns) {
  load("globals");
  const auto first = run("globals", globals_ctx{});
  EXPECT_EQ(first.rodata, 15u);
  EXPECT_EQ(first.data, 27u);
  EXPECT_EQ(first.bss, 0u);
  EXPECT_EQ(first.arena, 44u);
  EXPECT_EQ(first.custom, 55u);
  const auto second = run("globals", globals_ctx{});
  EXPECT_EQ(second.rodata, 15u);
  EXPECT_EQ(second.data, 29u);
  EXPECT_EQ(second.bss, 3u);
  EXPECT_EQ(second.arena, 49u);
  EXPECT_EQ(second.custom, 59u);
  EXPECT_EQ(word(base()), 54u);  // K80: at offset 0
  EXPECT_EQ(word(object_.map(".data.custom")->memory.address()), 63u);
}

TEST_F(KernelObjects, AllocationRules) {
  load("kfuncs");
  const uint64_t size = TEST_PAGES * kPageSize;
  EXPECT_EQ(kfunc("alloc_pages", 0, 1).result, base());   // K36: fresh arena, from the beginning
  EXPECT_EQ(kfunc("alloc_pages", base(), 1).result, 0u);  // K34: taken
  EXPECT_EQ(kfunc("alloc_pages", base() + kPageSize, 2).result, base() + kPageSize);
  // Taken, no page, too many, unaligned, below, above, partly above, flags.
  EXPECT_EQ(kfunc("alloc_pages", base() + 2 * kPageSize, 2).result, 0u);
  EXPECT_EQ(kfunc("alloc_pages", 0, 0).result, 0u);
  EXPECT_EQ(kfunc("alloc_pages", 0, TEST_PAGES + 1).result, 0u);
  EXPECT_EQ(kfunc("alloc_pages", base() + 5 * kPageSize + 8, 1).result, 0u);
  EXPECT_EQ(kfunc("alloc_pages", base() - kPageSize, 1).result, 0u);
  EXPECT_EQ(kfunc("alloc_pages", base() + size, 1).result, 0u);
  EXPECT_EQ(kfunc("alloc_pages", base() + size - kPageSize, 2).result, 0u);
  EXPECT_EQ(kfunc("alloc_pages", 0, 1, 1).result, 0u);
  // K35: only the lower half of an address counts.
  EXPECT_EQ(kfunc("alloc_pages", (base() + 9 * kPageSize) ^ 0x5555000000000000, 1).result,
            base() + 9 * kPageSize);
}

TEST_F(KernelObjects, UserFaultTakesThePage) {
  load("kfuncs");
  const uint64_t at = base() + 7 * kPageSize;
  word(at) = 99;
  EXPECT_EQ(kfunc("peek", at, 0).result, 99u);        // K26: seen at once
  EXPECT_EQ(kfunc("alloc_pages", at, 1).result, 0u);  // K26
  kfunc("free_pages", at, 1);
  EXPECT_EQ(word(at), 0u);  // K38: a fresh page
}

TEST_F(KernelObjects, FreeRules) {
  load("kfuncs");
  ASSERT_EQ(kfunc("alloc_pages", 0, 4).result, base());
  kfunc("poke", base(), 0, 77);
  kfunc("free_pages", 0, 1);       // NULL
  kfunc("free_pages", base(), 0);  // nothing
  EXPECT_EQ(kfunc("peek", base(), 0).result, 77u);
  kfunc("free_pages", base() + 100, 1);  // K38: rounded down to its page
  EXPECT_EQ(kfunc("peek", base(), 0).result, 0u);
  kfunc("free_pages", base(), 1);                            // twice
  kfunc("free_pages", base() + kPageSize, 10 * TEST_PAGES);  // K38: clipped
  EXPECT_EQ(kfunc("alloc_pages", 0, TEST_PAGES).result, base());
}

TEST_F(KernelObjects, ReserveRules) {
  load("kfuncs");
  EXPECT_EQ(reserve(base(), 2), 0);
  EXPECT_EQ(reserve(base() + kPageSize, 1), -EBUSY);
  EXPECT_EQ(reserve(base(), 0), 0);
  EXPECT_EQ(reserve(base() + 4 * kPageSize + 1, 1), 0);  // K41: unaligned does nothing
  EXPECT_EQ(kfunc("alloc_pages", base() + 4 * kPageSize, 1).result, base() + 4 * kPageSize);
  EXPECT_EQ(reserve(base() + TEST_PAGES * kPageSize, 1), -EINVAL);
  EXPECT_EQ(kfunc("alloc_pages", base(), 1).result, 0u);
  EXPECT_EQ(kfunc("alloc_pages", 0, 1).result, base() + 2 * kPageSize);
  kfunc("free_pages", base(), 2);  // K40
  EXPECT_EQ(kfunc("alloc_pages", base(), 2).result, base());
}

TEST_F(KernelObjects, KfuncsRefuseAMapThatIsNoArena) {
  load("kfuncs_wrong_map");
  EXPECT_EQ(kfunc("alloc_pages", 0, 1).result, 0u);
  EXPECT_EQ(reserve(0x1000, 1), -EINVAL);
  kfunc("free_pages", 0x1000, 1);
}

TEST_F(KernelObjects, DemoBuildsWhatClientsRead) {
  load("demo");
  const auto built = run("build", demo_build{1000, 500, 0});
  EXPECT_GE(built.pages, 7u);  // 16 * 1000 + 24 * 500 + 2048 bytes
  auto& roots = *reinterpret_cast<demo_roots*>(base());
  EXPECT_EQ(roots.list_len, 1000u);
  EXPECT_EQ(roots.entries, 500u);
  uint64_t sum = 0;
  for (demo_node* node = roots.head; node != nullptr; node = node->next) sum += node->value;
  EXPECT_EQ(sum, 500500u);
  const demo_entry* entry = roots.table->buckets[demo_bucket(123)];
  while (entry != nullptr && entry->key != 123) entry = entry->next;
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->value, demo_value(123));

  roots.head->value += 1000;
  const auto totals = run("sum", demo_sum{});
  EXPECT_EQ(totals.list_len, 1000u);
  EXPECT_EQ(totals.list_sum, 501500u);
  EXPECT_EQ(totals.entries, 500u);
  EXPECT_EQ(totals.key_sum, 125250u);
  EXPECT_EQ(totals.value_sum, 3 * 125250u + 500);
}

TEST_F(KernelObjects, DemoSeesAClientsPage) {
  load("demo");
  const uint64_t at = base() + 100 * kPageSize;
  EXPECT_EQ(run("read_word", demo_word{at, 1}).value, 0u);
  word(at) = 0x1234;
  EXPECT_EQ(run("read_word", demo_word{at, 0}).value, 0x1234u);
  EXPECT_EQ(run("alloc_at", demo_pages{at, 1, 0, 1}).result, 0u);
  run("free_at", demo_pages{at, 1, 0, 0});
  EXPECT_EQ(run("alloc_at", demo_pages{at, 1, 0, 0}).result, at);
}

TEST_F(KernelObjects, SegvArenaHasOnlyAllocatedPages) {
  load("segv");
  const uint64_t at = base() + 3 * kPageSize + 24;
  const auto refused = touch(at);
  ASSERT_TRUE(refused.has_value());  // K30
  EXPECT_EQ(refused->si_code, SEGV_MAPERR);
  EXPECT_EQ(reinterpret_cast<uint64_t>(refused->si_addr), at);
  EXPECT_EQ(run("alloc_at", demo_pages{at - 24, 1, 0, 0}).result, at - 24);
  EXPECT_FALSE(touch(at).has_value());
  word(at) = 5;
  EXPECT_EQ(run("peek", demo_word{at, 0}).value, 5u);
  run("free_at", demo_pages{at, 1, 0, 0});
  EXPECT_EQ(run("peek", demo_word{at, 1}).value, 0u);
  EXPECT_TRUE(touch(at).has_value());
}

TEST_F(KernelObjects, BenchmarksComputeWhatTheySay) {
  load("bench_list");
  run("prepare", bench_work_ctx{});
  EXPECT_EQ(run("run", bench_work_ctx{10, 0}).result, 10 * 1000u * 1001 / 2);
  load("bench_small");
  run("nothing", bench_work_ctx{});
  EXPECT_EQ(run("absent_load", bench_absent_ctx{10, 1}).sum, 0u);
  load("bench_alloc_free");
  EXPECT_EQ(run("alloc_free", bench_pairs_ctx{100, 1, 0}).done, 100u);
}

// The loader itself: linkage, unreached externs, every form of call and reference.
TEST_F(KernelObjects, EverythingThatTheLoaderUnderstands) {
  load("loader_features", {.programs = {"first_program", "optional_program"}});
  EXPECT_EQ(base(), 0x7e9500000000u);
  // leaf(7) = 9 + 7; hidden_function is one more; neighbour three times that of leaf.
  EXPECT_EQ(run("first_program", count_ctx{7, 0, 0}).sum, 17u + 16u);
  EXPECT_EQ(word(base() + 8), 1u);
  EXPECT_EQ(word(base() + 16 + 16), 48u);
  count_ctx context{5, 0, 0};
  EXPECT_EQ(run_for("optional_program", context), 14);
}

TEST_F(KernelObjects, MapExtraAndSizeCanBeOverridden) {
  load("kfuncs", {.arena_pages = 16, .arena_map_extra = 0x7e9400000000});
  EXPECT_EQ(base(), 0x7e9400000000u);
  EXPECT_EQ(kfunc("alloc_pages", 0, 17).result, 0u);
  EXPECT_EQ(kfunc("alloc_pages", 0, 16).result, 0x7e9400000000u);
}

TEST_F(KernelObjects, RefusedProgramGivesTheVerifiersLog) {
  jit::Object object = load_bpf_object("may_goto");
  object.programs[0].insns.pop_back();
  std::string log;
  const auto loaded = KernelObject::load(object, {}, &log);
  ASSERT_FALSE(loaded.has_value());
  EXPECT_EQ(loaded.error().code, EINVAL);
  EXPECT_NE(loaded.error().message.find("program 'spin'"), std::string::npos);
  EXPECT_NE(log.find("last insn is not an exit or jmp"), std::string::npos) << log;
}

// K2-K5: the kernel's answers that the broker's creation check is compared with.
TEST_F(KernelObjects, CreationErrors) {
  const auto error = [](KernelMapAttr attr) {
    const auto fd = create_kernel_map(attr);
    return fd ? 0 : fd.error().code;
  };
  EXPECT_EQ(error({.max_entries = 1}), 0);
  EXPECT_EQ(error({.max_entries = 0}), EINVAL);
  EXPECT_EQ(error({.key_size = 4, .max_entries = 1}), EINVAL);
  EXPECT_EQ(error({.max_entries = 1, .map_flags = 0}), EINVAL);
  EXPECT_EQ(error({.max_entries = 1, .map_extra = 1}), EINVAL);
  EXPECT_EQ(error({.max_entries = kMaxArenaPages}), 0);
  EXPECT_EQ(error({.max_entries = kMaxArenaPages + 1}), E2BIG);
  EXPECT_EQ(error({.max_entries = 2, .map_extra = 0x7e93fffff000}), ERANGE);
}

}  // namespace
}  // namespace uarena::testing
