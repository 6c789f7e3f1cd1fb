// What a program can ask about its surroundings: clocks, chance, the CPU, and who runs it.
// "Current" is in the kernel the task in which the program runs; here a program runs in a thread of
// the broker, for a client who asked for it, and the client is who programs mean.
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "ipc/base/clock.h"
#include "jit/helpers/functions.h"

namespace uarena::jit::helpers {
namespace {

// A run without a client is the process's own.
Caller caller_of(const RunContext* run) {
  if (run->caller != nullptr) return *run->caller;
  Caller own{.pid = static_cast<uint32_t>(::getpid()),
             .uid = static_cast<uint32_t>(::getuid()),
             .gid = static_cast<uint32_t>(::getgid()),
             .comm = {}};
  const std::string_view name = program_invocation_short_name;
  std::memcpy(own.comm, name.data(), std::min(name.size(), sizeof own.comm - 1));
  return own;
}

}  // namespace

uint64_t ktime_get_ns(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, RunContext*) {
  return clock_ns(CLOCK_MONOTONIC);
}

uint64_t ktime_get_boot_ns(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, RunContext*) {
  return clock_ns(CLOCK_BOOTTIME);
}

uint64_t ktime_get_coarse_ns(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, RunContext*) {
  return clock_ns(CLOCK_MONOTONIC_COARSE);
}

uint64_t ktime_get_tai_ns(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, RunContext*) {
  return clock_ns(CLOCK_TAI);
}

// The kernel's counter begins five minutes before it overflows 32 bits (INITIAL_JIFFIES), to show
// what can't stand that. CONFIG_HZ is not visible; 250 is Debian's.
uint64_t jiffies64(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, RunContext*) {
  constexpr uint64_t kHz = 250;
  constexpr auto kInitial = static_cast<uint32_t>(-300 * static_cast<int64_t>(kHz));
  return kInitial + clock_ns(CLOCK_MONOTONIC) / (1'000'000'000 / kHz);
}

uint64_t get_prandom_u32(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, RunContext*) {
  thread_local std::mt19937 numbers{std::random_device()()};
  return numbers();
}

// The same for the whole run, as where migration is disabled.
uint64_t get_smp_processor_id(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, RunContext* run) {
  return run->current_cpu();
}

uint64_t get_numa_node_id(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, RunContext*) {
  unsigned node = 0;
  ::syscall(SYS_getcpu, nullptr, &node, nullptr);
  return node;
}

uint64_t get_current_pid_tgid(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, RunContext* run) {
  const uint64_t pid = caller_of(run).pid;
  return pid << 32 | pid;  // of the thread that asked nothing is known: the process's first
}

uint64_t get_current_uid_gid(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, RunContext* run) {
  const Caller caller = caller_of(run);
  return uint64_t{caller.gid} << 32 | caller.uid;
}

// long bpf_get_current_comm(void *buf, u32 size): cut, with its NUL, the rest zeros.
uint64_t get_current_comm(uint64_t buf, uint64_t size, uint64_t, uint64_t, uint64_t,
                          RunContext* run) {
  const Caller caller = caller_of(run);
  auto* to = pointer<char>(buf);
  std::memset(to, 0, size);
  std::memcpy(to, caller.comm,
              std::min<size_t>(size - 1, ::strnlen(caller.comm, sizeof caller.comm)));
  return 0;
}

}  // namespace uarena::jit::helpers
