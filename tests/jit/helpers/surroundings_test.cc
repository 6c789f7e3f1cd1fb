// Clocks, the CPU, and who "current" is.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <ctime>
#include <set>

#include "jit/helpers/functions.h"

namespace uarena::jit::helpers {
namespace {

uint64_t now(clockid_t clock) {
  timespec t{};
  ::clock_gettime(clock, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
}

TEST(Clocks, AreTheKernels) {
  const struct {
    HelperFn function;
    clockid_t clock;
  } all[] = {{ktime_get_ns, CLOCK_MONOTONIC},
             {ktime_get_boot_ns, CLOCK_BOOTTIME},
             {ktime_get_coarse_ns, CLOCK_MONOTONIC_COARSE},
             {ktime_get_tai_ns, CLOCK_TAI}};
  for (const auto& one : all) {
    const uint64_t before = now(one.clock);
    const uint64_t answer = one.function(0, 0, 0, 0, 0, nullptr);
    EXPECT_GE(answer, before);
    EXPECT_LE(answer, now(one.clock));
  }
  EXPECT_LE(jiffies64(0, 0, 0, 0, 0, nullptr), jiffies64(0, 0, 0, 0, 0, nullptr));
}

TEST(Chance, IsNotAlwaysTheSame) {
  std::set<uint64_t> seen;
  for (int n = 0; n < 100; ++n) {
    seen.insert(get_prandom_u32(0, 0, 0, 0, 0, nullptr));
    EXPECT_LE(*seen.rbegin(), UINT32_MAX);
  }
  EXPECT_GT(seen.size(), 90U);
}

TEST(Cpu, StaysTheSameInARun) {
  RunContext run;
  run.cpu = 3;
  EXPECT_EQ(get_smp_processor_id(0, 0, 0, 0, 0, &run), 3U);
  RunContext other;
  const uint64_t cpu = get_smp_processor_id(0, 0, 0, 0, 0, &other);
  EXPECT_LT(cpu, static_cast<uint64_t>(::sysconf(_SC_NPROCESSORS_CONF)));
  EXPECT_EQ(get_smp_processor_id(0, 0, 0, 0, 0, &other), cpu);
  EXPECT_LT(get_numa_node_id(0, 0, 0, 0, 0, &other), 1024U);
}

TEST(Current, IsWhoAskedForTheRun) {
  const Caller caller{.pid = 4711, .uid = 1000, .gid = 100, .comm = "walker"};
  RunContext run;
  run.caller = &caller;
  EXPECT_EQ(get_current_pid_tgid(0, 0, 0, 0, 0, &run), uint64_t{4711} << 32 | 4711);
  EXPECT_EQ(get_current_uid_gid(0, 0, 0, 0, 0, &run), uint64_t{100} << 32 | 1000);
  std::array<char, 16> comm;
  comm.fill('x');
  EXPECT_EQ(get_current_comm(reinterpret_cast<uint64_t>(comm.data()), 10, 0, 0, 0, &run), 0U);
  EXPECT_EQ(std::string_view(comm.data(), 11), std::string_view("walker\0\0\0\0x", 11));
  get_current_comm(reinterpret_cast<uint64_t>(comm.data()), 4, 0, 0, 0, &run);
  EXPECT_STREQ(comm.data(), "wal");
}

TEST(Current, IsThisProcessWithoutACaller) {
  RunContext run;
  EXPECT_EQ(get_current_pid_tgid(0, 0, 0, 0, 0, &run) >> 32, static_cast<uint64_t>(::getpid()));
  EXPECT_EQ(get_current_uid_gid(0, 0, 0, 0, 0, &run) & 0xffffffff, ::getuid());
}

}  // namespace
}  // namespace uarena::jit::helpers
