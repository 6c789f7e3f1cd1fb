// What a client that does nothing but fault costs another one: the 99th percentile of the other's
// faults, beside that storm, and beside the same storm on another broker, which leaves the CPUs as
// busy, in the same pattern. So what is left is what the storm takes inside the broker.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "ipc/base/fd.h"
#include "ipc/base/page.h"
#include "tests/support/broker_process.h"
#include "tools/bench/bench.h"
#include "uarena.h"

namespace uarena::bench {
namespace {

// Where the load's threads come to run decides a lot, so one measurement starts it several times.
constexpr unsigned kStarts = 8;
constexpr uint32_t kTouches = 1024;      // for each start
constexpr unsigned kThreads = 4;         // of the storm
constexpr uint32_t kPagesOfThread = 64;  // that each thread touches and gives back
constexpr uint32_t kStormPages = kThreads * kPagesOfThread;

int create(uarena_conn* conn, const char* name, uint32_t pages, uarena_info* info) {
  const uarena_attr attr{UARENA_MAP_TYPE_ARENA, 0, 0, pages, UARENA_F_MMAPABLE, 0};
  return uarena_create(conn, name, &attr, info);
}

// Threads that touch each of their pages, each a fault that the broker answers, and give all back,
// for ever; a byte to `ready` after the first turn. Never returns.
[[noreturn]] void storm(const std::string& socket, int ready) {
  uarena_conn* conn = nullptr;
  uarena_info arena{};
  void* base = nullptr;
  if (uarena_connect(socket.c_str(), &conn) != 0) ::_exit(1);
  const int made = create(conn, "bench.storm", kStormPages, &arena);
  if (made == -EEXIST ? uarena_find(conn, "bench.storm", &arena) != 0 : made != 0) ::_exit(1);
  if (uarena_attach(conn, arena.id, 0, &base) != 0) ::_exit(1);
  std::vector<std::thread> threads;
  for (unsigned n = 0; n < kThreads; ++n)
    threads.emplace_back([=] {
      auto* const mine = static_cast<std::byte*>(base) + n * kPagesOfThread * kPageSize;
      for (bool told = n != 0;; told = true) {
        for (uint32_t page = 0; page < kPagesOfThread; ++page)
          static_cast<volatile std::byte*>(mine)[page * kPageSize] = std::byte{1};
        ::madvise(mine, kPagesOfThread * kPageSize, MADV_REMOVE);
        if (!told && ::write(ready, "", 1) != 1) ::_exit(1);
      }
    });
  for (auto& thread : threads) thread.join();
  ::_exit(0);
}

// A child that has begun; it ends with this.
class Beside {
 public:
  template <typename Body>
  static Result<std::unique_ptr<Beside>> start(const Body& body) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "cannot make a pipe");
    const Fd out(ends[0]);
    Fd in(ends[1]);
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      body(in.get());
      ::_exit(0);
    }
    if (pid < 0) return fail_errno(errno, "cannot start a process");
    auto child = std::make_unique<Beside>(pid);
    in.reset();
    char byte;
    if (::read(out.get(), &byte, 1) != 1) return fail(ECHILD, "the child beside has ended");
    return child;
  }
  explicit Beside(pid_t pid) : pid_(pid) {}
  ~Beside() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Beside(const Beside&) = delete;
  Beside& operator=(const Beside&) = delete;

 private:
  pid_t pid_;
};

// The client that is measured.
class Calm {
 public:
  static Result<std::shared_ptr<Calm>> open(const std::string& socket) {
    auto calm = std::make_shared<Calm>();
    int error = uarena_connect(socket.c_str(), &calm->conn_);
    if (error == 0) error = create(calm->conn_, "bench.calm", kTouches, &calm->arena_);
    if (error == 0) error = uarena_attach(calm->conn_, calm->arena_.id, 0, &calm->base_);
    if (error != 0) return fail(-error, "{}", uarena_error());
    return calm;
  }
  Calm() = default;
  Calm(const Calm&) = delete;
  Calm& operator=(const Calm&) = delete;
  ~Calm() {
    uarena_detach(conn_, arena_.id);
    uarena_delete(conn_, arena_.id);
    uarena_close(conn_);
  }

  // What each of kTouches took.
  Result<void> touch_all(std::vector<uint64_t>& took) {
    auto* base = static_cast<volatile std::byte*>(base_);
    for (uint32_t page = 0; page < kTouches; ++page) {
      const uint64_t start = now_ns();
      base[page * kPageSize] = std::byte{1};
      took.push_back(now_ns() - start);
    }
    if (const int error = uarena_free(conn_, arena_.id, base_, kTouches); error != 0)
      return fail(-error, "{}", uarena_error());
    return {};
  }

 private:
  uarena_conn* conn_ = nullptr;
  uarena_info arena_{};
  void* base_ = nullptr;
};

// 99% of its touches, while a storm goes on at the broker of `stormy`.
Result<double> p99_beside(Calm& calm, const std::string& stormy) {
  std::vector<uint64_t> took;
  for (unsigned n = 0; n < kStarts; ++n) {
    auto beside = Beside::start([&](int ready) { storm(stormy, ready); });
    if (!beside) return std::unexpected(beside.error());
    if (auto touched = calm.touch_all(took); !touched) return std::unexpected(touched.error());
  }
  const auto at = took.begin() + static_cast<ptrdiff_t>(took.size() * 99 / 100);
  std::ranges::nth_element(took, at);
  return static_cast<double>(*at);
}

Result<Pair> set_up(const std::string& socket) {
  auto calm = Calm::open(socket);
  if (!calm) return std::unexpected(calm.error());
  const auto other = std::make_shared<testing::BrokerProcess>();
  return Pair{[=, c = *calm] { return p99_beside(*c, socket); },
              [=, c = *calm] { return p99_beside(*c, other->socket()); }};
}

}  // namespace

std::vector<Work> storm_works(const std::string& socket) {
  return {{"fault.storm", "99% of faults beside a client that does nothing but fault", "ns",
           "lower", "other broker", [=] { return set_up(socket); }, true}};
}

}  // namespace uarena::bench
