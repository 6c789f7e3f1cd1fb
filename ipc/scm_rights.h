// A record and its descriptors travel together or not at all. On a SOCK_SEQPACKET socket one
// recvmsg(2) is one record; the kernel cuts what does not fit and says so only in msg_flags, after
// it has installed some of the descriptors. Here every descriptor that arrives is owned at once,
// and a record that was cut is an error that closes what came with it.
//
// Threads: any; two threads on one socket interleave whole records. EINTR never comes out.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ipc/base/fd.h"
#include "ipc/base/result.h"
#include "ipc/close_untrusted.h"

namespace uarena::ipc {

struct Record {
  std::vector<std::byte> bytes;
  RecordFds fds;
};

enum class Wait { yes, no };

// The code of receive_record's error when the peer has closed; no error of a socket uses it. An
// empty record counts as the end, too: the kernel shows both alike, and no message is empty.
inline constexpr int kEndOfFile = ENODATA;

// The next record, up to UARENA_MAX_RECORD bytes and UARENA_MAX_FDS descriptors (close-on-exec).
// EAGAIN: none there (Wait::no, or the socket is non-blocking). kEndOfFile: see above. EMSGSIZE:
// the record was larger. EPROTO: descriptors were lost: too many, or this process has too many
// open. Others: as recvmsg(2).
Result<Record> receive_record(int socket, Wait wait = Wait::yes);

// The same, and the record stays in the socket until drop_record() takes it out: whoever dies in
// between leaves it to the next who reads there. Its descriptors are duplicates.
Result<Record> peek_record(int socket, Wait wait = Wait::yes);
void drop_record(int socket);

// Reads and drops what is left in a socket that nobody will read any more, and is shut down:
// descriptors in it are closed where it makes nobody wait. Returns the number of records.
size_t receive_the_rest(int socket);

// Sends all of it or nothing. `bytes` has 1..UARENA_MAX_RECORD bytes, `fds` at most UARENA_MAX_FDS
// open descriptors, which stay the caller's. EAGAIN: no room (Wait::no). EPIPE: the peer is gone
// (no SIGPIPE is raised). Others: as sendmsg(2).
Result<void> send_record(int socket, std::span<const std::byte> bytes,
                         std::span<const int> fds = {}, Wait wait = Wait::yes);
Result<void> send_record(int socket, const Record& record, Wait wait = Wait::yes);

}  // namespace uarena::ipc
