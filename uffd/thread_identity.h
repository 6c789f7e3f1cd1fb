// Which thread faulted, and can a SIGSEGV reach it? A message names the thread by its id in the
// client's own pid namespace; to signal it we need its id in ours, and to know first whether the
// signal would be taken at all, because a thread that ignores or blocks SIGSEGV would fault and be
// told again forever. /proc/PID/task/TID/status says both. Of a thread that is known the file
// `stat` beside it says what can change, in less than half the time.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "ipc/base/fd.h"
#include "uffd/peer.h"

namespace uarena::uffd {

// The lines of a status file that matter here.
struct ThreadStatus {
  uint32_t innermost_tid = 0;   // last number of NSpid: the id that the thread itself sees
  uint32_t innermost_tgid = 0;  // last of NStgid; 1 is the init of its pid namespace
  bool sleeps = false;          // as in a fault: it neither runs nor is it stopped
  uid_t real_uid = 0;
  uid_t effective_uid = 0;
  uid_t saved_uid = 0;
  bool segv_pending = false;
  bool segv_blocked = false;
  bool segv_ignored = false;
  bool segv_caught = false;

  // False where the kernel would drop or keep the signal: blocked, ignored, or the init of a pid
  // namespace (which takes no signal that it has no handler for).
  bool takes_segv() const {
    return !segv_blocked && !segv_ignored && (innermost_tgid != 1 || segv_caught);
  }
  // kill(2)'s own rule: what the peer may do to that thread we may do for it, and nothing else.
  bool may_be_signalled_by(uid_t uid) const {
    return uid == 0 || uid == real_uid || uid == saved_uid;
  }
};

// Empty when a line is missing: not the status file of a kernel that we know.
std::optional<ThreadStatus> parse_status(std::string_view text);
// What a `stat` file says of a thread whose status was `known`: all but its ids and uids. Empty
// when it is none.
std::optional<ThreadStatus> parse_stat(std::string_view text, const ThreadStatus& known);

struct ClientThread {
  pid_t tid = 0;  // in our pid namespace
  ThreadStatus status;
  Fd pidfd;      // of the thread (PIDFD_THREAD), so that a signal can't reach anyone else
  Fd directory;  // of the thread, as the file: they are nobody else's when the thread has ended
  Fd stat_file;
};

// The status now of a thread of the peer; empty when it has ended. Its uids are read again unless
// the peer is root, to whom they do not matter, or its directory belongs to the effective one as
// before: it does not once the thread has changed that, or runs a program with other rights.
std::optional<ThreadStatus> status_now(const Peer& peer, const ClientThread& thread);

// Empty when the peer is gone or none of its threads has that id (it may belong to a process that
// merely shares the memory). Reads about three files where broker and client are in the same pid
// namespace; at most kMaxThreadsSearched more where they are not and the kernel can't translate.
inline constexpr unsigned kMaxThreadsSearched = 1024;
std::optional<ClientThread> find_thread(const Peer& peer, uint32_t ptid);

// Whether the peer's threads have the same ids for themselves as for us. A process never changes
// its pid namespace. False also when it can't be told.
bool in_our_pid_namespace(const Peer& peer);

}  // namespace uarena::uffd
