// One system call per record; see scm_rights.h for why descriptors are owned before anything
// else is looked at.
#include "ipc/scm_rights.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <memory>

#include "ipc/abi.h"
#include "ipc/close_untrusted.h"

namespace uarena::ipc {
namespace {

constexpr size_t kControlSize = CMSG_SPACE(UARENA_MAX_FDS * sizeof(int));
// Room for as many as one record can carry (SCM_MAX_FD). What does not fit, the kernel closes, in
// the thread that receives, and that may take its time (close_untrusted.h).
constexpr size_t kReceivedControlSize = CMSG_SPACE(253 * sizeof(int)) + CMSG_SPACE(sizeof(ucred));

// A record's size is known only after it has been received; receiving into one buffer per thread
// and copying out costs less than clearing 128 KiB for each of many small records.
std::byte* receive_buffer() {
  thread_local const std::unique_ptr<std::byte[]> buffer =
      std::make_unique_for_overwrite<std::byte[]>(UARENA_MAX_RECORD);
  return buffer.get();
}

RecordFds take_fds(const msghdr& message) {
  std::vector<Fd> fds;
  for (cmsghdr* control = CMSG_FIRSTHDR(&message); control != nullptr;
       control = CMSG_NXTHDR(const_cast<msghdr*>(&message), control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof fd);
      fds.emplace_back(fd);
    }
  }
  return RecordFds::received(std::move(fds));
}

Result<Record> receive(int socket, int flags) {
  std::byte* buffer = receive_buffer();
  alignas(cmsghdr) std::array<std::byte, kReceivedControlSize> control;
  iovec vector{buffer, UARENA_MAX_RECORD};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();

  ssize_t received;
  do {
    received = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | flags);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return fail_errno(errno, "cannot receive a record");

  Record record;
  record.fds = take_fds(message);
  if ((message.msg_flags & MSG_CTRUNC) != 0 || record.fds.size() > UARENA_MAX_FDS)
    return fail(EPROTO,
                "descriptors of a record were lost: at most {} are allowed, and this process must "
                "be able to open them",
                UARENA_MAX_FDS);
  if (message.msg_flags & MSG_TRUNC)
    return fail(EMSGSIZE, "a record is larger than the {} bytes that are allowed",
                UARENA_MAX_RECORD);
  if (received == 0) return fail(kEndOfFile, "the peer has closed the connection");
  record.bytes.assign(buffer, buffer + received);
  return record;
}

// Takes a record without its bytes out of the socket; what came with them has to be received, to be
// closed where it makes nobody wait. Whether any control data came.
bool drop(int socket) {
  alignas(cmsghdr) std::array<std::byte, kReceivedControlSize> control;
  msghdr message{};
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t received;
  do {
    received = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (received < 0 && errno == EINTR);
  if (received < 0 || message.msg_controllen == 0) return false;
  [[maybe_unused]] const RecordFds closed = take_fds(message);
  return true;
}

ssize_t send_with(int socket, std::span<const std::byte> bytes, std::span<const int> fds,
                  int flags) {
  iovec vector{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<std::byte, kControlSize> control{};
  message.msg_control = control.data();
  message.msg_controllen = CMSG_SPACE(fds.size_bytes());
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(fds.size_bytes());
  std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  return ::sendmsg(socket, &message, flags);
}

int flags_of(Wait wait) { return wait == Wait::no ? MSG_DONTWAIT : 0; }

}  // namespace

Result<Record> receive_record(int socket, Wait wait) { return receive(socket, flags_of(wait)); }

Result<Record> peek_record(int socket, Wait wait) {
  return receive(socket, flags_of(wait) | MSG_PEEK);
}

void drop_record(int socket) { drop(socket); }

// The end and an empty record are alike, but a record comes with its sender's credentials, if one
// asks for them: also a record that was there before.
size_t receive_the_rest(int socket) {
  const int on = 1;
  // What was inherited in a damaged state may be no socket at all.
  if (::setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) return 0;
  size_t count = 0;
  while (drop(socket)) ++count;
  return count;
}

Result<void> send_record(int socket, std::span<const std::byte> bytes, std::span<const int> fds,
                         Wait wait) {
  UARENA_ASSERT(!bytes.empty() && bytes.size() <= UARENA_MAX_RECORD, "{} bytes", bytes.size());
  UARENA_ASSERT(fds.size() <= UARENA_MAX_FDS, "{} descriptors", fds.size());

  const int flags = MSG_NOSIGNAL | flags_of(wait);
  ssize_t sent;
  do {
    sent = fds.empty() ? ::send(socket, bytes.data(), bytes.size(), flags)
                       : send_with(socket, bytes, fds, flags);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0)
    return fail_errno(errno, "cannot send a record of {} bytes with {} descriptors", bytes.size(),
                      fds.size());
  return {};
}

Result<void> send_record(int socket, const Record& record, Wait wait) {
  std::array<int, UARENA_MAX_FDS> fds;
  UARENA_ASSERT(record.fds.size() <= fds.size(), "{} descriptors", record.fds.size());
  for (size_t i = 0; i < record.fds.size(); ++i) fds[i] = record.fds[i].get();
  return send_record(socket, record.bytes, std::span(fds).first(record.fds.size()), wait);
}

}  // namespace uarena::ipc
