// What the tests of this room share: socket pairs, descriptor counts and sample messages.
#pragma once

#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <string>
#include <utility>

#include "ipc/base/fd.h"

namespace uarena::ipc::testing {

inline std::pair<Fd, Fd> socket_pair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) std::abort();
  return {Fd(fds[0]), Fd(fds[1])};
}

inline Fd memory_file(size_t size = 0) {
  Fd fd(::memfd_create("ipc-test", MFD_CLOEXEC));
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(size)) < 0) std::abort();
  return fd;
}

// How many descriptors this process has open.
inline int open_fds() {
  DIR* dir = ::opendir("/proc/self/fd");
  int count = 0;
  while (::readdir(dir) != nullptr) ++count;
  ::closedir(dir);
  return count - 3;  // ".", ".." and the directory itself
}

inline bool same_file(int a, int b) {
  struct stat sa{}, sb{};
  return ::fstat(a, &sa) == 0 && ::fstat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
         sa.st_ino == sb.st_ino;
}

}  // namespace uarena::ipc::testing
