// What a client that does nothing but fault costs another one: the 99th percentile of the other's
// faults, beside that storm, and beside the same storm that a thread of its own process answers. So
// what is left is what the storm takes inside the broker.
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <span>
#include <thread>

#include "ipc/base/fd.h"
#include "ipc/base/page.h"
#include "ipc/base/uapi.h"
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

// Threads that touch each of their pages, and give all back, for ever; a byte to `ready` after the
// first turn. Never returns.
template <typename GiveBack>
[[noreturn]] void touch_for_ever(volatile std::byte* base, int ready, const GiveBack& give_back) {
  std::vector<std::thread> threads;
  for (unsigned n = 0; n < kThreads; ++n)
    threads.emplace_back([=, &give_back] {
      const uint32_t first = n * kPagesOfThread;
      for (bool told = n != 0;; told = true) {
        for (uint32_t page = first; page < first + kPagesOfThread; ++page)
          base[page * kPageSize] = std::byte{1};
        give_back(first);
        if (!told && ::write(ready, "", 1) != 1) ::_exit(1);
      }
    });
  for (auto& thread : threads) thread.join();
  ::_exit(0);
}

// Every touch is a fault that the broker answers.
[[noreturn]] void storm(const std::string& socket, uint64_t arena, int ready) {
  uarena_conn* conn = nullptr;
  void* base = nullptr;
  if (uarena_connect(socket.c_str(), &conn) != 0 || uarena_attach(conn, arena, 0, &base) != 0)
    ::_exit(1);
  touch_for_ever(static_cast<volatile std::byte*>(base), ready, [=](uint32_t first) {
    ::madvise(static_cast<std::byte*>(base) + first * kPageSize, kPagesOfThread * kPageSize,
              MADV_REMOVE);
  });
}

// Answers faults on `base` one after another, as bare as can be. Never returns.
[[noreturn]] void answer_for_ever(int uffd) {
  std::array<uffd_msg, 64> messages;
  for (;;) {
    const ssize_t bytes = ::read(uffd, messages.data(), sizeof messages);
    if (bytes <= 0) ::_exit(1);
    for (const uffd_msg& message :
         std::span(messages).first(static_cast<size_t>(bytes) / sizeof(uffd_msg))) {
      uffdio_zeropage page{};
      page.range = {message.arg.pagefault.address & ~(kPageSize - 1), kPageSize};
      ::ioctl(uffd, UFFDIO_ZEROPAGE, &page);  // EEXIST: another thread touched it, too
    }
  }
}

// The same with memory of its own and a thread of its own that answers: as many threads run, sleep
// and wake each other as beside the broker, and the broker is asked nothing.
[[noreturn]] void only_load(int ready) {
  const Fd file(::memfd_create("load", MFD_CLOEXEC));
  constexpr uint64_t kBytes = kStormPages * kPageSize;
  if (::ftruncate(file.get(), kBytes) != 0) ::_exit(1);
  void* base = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  const Fd uffd(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | kUffdUserModeOnly)));
  uffdio_api api{};
  api.api = UFFD_API;
  uffdio_register range{};
  range.range = {reinterpret_cast<uint64_t>(base), kBytes};
  range.mode = UFFDIO_REGISTER_MODE_MISSING;
  if (base == MAP_FAILED || !uffd || ::ioctl(uffd.get(), UFFDIO_API, &api) != 0 ||
      ::ioctl(uffd.get(), UFFDIO_REGISTER, &range) != 0)
    ::_exit(1);
  std::thread([fd = uffd.get()] { answer_for_ever(fd); }).detach();
  touch_for_ever(static_cast<volatile std::byte*>(base), ready, [=](uint32_t first) {
    ::madvise(static_cast<std::byte*>(base) + first * kPageSize, kPagesOfThread * kPageSize,
              MADV_REMOVE);
  });
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

// The client that is measured, and the arena of the storm.
class Calm {
 public:
  static Result<std::shared_ptr<Calm>> open(const std::string& socket) {
    auto calm = std::make_shared<Calm>();
    int error = uarena_connect(socket.c_str(), &calm->conn_);
    if (error == 0) error = calm->create("bench.calm", kTouches, &calm->calm_);
    if (error == 0) error = calm->create("bench.storm", kStormPages, &calm->storm_);
    if (error == 0) error = uarena_attach(calm->conn_, calm->calm_.id, 0, &calm->base_);
    if (error != 0) return fail(-error, "{}", uarena_error());
    return calm;
  }
  Calm() = default;
  Calm(const Calm&) = delete;
  Calm& operator=(const Calm&) = delete;
  ~Calm() {
    uarena_detach(conn_, calm_.id);
    uarena_delete(conn_, calm_.id);
    uarena_delete(conn_, storm_.id);
    uarena_close(conn_);
  }
  uint64_t storm() const { return storm_.id; }

  // What each of kTouches took.
  Result<void> touch_all(std::vector<uint64_t>& took) {
    auto* base = static_cast<volatile std::byte*>(base_);
    for (uint32_t page = 0; page < kTouches; ++page) {
      const uint64_t start = now_ns();
      base[page * kPageSize] = std::byte{1};
      took.push_back(now_ns() - start);
    }
    if (const int error = uarena_free(conn_, calm_.id, base_, kTouches); error != 0)
      return fail(-error, "{}", uarena_error());
    return {};
  }

 private:
  int create(const char* name, uint32_t pages, uarena_info* info) {
    const uarena_attr attr{UARENA_MAP_TYPE_ARENA, 0, 0, pages, UARENA_F_MMAPABLE, 0};
    return uarena_create(conn_, name, &attr, info);
  }
  uarena_conn* conn_ = nullptr;
  uarena_info calm_{}, storm_{};
  void* base_ = nullptr;
};

template <typename Body>
Result<double> p99_beside(Calm& calm, const Body& load) {
  std::vector<uint64_t> took;
  for (unsigned n = 0; n < kStarts; ++n) {
    auto beside = Beside::start(load);
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
  return Pair{[=, c = *calm] {
                return p99_beside(*c, [&](int ready) { storm(socket, c->storm(), ready); });
              },
              [c = *calm] { return p99_beside(*c, [](int ready) { only_load(ready); }); }};
}

}  // namespace

std::vector<Work> storm_works(const std::string& socket) {
  return {{"fault.storm", "99% of faults beside a client that does nothing but fault", "ns",
           "lower", "same load", [=] { return set_up(socket); }, true}};
}

}  // namespace uarena::bench
