// The way from a request to its answer. It is short, so where the kernel runs the two sides decides
// more than what they do: on one CPU they take turns, on two each turn wakes a CPU that sleeps, and
// which of both it is can stay so for seconds, for us as for the peer. So the work that compares
// what is done has both sides on one CPU, and a second one shows what a user gets who places
// nothing.
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "ipc/base/fd.h"
#include "tools/bench/bench.h"
#include "tools/bench/both_sides.h"

namespace uarena::bench {
namespace {

constexpr uint64_t kMessages = 2000;
constexpr size_t kMessageBytes = 64;

// This thread and all threads of another process, on the CPU where this thread is, for a while.
class OnOneCpu {
 public:
  explicit OnOneCpu(pid_t process) : process_(process) {  // 0: nobody is placed
    if (process_ == 0) return;
    ::sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<size_t>(::sched_getcpu()), &one);
    place(one);
  }
  ~OnOneCpu() {
    if (process_ != 0) place(before_);
  }
  OnOneCpu(const OnOneCpu&) = delete;
  OnOneCpu& operator=(const OnOneCpu&) = delete;

 private:
  void place(const cpu_set_t& cpus) const {
    ::sched_setaffinity(0, sizeof cpus, &cpus);
    std::error_code gone;
    const auto threads = "/proc/" + std::to_string(process_) + "/task";
    for (const auto& thread : std::filesystem::directory_iterator(threads, gone))
      ::sched_setaffinity(std::stoi(thread.path().filename()), sizeof cpus, &cpus);
  }

  const pid_t process_;
  cpu_set_t before_;
};

// A process that sends back what it receives, and does nothing else.
class Echo {
 public:
  static Result<std::shared_ptr<Echo>> start() {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
      return fail_errno(errno, "cannot make a pair of sockets");
    auto echo = std::make_shared<Echo>();
    echo->near_ = Fd(fds[0]);
    const Fd far(fds[1]);
    echo->process_ = ::fork();
    if (echo->process_ < 0) return fail_errno(errno, "cannot start the echo");
    if (echo->process_ == 0) {
      ::close(fds[0]);
      std::byte message[kMessageBytes];
      while (::recv(fds[1], message, sizeof message, 0) > 0)
        if (::send(fds[1], message, sizeof message, MSG_NOSIGNAL) < 0) break;
      ::_exit(0);
    }
    return echo;
  }
  Echo() = default;
  Echo(const Echo&) = delete;
  Echo& operator=(const Echo&) = delete;
  ~Echo() {
    near_.reset();
    if (process_ > 0) ::waitpid(process_, nullptr, 0);
  }

  pid_t process() const { return process_; }
  Result<double> round_trips() {
    std::byte message[kMessageBytes] = {};
    const uint64_t start = now_ns();
    for (uint64_t n = 0; n < kMessages; ++n)
      if (::send(near_.get(), message, sizeof message, MSG_NOSIGNAL) < 0 ||
          ::recv(near_.get(), message, sizeof message, 0) <= 0)
        return fail_errno(errno, "the echo is gone");
    return static_cast<double>(now_ns() - start) / static_cast<double>(kMessages);
  }

 private:
  Fd near_;
  pid_t process_ = -1;
};

Result<double> runs(BothSides& program) {
  double total = 0;
  for (uint64_t n = 0; n < kMessages; ++n) {
    const Result<double> ns = program.ours("nothing", {}, 1);
    if (!ns) return ns;
    total += *ns;
  }
  return total / static_cast<double>(kMessages);
}

Result<Pair> invoke(const std::string& socket, const std::string& path, pid_t broker, bool placed) {
  auto both = BothSides::load(socket, path);
  if (!both) return std::unexpected(both.error());
  auto echo = Echo::start();
  if (!echo) return std::unexpected(echo.error());
  return Pair{[=, b = *both] {
                const OnOneCpu place(placed ? broker : 0);
                return runs(*b);
              },
              [=, e = *echo] {
                const OnOneCpu place(placed ? e->process() : 0);
                return e->round_trips();
              }};
}

}  // namespace

std::vector<Work> invoke_works(const std::string& socket, const std::string& bpf_directory,
                               pid_t broker) {
  const std::string small = bpf_directory + "/bench_small.bpf.o";
  return {
      {"prog.invoke", "one message and its answer for a program that does nothing, on one CPU",
       "ns/run", "lower", "SEQPACKET", [=] { return invoke(socket, small, broker, true); }},
      {"prog.invoke_anywhere", "the same, where the kernel puts caller and runner", "ns/run",
       "lower", "SEQPACKET", [=] { return invoke(socket, small, broker, false); }},
  };
}

}  // namespace uarena::bench
