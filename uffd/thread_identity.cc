#include "uffd/thread_identity.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <csignal>
#include <memory>

#include "uffd/uapi.h"

namespace uarena::uffd {
namespace {

constexpr uint64_t kSegvBit = uint64_t{1} << (SIGSEGV - 1);

// NS_GET_PID_FROM_PIDNS (6.11): the caller's name for a thread of another pid namespace.
constexpr unsigned long kGetPidFromPidns = _IOR(0xb7, 0x6, int);

// What follows "Key:\t" up to the end of the line.
std::optional<std::string_view> line_of(std::string_view text, std::string_view key) {
  for (size_t at = text.find(key); at != text.npos; at = text.find(key, at + 1)) {
    if (at != 0 && text[at - 1] != '\n') continue;
    const std::string_view rest = text.substr(at + key.size());
    return rest.substr(0, rest.find('\n'));
  }
  return std::nullopt;
}

// The number in column `index` (from 0; -1: the last one) of a line of numbers.
template <typename T>
std::optional<T> column(std::optional<std::string_view> line, int index, int base = 10) {
  if (!line) return std::nullopt;
  std::optional<T> value;
  const char* at = line->data();
  const char* const end = at + line->size();
  for (int i = 0; at != end; ++at) {
    if (*at == ' ' || *at == '\t') continue;
    T number{};
    const auto [next, error] = std::from_chars(at, end, number, base);
    if (error != std::errc{}) return std::nullopt;
    value = number;
    if (i++ == index) return value;
    if (next == end) break;
    at = next;
  }
  return index < 0 ? value : std::nullopt;
}

bool asleep(char state) { return state == 'S' || state == 'D'; }

bool alive(int pidfd) {
  if (pidfd < 0) return false;  // poll(2) passes over it, which looks the same as alive
  pollfd poll_fd{pidfd, POLLIN, 0};
  return ::poll(&poll_fd, 1, 0) == 0;
}

using StatusText = std::array<char, 8192>;

std::optional<std::string_view> read_text(const Fd& file, StatusText& text) {
  const ssize_t size = ::pread(file.get(), text.data(), text.size(), 0);
  if (size <= 0) return std::nullopt;
  return std::string_view(text.data(), static_cast<size_t>(size));
}

std::optional<ThreadStatus> read_status(const Fd& directory) {
  const Fd file(::openat(directory.get(), "status", O_RDONLY | O_CLOEXEC));
  StatusText buffer;
  const auto text = read_text(file, buffer);
  return text ? parse_status(*text) : std::nullopt;
}

bool has_uids_as_before(const ClientThread& thread) {
  struct stat owner{};
  return thread.status.effective_uid != 0 && ::fstat(thread.directory.get(), &owner) == 0 &&
         owner.st_uid == thread.status.effective_uid;
}

// The thread of this number in our namespace, if it is the one that sees itself as `ptid`.
std::optional<ClientThread> check_thread(int task_directory, const char* tid, uint32_t ptid) {
  ClientThread found;
  found.directory.reset(::openat(task_directory, tid, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!found.directory) return std::nullopt;
  const auto status = read_status(found.directory);
  if (!status || status->innermost_tid != ptid) return std::nullopt;
  found.stat_file.reset(::openat(found.directory.get(), "stat", O_RDONLY | O_CLOEXEC));
  found.tid = static_cast<pid_t>(std::strtol(tid, nullptr, 10));
  found.status = *status;
  return found;
}

std::optional<ClientThread> same_namespace(int task_directory, uint32_t ptid) {
  return check_thread(task_directory, fmt::format("{}", ptid).c_str(), ptid);
}

// Needs the right to look at the client's namespace (same uid or CAP_SYS_PTRACE).
std::optional<ClientThread> translated_by_kernel(int task_directory, pid_t pid, uint32_t ptid) {
  Fd space(::open(fmt::format("/proc/{}/ns/pid", pid).c_str(), O_RDONLY | O_CLOEXEC));
  if (!space) return std::nullopt;
  const int tid = ::ioctl(space.get(), kGetPidFromPidns, static_cast<unsigned long>(ptid));
  if (tid <= 0) return std::nullopt;
  return check_thread(task_directory, fmt::format("{}", tid).c_str(), ptid);
}

std::optional<ClientThread> searched(int task_directory, uint32_t ptid) {
  // A description of its own: reading a directory moves its offset.
  Fd copy(::openat(task_directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::unique_ptr<DIR, int (*)(DIR*)> entries(copy ? ::fdopendir(copy.get()) : nullptr, ::closedir);
  if (!entries) return std::nullopt;
  copy.release();
  for (unsigned i = 0; i < kMaxThreadsSearched;) {
    const dirent* entry = ::readdir(entries.get());
    if (entry == nullptr) break;
    if (entry->d_name[0] == '.') continue;
    if (auto found = check_thread(task_directory, entry->d_name, ptid)) return found;
    ++i;
  }
  return std::nullopt;
}

}  // namespace

// "TID (NAME) STATE …": the name may have anything in it. Signals are the fields 31 to 34, the
// first 31 of each kind.
std::optional<ThreadStatus> parse_stat(std::string_view text, const ThreadStatus& known) {
  const size_t name_end = text.rfind(')');
  if (name_end == text.npos || text.size() < name_end + 4) return std::nullopt;
  std::string_view rest = text.substr(name_end + 2);
  for (int field = 3; field < 31; ++field) {
    const size_t space = rest.find(' ');
    if (space == rest.npos) return std::nullopt;
    rest.remove_prefix(space + 1);
  }
  const auto pending = column<uint64_t>(rest, 0), blocked = column<uint64_t>(rest, 1);
  const auto ignored = column<uint64_t>(rest, 2), caught = column<uint64_t>(rest, 3);
  if (!pending || !blocked || !ignored || !caught) return std::nullopt;
  ThreadStatus now = known;
  now.sleeps = asleep(text[name_end + 2]);
  now.segv_pending = (*pending & kSegvBit) != 0;
  now.segv_blocked = (*blocked & kSegvBit) != 0;
  now.segv_ignored = (*ignored & kSegvBit) != 0;
  now.segv_caught = (*caught & kSegvBit) != 0;
  return now;
}

std::optional<ThreadStatus> parse_status(std::string_view text) {
  const auto state = line_of(text, "State:\t");
  const auto tid = column<uint32_t>(line_of(text, "NSpid:"), -1);
  const auto tgid = column<uint32_t>(line_of(text, "NStgid:"), -1);
  const auto real = column<uid_t>(line_of(text, "Uid:"), 0);
  const auto effective = column<uid_t>(line_of(text, "Uid:"), 1);
  const auto saved = column<uid_t>(line_of(text, "Uid:"), 2);
  const auto pending = column<uint64_t>(line_of(text, "SigPnd:"), 0, 16);
  const auto blocked = column<uint64_t>(line_of(text, "SigBlk:"), 0, 16);
  const auto ignored = column<uint64_t>(line_of(text, "SigIgn:"), 0, 16);
  const auto caught = column<uint64_t>(line_of(text, "SigCgt:"), 0, 16);
  if (!state || state->empty() || !tid || !tgid || !real || !effective || !saved || !pending ||
      !blocked || !ignored || !caught)
    return std::nullopt;
  return ThreadStatus{.innermost_tid = *tid,
                      .innermost_tgid = *tgid,
                      .sleeps = asleep(state->front()),
                      .real_uid = *real,
                      .effective_uid = *effective,
                      .saved_uid = *saved,
                      .segv_pending = (*pending & kSegvBit) != 0,
                      .segv_blocked = (*blocked & kSegvBit) != 0,
                      .segv_ignored = (*ignored & kSegvBit) != 0,
                      .segv_caught = (*caught & kSegvBit) != 0};
}

// NStgid has a column for each namespace from ours down to the process's own.
bool in_our_pid_namespace(const Peer& peer) {
  Fd process(::open(fmt::format("/proc/{}", peer.pid).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!process || !alive(peer.pidfd.get())) return false;
  StatusText buffer;
  const Fd file(::openat(process.get(), "status", O_RDONLY | O_CLOEXEC));
  const auto text = read_text(file, buffer);
  const auto line = text ? line_of(*text, "NStgid:") : std::nullopt;
  return column<pid_t>(line, 0) == peer.pid && !column<pid_t>(line, 1);
}

std::optional<ThreadStatus> status_now(const Peer& peer, const ClientThread& thread) {
  if (peer.uid != 0 && !has_uids_as_before(thread)) return read_status(thread.directory);
  StatusText buffer;
  const auto text = read_text(thread.stat_file, buffer);
  return text ? parse_stat(*text, thread.status) : std::nullopt;
}

std::optional<ClientThread> find_thread(const Peer& peer, uint32_t ptid) {
  // An open directory of /proc stays with its process. If the peer is alive after it was opened,
  // the pid was the peer's then, and all that is read through the directory is the peer's.
  Fd tasks(
      ::open(fmt::format("/proc/{}/task", peer.pid).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!tasks || !alive(peer.pidfd.get())) return std::nullopt;
  auto found = same_namespace(tasks.get(), ptid);
  if (!found) found = translated_by_kernel(tasks.get(), peer.pid, ptid);
  if (!found) found = searched(tasks.get(), ptid);
  if (!found) return std::nullopt;
  // The same again for the thread: a descriptor first, then a look whether it is still there.
  found->pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, found->tid, PIDFD_THREAD)));
  const auto name = fmt::format("{}", found->tid);
  if (!found->pidfd || ::faccessat(tasks.get(), name.c_str(), F_OK, 0) != 0) return std::nullopt;
  return found;
}

}  // namespace uarena::uffd
