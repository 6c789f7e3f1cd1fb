// What a process gets that touches an address: by itself, by a system call, or by looking.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <utility>

#include "ipc/base/fd.h"
#include "ipc/base/page.h"

namespace uarena::testing {

inline void* pointer(uint64_t address) { return reinterpret_cast<void*>(address); }

// Writes one byte, or reads one; the signal that it came to, if any. The handler leaves by a jump,
// as programs do.
inline std::optional<siginfo_t> touch(uint64_t address, bool write = true) {
  static sigjmp_buf back;
  static siginfo_t seen;
  struct sigaction action{};
  struct sigaction segv{};
  struct sigaction bus{};
  action.sa_flags = SA_SIGINFO;
  action.sa_sigaction = [](int, siginfo_t* info, void*) {
    seen = *info;
    siglongjmp(back, 1);
  };
  ::sigaction(SIGSEGV, &action, &segv);
  ::sigaction(SIGBUS, &action, &bus);
  const bool faulted = sigsetjmp(back, 1) != 0;
  auto* byte = static_cast<volatile uint8_t*>(pointer(address));
  if (!faulted && write) *byte = 1;
  if (!faulted && !write) static_cast<void>(*byte);
  ::sigaction(SIGSEGV, &segv, nullptr);
  ::sigaction(SIGBUS, &bus, nullptr);
  if (!faulted) return std::nullopt;
  return seen;
}

// The errno of write(2) from these bytes and of read(2) into them.
inline std::pair<int, int> system_calls(uint64_t address) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  const Fd out(ends[0]);
  const Fd in(ends[1]);
  const int written = ::write(in.get(), pointer(address), 8) == 8 ? 0 : errno;
  const char bytes[8] = "7 bytes";
  if (::write(in.get(), bytes, sizeof bytes) != sizeof bytes) throw std::runtime_error("write");
  char skipped[8];
  if (written == 0 && ::read(out.get(), skipped, 8) != 8) throw std::runtime_error("read");
  const int read = ::read(out.get(), pointer(address), 8) == 8 ? 0 : errno;
  return {written, read};
}

// Of a process that ignores SIGSEGV; one that does not gets it, too, when the call is over.
inline std::pair<int, int> system_calls_alone(uint64_t address) {
  struct sigaction ignore{};
  struct sigaction before{};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGSEGV, &ignore, &before);
  const auto errors = system_calls(address);
  ::sigaction(SIGSEGV, &before, nullptr);
  return errors;
}

// Whether this process has something at the address.
inline bool mapped(uint64_t address) {
  unsigned char resident;
  return ::mincore(pointer(address), kPageSize, &resident) == 0;
}

}  // namespace uarena::testing
