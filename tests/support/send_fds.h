// Descriptors on their way to another process beside one byte, as many as wanted: what is ours to
// send goes through ipc/scm_rights.h, and is limited.
#pragma once

#include <sys/socket.h>

#include <cstring>
#include <span>
#include <vector>

namespace uarena::testing {

// False: errno says why.
inline bool send_fds(int socket, std::span<const int> fds) {
  char byte = 1;
  iovec part{&byte, 1};
  std::vector<char> control(CMSG_SPACE(fds.size_bytes()));
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(fds.size_bytes());
  std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  return ::sendmsg(socket, &message, MSG_NOSIGNAL) == 1;
}

}  // namespace uarena::testing
