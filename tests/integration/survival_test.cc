// Brokers die by SIGKILL, and nothing else does: pages, programs, attachments, numbers and clients
// that wait are there in the successor.
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <optional>
#include <random>
#include <set>
#include <sstream>

#include "ipc/base/page.h"
#include "ipc/client/attachment.h"
#include "ipc/client/inspect.h"
#include "tests/integration/survival_fixture.h"

namespace uarena::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// A client that does nothing but fault, and how long each of its faults took: what a broker's death
// costs those who wait.
class Stalls {
 public:
  explicit Stalls(const std::string& socket)
      : client_(ipc::Inspector::connect(socket).value()), arena_(create()), attachment_(attach()) {
    thread_ = std::thread([this] { work(); });
  }
  ~Stalls() {
    enough_ = true;
    thread_.join();
  }
  // The longest since it was asked last, in ms.
  double longest_ms() { return static_cast<double>(longest_ns_.exchange(0)) / 1e6; }

 private:
  static constexpr uint32_t kPages = 1024;

  uint64_t create() {
    ipc::ArenaSpec spec;
    spec.max_entries = kPages;
    spec.map_flags = kBpfFMmapable;
    spec.faults = ipc::FaultWay{};
    return client_.create_arena("stalls", spec).value().id;
  }
  ipc::Attachment attach() {
    return ipc::Attachment::attach(client_.link().control(), arena_, {}).value();
  }
  void work() {
    for (uint32_t page = 0; !enough_; page = (page + 1) % kPages) {
      auto* const byte = static_cast<volatile char*>(attachment_.base()) + size_t{page} * kPageSize;
      if (page == 0)  // so that each touch is a fault again
        ::madvise(attachment_.base(), kPages * kPageSize, MADV_REMOVE);
      const auto begin = std::chrono::steady_clock::now();
      *byte = 1;
      const auto took = static_cast<uint64_t>((std::chrono::steady_clock::now() - begin).count());
      uint64_t longest = longest_ns_;
      while (took > longest && !longest_ns_.compare_exchange_weak(longest, took)) continue;
    }
  }

  ipc::Inspector client_;
  const uint64_t arena_;
  ipc::Attachment attachment_;
  std::atomic<uint64_t> longest_ns_{0};
  std::atomic<bool> enough_{false};
  std::thread thread_;
};

// A hundred, or as many as $UARENA_KILLS says (`./dev kills`).
int kills_wanted() {
  const char* wanted = std::getenv("UARENA_KILLS");
  return wanted == nullptr ? 100 : std::atoi(wanted);
}

void report(std::vector<double> stalls) {
  std::ranges::sort(stalls);
  const auto part = [&stalls](double share) {
    return stalls[static_cast<size_t>(share * static_cast<double>(stalls.size() - 1))];
  };
  std::printf(
      "stall of a fault per kill: p50 %.1f ms, p90 %.1f ms, p99 %.1f ms, max %.1f ms (%zu)\n",
      part(0.5), part(0.9), part(0.99), stalls.back(), stalls.size());
}

TEST_F(Survival, AHundredKillsLoseNothing) {
  const int kills = kills_wanted();
  std::optional<Stalls> stalls(socket());
  std::vector<double> stalled;
  std::vector<std::unique_ptr<ChildProcess>> survivors;
  for (const char* name : {"one", "two"}) survivors.push_back(survivor(name));
  const auto all_say = [&](const std::string& order) {
    for (auto& one : survivors) one->write_line(order);
    for (auto& one : survivors) {
      const std::string line = one->read_line(std::chrono::seconds(30));
      ASSERT_THAT(line, StartsWith("good "));
      std::printf("%s\n", line.c_str());
    }
  };
  for (int i = 1; i <= kills; ++i) {
    // Some die while they take over what others have left.
    spend(random_us(i % 5 == 0 ? 1'000 : 10'000));
    kill_broker();
    if (i % 5 != 4) wait_ready();
    if (i % 5 != 4) stalled.push_back(stalls->longest_ms());
    if (i % 10 == 0) all_say("check");
    if (HasFatalFailure()) return;
  }
  stalls.reset();
  report(std::move(stalled));
  all_say("end");
  std::set<std::string> given;
  for (auto& one : survivors) {
    for (int kind = 0; kind < 2; ++kind) {
      std::istringstream words(one->read_line());
      std::string what, number;
      words >> what;
      while (words >> number) {
        EXPECT_TRUE(given.insert(what + number).second) << what << ' ' << number << " given twice";
      }
    }
    EXPECT_EQ(one->wait(), 0);
  }
  EXPECT_GT(given.size(), 100U);
  EXPECT_EQ(lines_with("takeover.lost"), "");
  EXPECT_EQ(lines_with("not_resumed"), "");
  EXPECT_EQ(lines_with("lines_dropped"), "");
}

}  // namespace
}  // namespace uarena::testing
