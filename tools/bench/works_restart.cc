// How long a service manager waits for a successor: from the moment that it begins the process
// until READY=1, by which time everything that the predecessor had is there again and served. Ours
// takes over 1,000 arenas and 64 clients with an attachment and a run channel each; the peer is a
// process that is passed the same descriptors, and says that it is ready.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <thread>

#include "ipc/base/fd.h"
#include "tests/support/broker_process.h"
#include "tests/support/fake_manager.h"
#include "tools/bench/bench.h"
#include "uarena.h"

namespace uarena::bench {
namespace {

constexpr uint32_t kArenas = 1000;
constexpr uint32_t kPagesOfArena = 16;
constexpr uint32_t kClients = 64;
constexpr std::chrono::seconds kLimit{60};
constexpr int kFirstPassed = 3;  // SD_LISTEN_FDS_START

// Everything that the manager keeps for the service, by its names.
using Kept = std::map<std::string, Fd>;

// A child with these descriptors from 3 on, and their names. Between fork and exec there are only
// system calls on what was made before.
template <typename Body>
pid_t start(const Kept& kept, const Body& body) {
  std::vector<int> fds;
  for (const auto& [name, fd] : kept) fds.push_back(fd.get());
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // First out of the way of the places that they are to have.
  const int above = kFirstPassed + 2 * static_cast<int>(fds.size());
  for (size_t n = 0; n < fds.size(); ++n) ::dup2(fds[n], above + static_cast<int>(n));
  for (size_t n = 0; n < fds.size(); ++n)
    ::dup2(above + static_cast<int>(n), kFirstPassed + static_cast<int>(n));
  ::close_range(static_cast<unsigned>(kFirstPassed + fds.size()), ~0U, 0);
  body();
  ::_exit(127);
}

class Restarts {
 public:
  static Result<std::shared_ptr<Restarts>> begin() {
    auto restarts = std::make_shared<Restarts>();
    if (auto made = restarts->fill(); !made) return std::unexpected(made.error());
    return restarts;
  }
  Restarts() = default;
  Restarts(const Restarts&) = delete;
  Restarts& operator=(const Restarts&) = delete;
  ~Restarts() {
    for (uarena_conn* conn : clients_) uarena_close(conn);
    end();
  }

  // ms until it is ready.
  Result<double> ours() {
    end();
    const uint64_t begin = now_ns();
    if (auto started = start_broker(); !started) return std::unexpected(started.error());
    return static_cast<double>(now_ns() - begin) / 1e6;
  }
  // The same descriptors; it is told the truth about them and looks at none.
  Result<double> trivial() {
    stop_keeping();  // it would take the word
    const std::string address = "NOTIFY_SOCKET=" + manager_.address();
    const std::string program = UARENA_BIN_DIR "/uarena-bench-service";
    const uint64_t begin = now_ns();
    const pid_t pid = start(kept_, [&] {
      const char* const arguments[] = {"uarena-bench-service", nullptr};
      const char* const environment[] = {address.c_str(), nullptr};
      ::execve(program.c_str(), const_cast<char* const*>(arguments),
               const_cast<char* const*>(environment));
    });
    auto ready = wait_ready();
    const auto took = static_cast<double>(now_ns() - begin) / 1e6;
    ::waitpid(pid, nullptr, 0);
    start_keeping();
    if (!ready) return std::unexpected(ready.error());
    return took;
  }

 private:
  Result<void> fill() {
    // Descriptors are at three places for a moment.
    rlimit most{};
    ::getrlimit(RLIMIT_NOFILE, &most);
    most.rlim_cur = most.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &most) != 0) return fail_errno(errno, "cannot raise a limit");
    if (auto started = start_broker(); !started) return started;
    for (uint32_t n = 0; n < kClients; ++n) {
      uarena_conn* conn = nullptr;
      if (const int error = uarena_connect(socket_.c_str(), &conn); error != 0)
        return fail(-error, "{}", uarena_error());
      clients_.push_back(conn);
    }
    const uarena_attr attr{UARENA_MAP_TYPE_ARENA, 0, 0, kPagesOfArena, UARENA_F_MMAPABLE, 0};
    for (uint32_t n = 0; n < kArenas; ++n) {
      uarena_conn* conn = clients_[n % kClients];
      uarena_info info{};
      int error = uarena_create(conn, fmt::format("a{}", n).c_str(), &attr, &info);
      if (error == 0 && uarena_alloc(conn, info.id, nullptr, 4, -1, 0) == nullptr) error = -ENOMEM;
      void* base = nullptr;
      if (error == 0 && n < kClients) error = uarena_attach(conn, info.id, 0, &base);
      if (error != 0) return fail(-error, "{}", uarena_error());
    }
    return {};
  }
  Result<void> start_broker() {
    std::string names;
    for (const auto& [name, fd] : kept_) names += (names.empty() ? "" : ":") + name;
    const std::string count = std::to_string(kept_.size());
    const std::string notify = manager_.address();
    broker_ = start(kept_, [&] {
      ::setenv("NOTIFY_SOCKET", notify.c_str(), 1);
      ::setenv("FDSTORE", "10000", 1);
      if (!names.empty()) {
        ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
        ::setenv("LISTEN_FDS", count.c_str(), 1);
        ::setenv("LISTEN_FDNAMES", names.c_str(), 1);
      }
      const Fd null(::open("/dev/null", O_RDWR));
      ::dup2(null.get(), STDERR_FILENO);
      ::execl(UARENA_BIN_DIR "/uarenad", "uarenad", "--socket", socket_.c_str(), nullptr);
    });
    if (auto ready = wait_ready(); !ready) return ready;
    start_keeping();
    return {};
  }
  // A broker waits for a manager that does not listen.
  void start_keeping() {
    enough_ = false;
    keeping_ = std::thread([this] { keep(); });
  }
  void stop_keeping() {
    enough_ = true;
    keeping_.join();
  }
  // Takes what comes until READY=1.
  Result<void> wait_ready() {
    const auto by = std::chrono::steady_clock::now() + kLimit;
    while (std::chrono::steady_clock::now() < by) {
      auto message = manager_.receive(std::chrono::seconds(1));
      if (message.text.find("READY=1") != message.text.npos) return {};
      take(message);
    }
    return fail(ETIMEDOUT, "nobody said READY=1");
  }
  void keep() {
    for (bool last = false; !last;) {
      last = enough_;
      for (;;) {
        auto message = manager_.receive(std::chrono::milliseconds(last ? 0 : 20));
        if (message.text.empty()) break;
        take(message);
      }
    }
  }
  void take(testing::FakeManager::Message& message) {
    constexpr std::string_view kName = "FDNAME=";
    const size_t at = message.text.find(kName);
    if (at == message.text.npos) return;
    const size_t begin = at + kName.size();
    const std::string name = message.text.substr(begin, message.text.find('\n', begin) - begin);
    if (message.text.starts_with("FDSTORE=1"))
      kept_[name] = std::move(message.fds.at(0));
    else
      kept_.erase(name);
  }
  void end() {
    if (broker_ <= 0) return;
    ::kill(broker_, SIGKILL);
    ::waitpid(broker_, nullptr, 0);
    broker_ = 0;
    stop_keeping();
  }

  testing::TempDir dir_;
  const std::string socket_ = dir_.path() + "/s";
  testing::FakeManager manager_;
  Kept kept_;
  std::vector<uarena_conn*> clients_;
  pid_t broker_ = 0;
  std::thread keeping_;
  std::atomic<bool> enough_{false};
};

Result<Pair> set_up() {
  auto restarts = Restarts::begin();
  if (!restarts) return std::unexpected(restarts.error());
  return Pair{[r = *restarts] { return r->ours(); }, [r = *restarts] { return r->trivial(); }};
}

}  // namespace

std::vector<Work> restart_works() {
  return {{"restart.ready",
           fmt::format("successor with {} arenas and {} clients, to serving", kArenas, kClients),
           "ms", "lower", "trivial service", set_up}};
}

}  // namespace uarena::bench
