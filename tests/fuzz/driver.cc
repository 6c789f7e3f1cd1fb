// The parent waits for the child with a limit of a second, and looks at the shared page each time.
#include "tests/fuzz/driver.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

namespace uarena::fuzz {
namespace {

using Clock = std::chrono::steady_clock;
namespace fs = std::filesystem;

constexpr size_t kMaxInput = size_t{65} << 20;  // an object has at most 64 MiB
constexpr size_t kMaxText = 64 << 10;
// One input may take so long and so much; the slowest legitimate ones, under the sanitizers, need a
// tenth of it.
constexpr std::chrono::seconds kMaxTime{20};   // of computing
constexpr std::chrono::seconds kMaxWait{600};  // of anything
constexpr uint64_t kMaxResident = uint64_t{4} << 30;
constexpr std::chrono::seconds kReportEach{10};

// What parent and child share. The numbers are for reading along; `size` and `input` are read only
// when the child is dead or stopped.
struct Shared {
  std::atomic<uint64_t> executions, accepted, insns;
  std::atomic<uint64_t> input_number;
  size_t size;
  size_t text_size;
  char text[kMaxText];  // the finding
  std::byte input[kMaxInput];
};

Shared* make_shared_memory() {
  void* memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("mmap");
    std::exit(2);
  }
  return static_cast<Shared*>(memory);  // zeros
}

class SharedProgress final : public Progress {
 public:
  explicit SharedProgress(Shared& shared) : shared_(shared) {}
  void trying(std::span<const std::byte> input) override {
    shared_.size = std::min(input.size(), kMaxInput);
    std::ranges::copy(input.first(shared_.size), shared_.input);  // may be none
    ++shared_.executions;
    ++shared_.input_number;
  }
  void accepted(uint64_t insns) override {
    ++shared_.accepted;
    shared_.insns += insns;
  }

 private:
  Shared& shared_;
};

struct Options {
  uint64_t seconds = 60;
  uint64_t seed = 0;
  fs::path out = ".";
  std::vector<fs::path> seeds;
  std::vector<fs::path> replay;
};

std::vector<std::byte> read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

class Session {
 public:
  Session(const char* name, const char* program, Target& target, const Options& options)
      : name_(name), program_(program), target_(target), options_(options) {}

  int run() {
    const auto start = Clock::now();
    const auto end = start + std::chrono::seconds(options_.seconds);
    fmt::print("{}: seed {}, {} s\n", name_, options_.seed, options_.seconds);
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child == 0) try_inputs(end);
    const int status = watch(child, start);
    report(start, "");
    if (failure_.empty() && WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
    return save(status);
  }

  // The inputs of the tree first: what was found once is looked for again.
  int replay(const std::vector<fs::path>& files) {
    for (const fs::path& file : files) {
      SharedProgress progress(shared_);
      const auto input = read_file(file);
      progress.trying(input);
      const std::string failure = target_.run(input, progress);
      if (failure.empty()) continue;
      fmt::print("{}: {}: {}\n", name_, file.string(), failure);
      return 1;
    }
    return 0;
  }

 private:
  [[noreturn]] void try_inputs(Clock::time_point end) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    Random random(options_.seed);
    SharedProgress progress(shared_);
    std::string failure;
    while (failure.empty() && Clock::now() < end) {
      const auto input = target_.make(random);
      progress.trying(input);
      failure = target_.run(input, progress);
    }
    shared_.text_size = std::min(failure.size(), kMaxText);
    std::memcpy(shared_.text, failure.data(), shared_.text_size);
    std::fflush(nullptr);
    ::_exit(failure.empty() ? 0 : 1);
  }

  // The child's status. A child that goes beyond the limits is killed.
  int watch(pid_t child, Clock::time_point start) {
    const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, child, 0));
    auto reported = start;
    auto begun = cpu_time(child);  // with the input at hand
    auto changed = start;
    uint64_t number = 0;
    pollfd wait{pidfd, POLLIN, 0};
    while (::poll(&wait, 1, 1000) == 0) {
      const auto now = Clock::now();
      if (shared_.input_number != number) {
        number = shared_.input_number;
        begun = cpu_time(child);
        changed = now;
      }
      if (cpu_time(child) - begun > kMaxTime || now - changed > kMaxWait)
        failure_ = "one input took too long";
      if (resident(child) > kMaxResident) failure_ = "an input took too much memory";
      if (!failure_.empty()) ::kill(child, SIGKILL);
      if (now - reported >= kReportEach) {
        report(start, "...");
        reported = now;
      }
    }
    ::close(pidfd);
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
  }

  // What the child has computed, so that a busy machine does not count against an input.
  static std::chrono::nanoseconds cpu_time(pid_t pid) {
    clockid_t clock;
    timespec time{};
    if (::clock_getcpuclockid(pid, &clock) == 0) ::clock_gettime(clock, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  }

  static uint64_t resident(pid_t pid) {
    std::ifstream file(fmt::format("/proc/{}/statm", pid));
    uint64_t total = 0, pages = 0;
    file >> total >> pages;
    return pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  }

  void report(Clock::time_point start, const char* more) const {
    const double seconds =
        std::max(std::chrono::duration<double>(Clock::now() - start).count(), 0.001);
    const uint64_t executions = shared_.executions, accepted = shared_.accepted;
    fmt::print(
        "{}: {:.0f} s, {} executions ({:.0f}/s), {:.1f} % accepted, {:.2f} M instructions{}\n",
        name_, seconds, executions, static_cast<double>(executions) / seconds,
        100.0 * static_cast<double>(accepted) /
            static_cast<double>(std::max<uint64_t>(executions, 1)),
        static_cast<double>(shared_.insns) / 1e6, more);
    std::fflush(stdout);
  }

  int save(int status) {
    fs::create_directories(options_.out);
    const fs::path file =
        options_.out / fmt::format("{}-{}-{}", name_, options_.seed, shared_.executions.load());
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char*>(shared_.input),
               static_cast<std::streamsize>(shared_.size));
    if (failure_.empty() && shared_.text_size > 0) failure_.assign(shared_.text, shared_.text_size);
    if (failure_.empty() && WIFSIGNALED(status))
      failure_ = fmt::format("the program died of signal {}", WTERMSIG(status));
    if (failure_.empty())
      failure_ = fmt::format("the program ended with status {}", WEXITSTATUS(status));
    fmt::print("{}: FOUND: {}\nthe input is in {}; again: {} --replay {}\n", name_, failure_,
               file.string(), program_, file.string());
    return 1;
  }

  const char* name_;
  const char* program_;
  Target& target_;
  const Options& options_;
  Shared& shared_ = *make_shared_memory();
  std::string failure_;
};

std::optional<Options> parse(int argc, char** argv) {
  Options options;
  options.seed = static_cast<uint64_t>(Clock::now().time_since_epoch().count()) % 1'000'000'007;
  for (int i = 1; i < argc; i++) {
    const std::string_view word = argv[i];
    if (i + 1 == argc) return std::nullopt;
    const char* value = argv[++i];
    if (word == "--seconds")
      options.seconds = std::strtoull(value, nullptr, 10);
    else if (word == "--seed")
      options.seed = std::strtoull(value, nullptr, 10);
    else if (word == "--out")
      options.out = value;
    else if (word == "--replay")
      options.replay.emplace_back(value);
    else if (word == "--seeds")
      for (const auto& entry : fs::directory_iterator(value)) options.seeds.push_back(entry.path());
    else
      return std::nullopt;
  }
  std::ranges::sort(options.seeds);
  return options;
}

}  // namespace

int fuzz_main(int argc, char** argv, const char* name, Target& target) {
  const auto options = parse(argc, argv);
  if (!options) {
    fmt::print(stderr,
               "usage: {} [--seconds N] [--seed N] [--seeds DIR] [--out DIR] [--replay FILE]\n",
               argv[0]);
    return 2;
  }
  Session session(name, argv[0], target, *options);
  if (!options->replay.empty()) return session.replay(options->replay);
  if (const int found = session.replay(options->seeds); found != 0) return found;
  return session.run();
}

}  // namespace uarena::fuzz
