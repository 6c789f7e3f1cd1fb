// A conversation as an input: one step after the other, each a record that is sent or something
// else that happens, with descriptors that are named by what they are, since numbers mean nothing
// in a file. What can't be read ends the script.
#pragma once

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipc/base/page.h"
#include "ipc/base/uapi.h"
#include "ipc/codec.h"
#include "tests/fuzz/damage.h"

namespace uarena::fuzz {

enum class FdKind : uint8_t { memory, userfaultfd, event, socket, null };
inline constexpr unsigned kFdKinds = 5;

struct Step {
  uint8_t what = 0;  // whose meaning is the target's
  uint8_t who = 0;   // likewise
  std::vector<FdKind> fds;
  Bytes record;
};

inline void append(Bytes& script, const Step& step) {
  script.insert(script.end(), {std::byte{step.what}, std::byte{step.who},
                               static_cast<std::byte>(step.fds.size())});
  for (const FdKind kind : step.fds) script.push_back(static_cast<std::byte>(kind));
  const auto size = static_cast<uint32_t>(step.record.size());
  const auto bytes = std::as_bytes(std::span(&size, 1));
  script.insert(script.end(), bytes.begin(), bytes.end());
  script.insert(script.end(), step.record.begin(), step.record.end());
}

// The step at the front of `script`, which is advanced.
inline std::optional<Step> take_step(std::span<const std::byte>& script) {
  constexpr size_t kFront = 3;
  if (script.size() < kFront) return std::nullopt;
  Step step{static_cast<uint8_t>(script[0]), static_cast<uint8_t>(script[1]), {}, {}};
  const size_t fds = static_cast<size_t>(script[2]);
  script = script.subspan(kFront);
  uint32_t size = 0;
  if (fds > UARENA_MAX_FDS || script.size() < fds + sizeof size) return std::nullopt;
  for (const std::byte kind : script.first(fds))
    step.fds.push_back(static_cast<FdKind>(static_cast<unsigned>(kind) % kFdKinds));
  std::memcpy(&size, script.data() + fds, sizeof size);
  script = script.subspan(fds + sizeof size);
  size = static_cast<uint32_t>(std::min<size_t>(size, script.size()));
  step.record.assign(script.begin(), script.begin() + size);
  script = script.subspan(size);
  return step;
}

inline Fd make_fd(FdKind kind, uint64_t memory_size) {
  switch (kind) {
    case FdKind::memory: {
      Fd fd(::memfd_create("fuzz", MFD_CLOEXEC));
      if (::ftruncate(fd.get(), static_cast<off_t>(memory_size)) != 0) std::abort();
      return fd;
    }
    case FdKind::userfaultfd:
      return Fd(
          static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | kUffdUserModeOnly)));
    case FdKind::event:
      return Fd(::eventfd(0, EFD_CLOEXEC));
    case FdKind::socket:
      return Fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    default:
      return Fd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  }
}

}  // namespace uarena::fuzz
