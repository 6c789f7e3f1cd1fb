// What surrounds compiled code: pages that a program allocates, accesses to absent pages, and the
// way from a request to its answer. Times are of the run as the caller sees it.
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/base/fd.h"
#include "tools/bench/bench.h"
#include "tools/bench/both_sides.h"
#include "tools/bench/contexts.h"

namespace uarena::bench {
namespace {

constexpr uint64_t kPairs = 1000;
constexpr uint64_t kLoads = 2000;
constexpr uint64_t kMessages = 2000;
constexpr size_t kMessageBytes = 64;

Result<Pair> alloc_free(const std::string& socket, const std::string& path) {
  auto both = BothSides::load(socket, path);
  if (!both) return std::unexpected(both.error());
  return Pair{[b = *both] {
                bench_pairs_ctx context{kPairs, 0};
                return b->ours("alloc_free", bytes_of(context), kPairs);
              },
              [b = *both] {
                bench_pairs_ctx context{kPairs, 0};
                return b->kernel("alloc_free", bytes_of(context), kPairs);
              }};
}

Result<Pair> absent_loads(const std::string& socket, const std::string& path) {
  auto both = BothSides::load(socket, path);
  if (!both) return std::unexpected(both.error());
  return Pair{[b = *both] {
                bench_absent_ctx context{kLoads, 0};
                return b->ours("absent_load", bytes_of(context), kLoads);
              },
              [b = *both] {
                bench_absent_ctx context{kLoads, 0};
                return b->kernel("absent_load", bytes_of(context), kLoads);
              }};
}

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

Result<Pair> invoke(const std::string& socket, const std::string& path) {
  auto both = BothSides::load(socket, path);
  if (!both) return std::unexpected(both.error());
  auto echo = Echo::start();
  if (!echo) return std::unexpected(echo.error());
  const auto runs = [b = *both]() -> Result<double> {
    double total = 0;
    for (uint64_t n = 0; n < kMessages; ++n) {
      const Result<double> ns = b->ours("nothing", {}, 1);
      if (!ns) return ns;
      total += *ns;
    }
    return total / static_cast<double>(kMessages);
  };
  return Pair{runs, [e = *echo] { return e->round_trips(); }};
}

}  // namespace

std::vector<Work> program_works(const std::string& socket, const std::string& bpf_directory) {
  const std::string alloc = bpf_directory + "/bench_alloc_free.bpf.o";
  const std::string small = bpf_directory + "/bench_small.bpf.o";
  return {
      {"alloc_free.1", "a program allocates one page and frees it", "ns/pair", "lower", "bpf_arena",
       [=] { return alloc_free(socket, alloc); }},
      {"prog.absent_load", "a program loads from a page that is not there", "ns/load", "lower",
       "bpf_arena", [=] { return absent_loads(socket, small); }},
      {"prog.invoke", "one message and its answer for a program that does nothing", "ns/run",
       "lower", "SEQPACKET", [=] { return invoke(socket, small); }},
  };
}

}  // namespace uarena::bench
