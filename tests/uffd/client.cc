#include "tests/uffd/client.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "uffd/uapi.h"

namespace uarena::uffd::testing {
namespace {

void check(bool good) {
  if (!good) ::_exit(kBroken);
}

sigjmp_buf jump_out;
SegvReport seen;
int returns_left;

void on_signal(int signal, siginfo_t* info, void*) {
  seen.signal = signal;
  seen.code = info->si_code;
  seen.address = reinterpret_cast<uint64_t>(info->si_addr);
  ++seen.calls;
  if (returns_left-- > 0) return;
  siglongjmp(jump_out, 1);
}

void set_action(int signal, void (*handler)(int)) {
  struct sigaction action{};
  action.sa_handler = handler;
  check(::sigaction(signal, &action, nullptr) == 0);
}

}  // namespace

Fd make_memory(uint64_t bytes) {
  Fd memory(::memfd_create("uffd-test-arena", MFD_CLOEXEC));
  if (!memory || ::ftruncate(memory.get(), static_cast<off_t>(bytes)) != 0) std::abort();
  return memory;
}

MemoryMap map_shared(const Fd& memory, uint64_t bytes) {
  auto made = MemoryMap::create(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0,
                                "test memory");
  return std::move(made.value());
}

uint64_t pages_in(const Fd& memory) {
  struct stat status{};
  ::fstat(memory.get(), &status);
  return static_cast<uint64_t>(status.st_blocks) * 512 / kPageSize;
}

void put_byte(const Fd& memory, uint64_t offset, uint8_t byte) {
  if (::pwrite(memory.get(), &byte, 1, static_cast<off_t>(offset)) != 1) std::abort();
}

uint8_t get_byte(const Fd& memory, uint64_t offset) {
  uint8_t byte = 0;
  if (::pread(memory.get(), &byte, 1, static_cast<off_t>(offset)) != 1) std::abort();
  return byte;
}

void map_arena(const Fd& memory) {
  void* at = reinterpret_cast<void*>(kArena);
  check(::mmap(at, kArenaBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE,
               memory.get(), 0) == at);
}

Fd raw_userfaultfd(Mode mode) {
  const int flags = O_CLOEXEC | O_NONBLOCK | (mode == Mode::user_only ? UFFD_USER_MODE_ONLY : 0);
  Fd fd(static_cast<int>(::syscall(SYS_userfaultfd, flags)));
  check(static_cast<bool>(fd));
  return fd;
}

Fd attach(Line& line, const Fd& memory, Mode mode) {
  map_arena(memory);
  Fd fd = raw_userfaultfd(mode);
  check(line.send_fd(fd.get()) && line.wait_go());
  return fd;
}

uint8_t load(uint64_t address) { return *reinterpret_cast<volatile uint8_t*>(address); }
void store(uint64_t address, uint8_t value) {
  *reinterpret_cast<volatile uint8_t*>(address) = value;
}

SegvReport touch_caught(uint64_t address, bool write, int returns) {
  struct sigaction action{};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO;
  check(::sigaction(SIGSEGV, &action, nullptr) == 0 && ::sigaction(SIGBUS, &action, nullptr) == 0);
  seen = {};
  returns_left = returns;
  if (sigsetjmp(jump_out, 1) == 0) {
    if (write)
      store(address, 1);
    else
      load(address);
  }
  return seen;
}

void default_signals() {
  set_action(SIGSEGV, SIG_DFL);
  set_action(SIGBUS, SIG_DFL);
}

void ignore_segv() {
  set_action(SIGSEGV, SIG_IGN);
  set_action(SIGBUS, SIG_DFL);
}

void block_segv() {
  default_signals();
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGSEGV);
  check(::sigprocmask(SIG_BLOCK, &signals, nullptr) == 0);
}

}  // namespace uarena::uffd::testing
