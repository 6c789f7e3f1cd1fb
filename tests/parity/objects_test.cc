// Every object of tests/bpf, the demo's and the benchmarks', in the live kernel and in ours,
// compiled and interpreted: each program with several contexts, and every result, context and byte
// of memory the same at the end. Where they differ by decision, the difference itself is asserted
// (K45, K51, K54).
#include <gtest/gtest.h>

#include <chrono>
#include <set>

#include "tests/bpf/contexts.h"
#include "tests/parity/twin.h"
#include "tools/bench/contexts.h"
#include "tools/bench/works/work.h"
#include "tools/examples/demo/demo.h"

namespace uarena::testing {
namespace {

constexpr uint64_t kBase = 0x7e9300003000;

class Objects : public ::testing::TestWithParam<jit::Mode> {
 protected:
  void SetUp() override {
    if (const auto reason = kernel_arena_unavailable()) GTEST_SKIP() << *reason;
  }
  // At the end, so that no program of an object is forgotten.
  void TearDown() override {
    if (!twin_ || HasFailure()) return;
    for (const std::string& program : twin_->programs())
      EXPECT_TRUE(ran_.contains(program)) << program << " was not run";
    twin_->expect_same_memory();
  }

  void load(const std::string& name, uint32_t pages = 0, uint64_t user_vm_start = kBase) {
    TwinOptions options;
    options.user_vm_start = user_vm_start;
    options.mode = GetParam();
    options.programs = programs_;
    if (pages != 0) options.pages = pages;
    twin_.reset();  // its arena is where the next one's is
    twin_ = std::make_unique<Twin>(name, options);
  }
  template <typename Context>
  Context run(const std::string& program, Context context, int32_t retval = 0) {
    ran_.insert(program);
    EXPECT_EQ(twin_->run(program, context), retval) << program;
    return context;
  }
  // What our registry says to an object that it rejects.
  static std::string refusal(const std::string& name) {
    broker::Account account{0};
    broker::ArenaRegistry arenas;
    broker::ProgramRegistry programs(arenas);
    broker::LoadRequest request;
    request.object_name = name;
    request.mode = GetParam();
    const auto loaded = programs.load(read_bpf_object(name), request, account);
    if (loaded) return "";
    EXPECT_EQ(loaded.error().error.why, Why::rejected);
    return loaded.error().error.message;
  }
  uint64_t at(uint64_t page) const { return twin_->base() + page * kPageSize; }

  std::vector<std::string> programs_;
  std::unique_ptr<Twin> twin_;
  std::set<std::string> ran_;
};

TEST_P(Objects, List) {
  load("list", 16);
  run("walk", count_ctx{});
  run("build", count_ctx{0, 1, 2});
  run("build", count_ctx{1, 0, 0});
  run("build", count_ctx{1000, 0, 0});
  EXPECT_EQ(run("walk", count_ctx{}).sum, 500501u);
  run("build", count_ctx{16 * 256, 0, 0}, -ENOMEM);
  run("walk", count_ctx{7, 8, 9});
}

TEST_P(Objects, HashTable) {
  load("htab", 64);
  run("lookup", count_ctx{1, 0, 0}, -ENOENT);
  run("insert", count_ctx{2000, 0, 0});
  EXPECT_EQ(run("lookup", count_ctx{3000, 0, 0}).found, 2000u);
  run("insert", count_ctx{100, 5, 5});
  run("lookup", count_ctx{50, 0, 0});
  run("insert", count_ctx{64 * 170, 0, 0}, -ENOMEM);
  run("lookup", count_ctx{5000, 0, 0});
}

TEST_P(Objects, Atomics) {
  load("atomics");
  for (int i = 0; i < 2; i++) {
    run("atomics64", atomic_ctx{});
    run("atomics32", atomic_ctx{});
  }
}

TEST_P(Objects, AcquireAndRelease) {
  load("acquire_release");
  run("acquire_release", acquire_ctx{});
  run("acquire_release", acquire_ctx{{1, 2, 3, 4}, {5, 6, 7, 8}});
}

TEST_P(Objects, SignExtendingLoads) {
  load("sign_extend");
  run("sign_extend", extend_ctx{});
  run("sign_extend", extend_ctx{1, 2, 3, 4, 5, 6, 7});
}

TEST_P(Objects, Casts) {
  for (const char* object : {"casts", "casts_no_user_conv"}) {
    for (const uint64_t base : {kBase, uint64_t{0x7e9400000000}}) {
      load(object, 16, base);
      for (const uint64_t in :
           {uint64_t{0}, uint64_t{1}, kBase, base, base + 4096, uint64_t{1} << 32,
            uint64_t{0x80000000}, uint64_t{0xffffffff}, ~uint64_t{0}, uint64_t{0x123456789abcdef0},
            uint64_t{0xffffffff00000000}})
        run("cast", cast_ctx{in, 1, 2});
    }
  }
}

TEST_P(Objects, AbsentAndPresentPages) {
  load("absent", 16);
  // Absent inside the arena; behind its end; the lowest and the highest address of the 4 GiB, from
  // where an access reaches into the guard; with garbage in the upper half (K48).
  std::vector<uint64_t> addresses = {
      at(5),      at(5) + 8,  at(16),       0,
      0xffffffff, 0xfffffffc, ~uint64_t{0}, at(5) ^ 0x5555555500000000};
  twin_->touch(7, 0x80808080ffffffff);
  // Present; and the last bytes before an absent page, which no access may tear.
  for (const uint64_t offset : {0, 1, 8, 4088, 4089, 4093, 4095})
    addresses.push_back(at(7) + offset);
  for (const uint64_t address : addresses) {
    absent_ctx context{};
    std::memset(&context, 0xee, sizeof context);
    context.addr = address;
    EXPECT_EQ(run("loads", context).done, 1u);
    run("stores", context);
    run("loads", context);
  }
  // An aligned word, since a locked access that crosses a cache line is fatal to some kernels.
  for (const uint64_t address : {at(7), at(7) + 4088}) {
    absent_ctx context{};
    context.addr = address;
    run("atomics", context);
    run("atomics", context);
  }
}

// Difference (K51): 6.18 leaves the destination register of an atomic on an absent page as it was,
// 7.2 zeroes it. Ours is 7.2's, and everything else is equal.
TEST_P(Objects, AtomicsOnAbsentPages) {
  programs_ = {"atomics"};
  load("absent", 16);
  constexpr uint64_t kBefore = 0x5a5a5a5a5a5a5a5a;
  for (const uint64_t address : {at(5), at(16), uint64_t{0}, at(5) ^ 0x5555555500000000}) {
    absent_ctx context{};
    std::memset(&context, 0xee, sizeof context);
    context.addr = address;
    const auto bytes = std::as_bytes(std::span(&context, 1));
    RunAnswer kernel = twin_->run_kernel("atomics", bytes);
    const RunAnswer ours = twin_->run_ours("atomics", bytes);
    absent_ctx theirs;
    std::memcpy(&theirs, kernel.context.data(), sizeof theirs);
    const bool left_alone = theirs.fetch_add == kBefore;
    for (__u64* value : {&theirs.fetch_add, &theirs.xchg, &theirs.cmpxchg, &theirs.acquire}) {
      EXPECT_EQ(*value, left_alone ? kBefore : 0u);
      *value = 0;
    }
    std::memcpy(kernel.context.data(), &theirs, sizeof theirs);
    EXPECT_EQ(ours, kernel);
  }
  ran_.insert("atomics");
  EXPECT_EQ(twin_->arena().counts().pages_allocated, 0u);
}

// Difference (K54): when a loop without a limit ends is a matter of time; that it ends is not.
TEST_P(Objects, MayGoto) {
  load("may_goto");
  for (const uint64_t limit : {1, 2, 1000, 70000}) run("spin", loop_ctx{limit, 0});
  const loop_ctx endless{0, 0};
  for (const bool kernel : {false, true}) {
    const auto bytes = std::as_bytes(std::span(&endless, 1));
    const auto start = std::chrono::steady_clock::now();
    const RunAnswer answer =
        kernel ? twin_->run_kernel("spin", bytes) : twin_->run_ours("spin", bytes);
    const auto took = std::chrono::steady_clock::now() - start;
    EXPECT_EQ(answer.retval, 0);
    EXPECT_GT(Twin::words(answer.context)[1], 65535u);
    EXPECT_GE(took, std::chrono::milliseconds(249));
  }
}

TEST_P(Objects, Calls) {
  load("calls");
  // The square is that of the lower half, as an int.
  for (const uint64_t n : {0, 1, 2, 7, 100, 1000, 46341}) {
    run("calls", calls_ctx{n, 9, 9, 9, 9});
    run("calls_again", calls_ctx{n, 8, 8, 8, 8});
  }
}

TEST_P(Objects, Globals) {
  load("globals");
  for (int i = 0; i < 5; i++) run("globals", globals_ctx{1, 2, 3, 4, 5});
}

TEST_P(Objects, Helpers) {
  load("helpers");
  for (const uint64_t in : {5, 9, 1000})
    for (const std::string& program : twin_->programs()) {
      SCOPED_TRACE(program);
      run(program, helpers_ctx{in, {}});
    }
}

TEST_P(Objects, Kfuncs) {
  load("kfuncs", 32);
  EXPECT_EQ(run("alloc_pages", kfunc_ctx{0, 3, -1, 0, 0}).result, at(0));
  run("alloc_pages", kfunc_ctx{at(1), 1, -1, 0, 0});
  run("alloc_pages", kfunc_ctx{at(30), 3, -1, 0, 0});
  run("poke", kfunc_ctx{at(2), 0, 0, 4711, 0});
  run("poke", kfunc_ctx{at(3), 0, 0, 4711, 0});
  EXPECT_EQ(run("peek", kfunc_ctx{at(2), 0, 0, 0, 0}).result, 4711u);
  run("peek", kfunc_ctx{at(3), 0, 0, 0, 9});
  run("reserve_pages", kfunc_ctx{at(2), 4, 0, 0, 0});
  run("reserve_pages", kfunc_ctx{at(3), 4, 0, 0, 9});
  run("free_pages", kfunc_ctx{at(1), 3, 0, 0, 0});
  run("peek", kfunc_ctx{at(2), 0, 0, 0, 9});
  run("alloc_pages", kfunc_ctx{0, 4, -1, 0, 0});
}

// Difference (K39): 6.18 enters the pages of a free below the arena as free ones, and a later
// allocation may return such a page; 7.2 and ours ignore it. The kernel here may be a 6.18, so this
// free is made in ours alone; what is allocated afterwards is compared again.
TEST_P(Objects, FreeBelowTheArenaIsIgnored) {
  load("kfuncs", 4);
  run("alloc_pages", kfunc_ctx{0, 4, -1, 0, 0});
  const kfunc_ctx below{kBase - 2 * kPageSize, 3, -1, 0, 0};
  twin_->run_ours("free_pages", std::as_bytes(std::span(&below, 1)));
  EXPECT_EQ(twin_->arena().counts().pages_allocated, 4u);
  EXPECT_EQ(run("alloc_pages", kfunc_ctx{0, 1, -1, 0, 0}).result, 0u);
  run("free_pages", kfunc_ctx{at(0), 2, -1, 0, 0});
  EXPECT_EQ(run("alloc_pages", kfunc_ctx{0, 2, -1, 0, 0}).result, at(0));
  ran_.insert({"reserve_pages", "peek", "poke"});
}

// Difference (K45): the kernel accepts any map pointer and the functions then do nothing; ours
// wants an arena, and says so when it loads.
TEST_P(Objects, KfuncsWithAMapThatIsNoArena) {
  EXPECT_TRUE(KernelObject::load(load_bpf_object("kfuncs_wrong_map")).has_value());
  EXPECT_NE(refusal("kfuncs_wrong_map").find("map"), std::string::npos);
}

TEST_P(Objects, LoaderFeatures) {
  programs_ = {"first_program"};  // for the kernel
  load("loader_features", 0, 0);
  for (int i = 0; i < 3; i++) run("first_program", count_ctx{5, 6, 7});
}

TEST_P(Objects, Demo) {
  load("demo", 64);
  run("sum", demo_sum{});
  run("build", demo_build{1000, 500, 0});
  EXPECT_EQ(run("sum", demo_sum{}).list_sum, 500500u);
  run("build", demo_build{0, 700, 9});
  run("build", demo_build{16 * 256, 0, 9});
  run("sum", demo_sum{1, 2, 3, 4, 5});
  run("read_word", demo_word{at(0), 7});
  run("read_word", demo_word{at(60), 7});
  twin_->touch(60, 0x1234);
  EXPECT_EQ(run("read_word", demo_word{at(60), 7}).value, 0x1234u);
  run("alloc_at", demo_pages{at(60), 1, 0, 1});
  run("free_at", demo_pages{at(60), 1, 0, 1});
  run("alloc_at", demo_pages{at(59), 3, 0, 1});
  run("build", demo_build{20 * 1024, 0, 0}, -ENOMEM);
  run("sum", demo_sum{});
}

TEST_P(Objects, Segv) {
  load("segv", 64);
  run("peek", demo_word{at(3), 1});
  run("alloc_at", demo_pages{at(3), 2, 0, 0});
  run("peek", demo_word{at(3), 1});
  run("alloc_at", demo_pages{0, 4, 0, 0});
  run("free_at", demo_pages{at(4), 1, 0, 0});
  run("alloc_at", demo_pages{at(4), 1, 0, 0});
  // All of it: what is looked at afterwards must be there.
  run("free_at", demo_pages{at(0), 64, 0, 0});
  run("alloc_at", demo_pages{0, 64, 0, 0});
}

// The benchmark's works, whose figures must not depend on who does them. Without the walk through
// 16 MiB, for which the interpreter takes longer than loops may.
TEST_P(Objects, BenchWorks) {
  for (const std::string work : {"list", "htab", "strsearch", "glob", "tree", "alu", "crypto",
                                 "memcpy", "atomics", "calls"}) {
    SCOPED_TRACE(work);
    load("bench_" + work);
    run("prepare", bench_work_ctx{});
    if (GetParam() == jit::Mode::compile) run("run", bench_work_ctx{1, 0});
    run("run", bench_work_ctx{0, 0});
  }
}

TEST_P(Objects, BenchSmall) {
  load("bench_small");
  run("nothing", bench_absent_ctx{});
  run("absent_load", bench_absent_ctx{10, 1});
}

TEST_P(Objects, BenchAllocFree) {
  load("bench_alloc_free", 64);
  for (const uint64_t pairs : {0, 1, 100}) run("alloc_free", bench_pairs_ctx{pairs, 3, 0});
  const auto range = run("allocate", bench_range_ctx{5, 0});
  EXPECT_NE(range.address, 0U);
  run("release", range);
}

constexpr auto kModes = [] { return ::testing::Values(jit::Mode::compile, jit::Mode::interpret); };
constexpr auto kModeName = [](const ::testing::TestParamInfo<jit::Mode>& info) {
  return info.param == jit::Mode::compile ? "Compiled" : "Interpreted";
};
INSTANTIATE_TEST_SUITE_P(Kernel, Objects, kModes(), kModeName);

}  // namespace
}  // namespace uarena::testing
