#include "tests/support/broker_process.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace uarena::testing {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

int left_ms(Clock::time_point end) {
  const auto left = std::chrono::duration_cast<milliseconds>(end - Clock::now()).count();
  return left > 0 ? static_cast<int>(left) : 0;
}

Fd pidfd_of(pid_t pid) { return Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

// Waits for the end of a child; its status as from waitpid, or -1 after the limit.
int reap(pid_t pid, const Fd& pidfd, milliseconds limit) {
  pollfd event{pidfd.get(), POLLIN, 0};
  const auto end = Clock::now() + limit;
  int ready;
  do {
    ready = ::poll(&event, 1, left_ms(end));
  } while (ready < 0 && errno == EINTR);
  if (ready <= 0) return -1;
  int status = -1;
  return ::waitpid(pid, &status, 0) == pid ? status : -1;
}

struct Pipe {
  Fd read, write;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
};

// fork and exec; `in`, `out`, `err` become the standard descriptors where they are given.
pid_t spawn(const std::vector<std::string>& argv, const std::vector<std::string>& environment,
            uid_t uid, int in, int out, int err) {
  std::vector<char*> args;
  for (const std::string& a : argv) args.push_back(const_cast<char*>(a.c_str()));
  args.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  if (in >= 0) ::dup2(in, 0);
  if (out >= 0) ::dup2(out, 1);
  if (err >= 0) ::dup2(err, 2);
  if (uid != 0 && (::setgroups(0, nullptr) != 0 || ::setresgid(uid, uid, uid) != 0 ||
                   ::setresuid(uid, uid, uid) != 0))
    ::_exit(126);
  for (const std::string& e : environment) ::putenv(const_cast<char*>(e.c_str()));
  ::execv(args[0], args.data());
  ::_exit(127);
}

// Appends what there is to `text`; false at the end of the pipe or after the limit.
bool read_some(int fd, std::string& text, Clock::time_point end) {
  pollfd event{fd, POLLIN, 0};
  const int ready = ::poll(&event, 1, left_ms(end));
  if (ready < 0 && errno == EINTR) return true;
  if (ready <= 0) return false;
  char block[16384];
  const ssize_t n = ::read(fd, block, sizeof(block));
  if (n <= 0) return n < 0 && (errno == EINTR || errno == EAGAIN);
  text.append(block, static_cast<size_t>(n));
  return true;
}

// With the one capability that its service has.
std::vector<std::string> as_a_service(uid_t uid) {
  const std::string number = std::to_string(uid);
  return {"/usr/bin/setpriv", "--reuid",    number,       "--regid",        number,
          "--clear-groups",   "--inh-caps", "-all,+kill", "--ambient-caps", "-all,+kill"};
}

}  // namespace

uid_t service_uid() {
  const char* text = std::getenv("UARENA_TEST_BROKER_UID");
  return text == nullptr ? ::geteuid() : static_cast<uid_t>(std::stoul(text));
}

TempDir::TempDir() {
  std::string pattern = (fs::temp_directory_path() / "uarena-test-XXXXXX").string();
  const char* made = ::mkdtemp(pattern.data());
  if (made == nullptr) std::abort();
  path_ = made;
  if (service_uid() != ::geteuid() && ::chown(made, service_uid(), service_uid()) != 0)
    std::abort();
}

TempDir::~TempDir() {
  std::error_code ignored;  // a test that fails to clean up here has nobody left to tell
  fs::remove_all(path_, ignored);
}

BrokerProcess::BrokerProcess(std::vector<std::string> extra_arguments, uid_t uid,
                             std::vector<std::string> launcher)
    : socket_(dir_.path() + "/uarena.sock") {
  ::chmod(dir_.path().c_str(), 0755);
  if (uid != 0 && ::chown(dir_.path().c_str(), uid, uid) != 0) std::abort();
  if (uid == 0 && launcher.empty() && service_uid() != ::geteuid())
    launcher = as_a_service(service_uid());
  Pipe err;
  std::vector<std::string> argv = std::move(launcher);
  for (const std::string& word : {std::string(UARENA_BIN_DIR) + "/uarenad", std::string("--socket"),
                                  socket_, std::string("--socket-mode"), std::string("666")})
    argv.push_back(word);
  argv.insert(argv.end(), extra_arguments.begin(), extra_arguments.end());
  pid_ = spawn(argv, {}, uid, -1, -1, err.write.get());
  err.write.reset();
  stderr_ = std::move(err.read);
  ::fcntl(stderr_.get(), F_SETFL, O_NONBLOCK);
  ::fcntl(stderr_.get(), F_SETPIPE_SZ, 1 << 20);  // a test may read rarely
  if (!wait_for_log("event=daemon.ready", std::chrono::seconds(30)))
    throw std::runtime_error("uarenad did not become ready:\n" + log_);
}

BrokerProcess::~BrokerProcess() {
  if (pid_ > 0 && stop() == -1) {
    std::fprintf(stderr, "uarenad did not end on SIGTERM:\n%s\n", log_.c_str());
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    std::abort();  // a destructor has no other way to fail a test
  }
}

bool BrokerProcess::alive() const {
  siginfo_t info{};
  return pid_ > 0 &&
         ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == 0;
}

Resources BrokerProcess::resources() const {
  Resources r;
  const std::string proc = "/proc/" + std::to_string(pid_);
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(proc + "/fd")) ++r.descriptors;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(proc + "/task")) ++r.threads;
  std::ifstream maps(proc + "/maps");
  for (std::string line; std::getline(maps, line);) {
    unsigned long start = 0, end = 0;
    std::sscanf(line.c_str(), "%lx-%lx", &start, &end);
    if (line.find("/memfd:") != std::string::npos || end - start >= (1ul << 30)) ++r.mappings;
  }
  return r;
}

std::string BrokerProcess::log() {
  while (read_some(stderr_.get(), log_, Clock::now())) {
  }
  return log_;
}

bool BrokerProcess::wait_for_log(const std::string& text, milliseconds limit) {
  const auto end = Clock::now() + limit;
  while (log_.find(text) == std::string::npos)
    if (!read_some(stderr_.get(), log_, end)) return log_.find(text) != std::string::npos;
  return true;
}

// Not more than before; less is what is still closing when the first count was taken.
static bool within(const Resources& now, const Resources& before) {
  return now.descriptors <= before.descriptors && now.mappings <= before.mappings &&
         now.threads <= before.threads;
}

bool BrokerProcess::wait_until_alone(milliseconds limit) {
  const auto count = [this](std::string_view text) {
    size_t n = 0;
    for (size_t at = 0; (at = log_.find(text, at)) != std::string::npos; at += text.size()) ++n;
    return n;
  };
  const auto end = Clock::now() + limit;
  log();
  while (count("event=client.connected") != count("event=client.gone"))
    if (!read_some(stderr_.get(), log_, end)) return false;
  // A client's run channels are closed by runners, of which there is no line: until nothing
  // changes.
  Resources seen = resources();
  for (int same = 0; same < 10 && Clock::now() < end; ++same) {
    ::poll(nullptr, 0, 2);
    const Resources now = resources();
    if (now != seen) same = 0;
    seen = now;
  }
  return true;
}

bool BrokerProcess::wait_for_resources(const Resources& expected, milliseconds limit) const {
  const auto end = Clock::now() + limit;
  // The kernel has no event for "that process closed something", so this looks every few ms.
  while (!within(resources(), expected)) {
    if (Clock::now() >= end) return false;
    ::poll(nullptr, 0, 2);
  }
  return true;
}

int BrokerProcess::stop() {
  if (pid_ <= 0) return -1;
  ::kill(pid_, SIGTERM);
  const int status = reap(pid_, pidfd_of(pid_), std::chrono::seconds(15));
  if (status != -1) {
    log();
    pid_ = -1;
  }
  return status;
}

ChildProcess::ChildProcess(std::vector<std::string> argv, std::vector<std::string> environment,
                           uid_t uid) {
  Pipe in, out;
  pid_ = spawn(argv, environment, uid, in.read.get(), out.write.get(), -1);
  pidfd_ = pidfd_of(pid_);
  stdin_ = std::move(in.write);
  stdout_ = std::move(out.read);
}

ChildProcess::~ChildProcess() {
  if (status_ == -1 && pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
}

void ChildProcess::write_line(const std::string& line) {
  const std::string text = line + "\n";
  // The child may have ended already: that shows in what it answers.
  struct sigaction ignore{}, before{};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, &before);
  [[maybe_unused]] const ssize_t n = ::write(stdin_.get(), text.data(), text.size());
  ::sigaction(SIGPIPE, &before, nullptr);
}

std::string ChildProcess::read_line(milliseconds limit) {
  const auto end = Clock::now() + limit;
  size_t newline;
  while ((newline = buffer_.find('\n')) == std::string::npos)
    if (!read_some(stdout_.get(), buffer_, end)) return std::exchange(buffer_, "");
  std::string line = buffer_.substr(0, newline);
  buffer_.erase(0, newline + 1);
  return line;
}

std::string ChildProcess::read_bytes(size_t count, milliseconds limit) {
  const auto end = Clock::now() + limit;
  while (buffer_.size() < count && read_some(stdout_.get(), buffer_, end)) {
  }
  const std::string bytes = buffer_.substr(0, count);
  buffer_.erase(0, bytes.size());
  return bytes;
}

std::string ChildProcess::read_all(milliseconds limit) {
  const auto end = Clock::now() + limit;
  while (read_some(stdout_.get(), buffer_, end)) {
  }
  return std::exchange(buffer_, "");
}

int ChildProcess::wait(milliseconds limit) {
  if (status_ == -1) status_ = reap(pid_, pidfd_, limit);
  return status_;
}

void ChildProcess::kill(int signal) { ::kill(pid_, signal); }

int RunOutput::exit_code() const { return WIFEXITED(status) ? WEXITSTATUS(status) : -1; }

RunOutput run_command(const std::vector<std::string>& argv, const std::string& input, uid_t uid) {
  // Files, not pipes: whatever the command writes, it can't fill up.
  TempDir dir;
  const std::string in = dir.path() + "/in";
  std::ofstream(in) << input;
  Fd in_fd(::open(in.c_str(), O_RDONLY | O_CLOEXEC));
  Fd out_fd(::open((dir.path() + "/out").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  Fd err_fd(::open((dir.path() + "/err").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const pid_t pid = spawn(argv, {}, uid, in_fd.get(), out_fd.get(), err_fd.get());
  RunOutput result;
  result.status = reap(pid, pidfd_of(pid), std::chrono::seconds(60));
  if (result.status == -1) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    throw std::runtime_error(argv[0] + " did not end within 60 s");
  }
  const auto content = [](const std::string& path) {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  result.out = content(dir.path() + "/out");
  result.err = content(dir.path() + "/err");
  return result;
}

}  // namespace uarena::testing
