// A client that keeps the memory lock (mmap_lock) of its own process for as long as a test likes,
// as any user can: it unmaps a dirty page of a file in a FUSE file system of its own, and the
// kernel writes the page back with the lock held, waiting for a server that does not answer.
//
//   lock_holder SOCKET ARENA_ID USER_VM_START PAGES DIRECTORY
//
// It attaches but for ATTACH_READY, prints "attached", then does what it reads, a word per line,
// and answers each with "ok" when it is done:
//   ready     sends ATTACH_READY and does not wait for the answer
//   answer    waits for that answer, which must be good
//   ready-file the same with a descriptor of the FUSE file, whose server is stopped first
//   refused   waits for that answer, which must be EBADF
//   end-server the FUSE file system is gone, and what waited for it goes on
//   lock      takes the lock and returns when it is held
//   lock-arena the same, and the arena's mapping is locked, too: it maps something over the dirty
//             page and the arena's last one
//   touch     a thread touches page 5, and nobody waits for it
//   fault     a thread that blocks SIGSEGV touches page 5; done when it got a SIGBUS for it
//   shutdown  ends the connection
//   release   the lock is free again
// While it has the lock it must not need memory, so all it uses is there before.
#define FUSE_USE_VERSION 31
#include <err.h>
#include <fuse_lowlevel.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>

#include "tests/support/raw_client.h"

namespace {

using namespace uarena;
using testing::RawClient;

constexpr fuse_ino_t kRoot = 1, kFile = 2;
constexpr off_t kFileBytes = 1 << 16;
int write_came;  // where the server says so

struct stat attributes_of(fuse_ino_t ino) {
  struct stat attributes{};
  attributes.st_ino = ino;
  attributes.st_nlink = 1;
  attributes.st_mode = ino == kRoot ? S_IFDIR | 0755 : S_IFREG | 0666;
  attributes.st_size = ino == kRoot ? 0 : kFileBytes;
  return attributes;
}

void lookup(fuse_req_t request, fuse_ino_t, const char* name) {
  if (std::strcmp(name, "file") != 0) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  fuse_entry_param entry{};
  entry.ino = kFile;
  entry.attr = attributes_of(kFile);
  fuse_reply_entry(request, &entry);
}

void getattr(fuse_req_t request, fuse_ino_t ino, fuse_file_info*) {
  const struct stat attributes = attributes_of(ino);
  fuse_reply_attr(request, &attributes, 1000);
}

void open_file(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  fuse_reply_open(request, info);
}

void read_file(fuse_req_t request, fuse_ino_t, size_t size, off_t, fuse_file_info*) {
  const std::string zeros(size, '\0');
  fuse_reply_buf(request, zeros.data(), zeros.size());
}

// Never answered.
void write_file(fuse_req_t, fuse_ino_t, const char*, size_t, off_t, fuse_file_info*) {
  if (::write(write_came, "w", 1) != 1) ::_exit(1);
}

[[noreturn]] void serve(const std::string& directory, int mounted) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  char name[] = "lock_holder";
  char* arguments[] = {name, nullptr};
  fuse_args args = FUSE_ARGS_INIT(1, arguments);
  fuse_lowlevel_ops operations{};
  operations.lookup = lookup;
  operations.getattr = getattr;
  operations.open = open_file;
  operations.read = read_file;
  operations.write = write_file;
  fuse_session* session = fuse_session_new(&args, &operations, sizeof operations, nullptr);
  if (session == nullptr || fuse_session_mount(session, directory.c_str()) != 0)
    errx(1, "cannot mount");
  if (::write(mounted, "m", 1) != 1) err(1, "mounted");
  fuse_session_loop(session);
  ::_exit(0);
}

void expect_byte(int fd, const char* what) {
  char byte;
  if (::read(fd, &byte, 1) != 1) err(1, "%s", what);
}

struct Pipe {
  Pipe() {
    if (::pipe2(ends, O_CLOEXEC) != 0) err(1, "pipe");
  }
  void tell() const {
    if (::write(ends[1], "x", 1) != 1) err(1, "pipe");
  }
  void wait(const char* what) const { expect_byte(ends[0], what); }
  int ends[2];
};

const Pipe sigbus_came;

class LockHolder {
 public:
  LockHolder(char** argv)
      : client_(argv[1]), arena_(std::strtoull(argv[2], nullptr, 10)), directory_(argv[5]) {
    info_.user_vm_start = std::strtoull(argv[3], nullptr, 0);
    info_.max_entries = static_cast<uint32_t>(std::strtoul(argv[4], nullptr, 10));
    map_fuse_file();
    if (!client_.hello()) errx(1, "hello");
    auto attached = client_.attach(arena_);
    if (!attached) errx(1, "attach: %s", attached.error().error.message.c_str());
    mapping_.emplace(attached->fds.at(0).get(), info_);
    uarena_attach_ready ready{};
    ready.arena_id = arena_;
    ready_ = ipc::make_request(UARENA_MSG_ATTACH_READY, 99, ready);
    ready_.fds.push_back(RawClient::userfaultfd());
    std::thread([this] {
      lock_.wait("lock");
      // A munmap gives up the write lock before the write-back; what maps something else there
      // does not.
      if (with_arena_)
        ::mmap(static_cast<char*>(dirty_) - kPageSize, 2 * kPageSize, PROT_NONE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
      else
        ::munmap(dirty_, kPageSize);
      unlocked_.tell();
    }).detach();
    std::thread([this] {
      sigset_t segv;
      ::sigemptyset(&segv);
      ::sigaddset(&segv, SIGSEGV);
      ::pthread_sigmask(SIG_BLOCK, &segv, nullptr);
      struct sigaction action{};
      action.sa_handler = [](int) {
        sigbus_came.tell();
        for (;;) ::pause();
      };
      ::sigaction(SIGBUS, &action, nullptr);
      fault_.wait("fault");
      mapping_->page(5)[0] = 1;
    }).detach();
  }

  void obey(const std::string& word) {
    if (word == "ready") {
      client_.send(ready_);
    } else if (word == "ready-file") {
      ::kill(server_, SIGSTOP);
      ready_.fds.clear();
      ready_.fds.push_back(file_.dup());
      client_.send(ready_);
    } else if (word == "answer") {
      auto armed = answer_to_ready();
      if (!armed) errx(1, "ready: %s", armed.error().error.message.c_str());
    } else if (word == "end-server") {
      ::kill(server_, SIGKILL);  // its last descriptor of the connection aborts what waits
    } else if (word == "refused") {
      auto armed = answer_to_ready();
      if (armed || armed.error().error.code != EBADF) errx(1, "it was not refused");
    } else if (word == "lock" || word == "lock-arena") {
      with_arena_ = word == "lock-arena";
      lock_.tell();
      expect_byte(write_came_[0], "the write-back");
    } else if (word == "touch") {
      fault_.tell();
    } else if (word == "fault") {
      fault_.tell();
      expect_byte(sigbus_came.ends[0], "a SIGBUS");
    } else if (word == "shutdown") {
      ::shutdown(client_.fd(), SHUT_RDWR);
    } else if (word == "release") {
      ::kill(server_, SIGKILL);
      unlocked_.wait("unlocked");
    } else {
      errx(2, "what is %s?", word.c_str());
    }
  }

 private:
  std::expected<ipc::Reply<uarena_empty>, ipc::Refusal> answer_to_ready() {
    auto answer = client_.receive();
    if (!answer) errx(1, "the broker has closed the connection");
    return ipc::decode_reply_untrusted<uarena_empty>(std::move(*answer), UARENA_MSG_ATTACH_READY,
                                                     99);
  }
  // In a mount namespace of our own, so that nothing is left mounted however we end.
  void map_fuse_file() {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr))
      err(1, "a mount namespace");
    if (::pipe2(write_came_, O_CLOEXEC) != 0) err(1, "pipe");
    write_came = write_came_[1];
    const Pipe mounted;
    server_ = ::fork();
    if (server_ < 0) err(1, "fork");
    if (server_ == 0) serve(directory_, mounted.ends[1]);
    mounted.wait("mounted");
    file_.reset(::open((directory_ + "/file").c_str(), O_RDWR | O_CLOEXEC));
    // Right behind the arena, for lock-arena.
    dirty_ =
        ::mmap(reinterpret_cast<void*>(info_.user_vm_start + info_.max_entries * kPageSize),
               kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, file_.get(), 0);
    if (!file_ || dirty_ == MAP_FAILED) err(1, "%s/file", directory_.c_str());
    *static_cast<volatile char*>(dirty_) = 1;
  }

  RawClient client_;
  uint64_t arena_;
  std::string directory_;
  std::atomic<bool> with_arena_{false};
  uarena_arena_info info_{};
  std::optional<testing::ArenaMapping> mapping_;
  ipc::Record ready_;
  pid_t server_ = -1;
  Fd file_;  // closing it would write back, too
  void* dirty_ = nullptr;
  int write_came_[2];
  Pipe lock_, fault_, unlocked_;
};

// Line by line without stdio, which may want memory.
std::string next_word() {
  std::string word;  // short: no allocation
  char c;
  while (::read(STDIN_FILENO, &c, 1) == 1 && c != '\n') word += c;
  return word;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) errx(2, "usage: lock_holder SOCKET ARENA_ID USER_VM_START PAGES DIRECTORY");
  static LockHolder holder(argv);
  const auto say = [](std::string_view text) {
    if (::write(STDOUT_FILENO, text.data(), text.size()) < 0) ::_exit(1);
  };
  say("attached\n");
  for (std::string word = next_word(); !word.empty(); word = next_word()) {
    holder.obey(word);
    say("ok\n");
  }
  ::_exit(0);
}
