// Starts a program whose userfaultfd calls a test answers: the kernel asks the test about each
// ioctl that takes memory, and the test lets it go on or has it fail
// (tests/support/denied_calls.h).
//
//   watched SOCKET PROGRAM ARGUMENTS…
//
// The descriptor at which the kernel asks goes to whoever listens at SOCKET.
#include <err.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <iterator>

#include "tests/support/send_fds.h"
#include "uffd/uapi.h"

namespace {

// Asks about ioctl(2) with one of these requests, which fit 32 bits; all else goes on unasked.
int install_filter() {
  constexpr auto kRequest = offsetof(seccomp_data, args) + sizeof(uint64_t);  // its low half
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 6),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kRequest),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(UFFDIO_ZEROPAGE), 3, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(uarena::uffd::kUffdioPoison), 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(UFFDIO_REGISTER), 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(UFFDIO_API), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{static_cast<unsigned short>(std::size(filter)), filter};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) err(1, "no_new_privs");
  const long fd =
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
  if (fd < 0) err(1, "seccomp");
  return static_cast<int>(fd);
}

void send_descriptor(const char* path, int fd) {
  const int to = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  if (::connect(to, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    err(1, "connect %s", path);
  if (!uarena::testing::send_fds(to, std::span(&fd, 1))) err(1, "sendmsg");
  ::close(to);
  ::close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) errx(2, "usage: watched SOCKET PROGRAM ARGUMENTS...");
  send_descriptor(argv[1], install_filter());
  ::execv(argv[2], argv + 2);
  err(127, "%s", argv[2]);
}
