// A broker with a keeper, and ways to have it die at chosen moments.
#pragma once

#include <chrono>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <random>
#include <sstream>
#include <thread>

#include "tests/integration/service_fixture.h"

namespace uarena::testing {

using ::testing::Not;

// Reads a log all the time, so that nothing of it is dropped for want of room.
class LogReader {
 public:
  explicit LogReader(ChildProcess& child) : thread_([this, &child] { read(child); }) {}
  ~LogReader() { thread_.join(); }  // the child has ended

  // The next line that contains the text, after the one that was found last; "" if none comes.
  std::string wait_for(const std::string& text) {
    std::unique_lock lock(mutex_);
    std::string found;
    came_.wait_for(lock, std::chrono::seconds(20), [&] {
      for (size_t end; found.empty() && (end = log_.find('\n', read_)) != log_.npos;
           read_ = end + 1)
        if (const std::string line = log_.substr(read_, end - read_); line.find(text) != line.npos)
          found = line;
      return !found.empty() || ended_;
    });
    return found;
  }
  std::string all() {
    const std::lock_guard guard(mutex_);
    return log_;
  }

 private:
  void read(ChildProcess& child) {
    for (bool more = true; more;) {
      const std::string line = child.read_line(std::chrono::hours(1));
      more = !line.empty();
      const std::lock_guard guard(mutex_);
      if (more) log_ += line + '\n';
      ended_ = !more;
      came_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable came_;
  std::string log_;
  size_t read_ = 0;
  bool ended_ = false;
  std::thread thread_;
};

class Survival : public ::testing::Test {
 protected:
  void SetUp() override {
    keeper_ = std::make_unique<Service>(Words{"--socket", socket(), "--keeper"});
    log_ = std::make_unique<LogReader>(keeper_->process());
    next_broker();
    wait_ready();
  }
  void TearDown() override {
    keeper_->process().kill(SIGTERM);
    EXPECT_EQ(keeper_->process().wait(), 0);
    if (HasFailure())
      std::fprintf(stderr, "--- the end of the log, seed %u\n%s---\n", seed_, end_of_log().c_str());
    EXPECT_FALSE(exists(socket()));
  }
  std::string end_of_log() {
    const std::string log = log_->all();
    return log.substr(log.size() - std::min<size_t>(log.size(), 10'000));
  }

  // The lines of the log that contain it.
  std::string lines_with(const std::string& text) {
    std::istringstream log(log_->all());
    std::string found;
    for (std::string line; std::getline(log, line);)
      if (line.find(text) != line.npos) found += line + '\n';
    return found;
  }

  std::string socket() const { return dir_.path() + "/s"; }
  pid_t broker() const { return broker_; }
  LogReader& log() { return *log_; }

  // The one that the keeper starts next is the one that dies next.
  void next_broker() {
    broker_ = Service::number_in(log_->wait_for("event=keeper.broker_started"), " pid=");
    ASSERT_NE(broker_, 0);
  }
  // It may say so before the keeper says that it has started it.
  void wait_ready() {
    const std::string pid = fmt::format(" pid={} ", broker_);
    ASSERT_TRUE(wait_until([&] {
      return lines_with("event=daemon.ready").find(pid) != std::string::npos;
    })) << broker_;
  }
  void kill_broker() {
    Watched(broker_).kill();
    next_broker();
  }
  // Returns when it stands still: what is sent from now on it will not read.
  void stop_broker() {
    ::kill(broker_, SIGSTOP);
    EXPECT_TRUE(wait_until([this] { return first_line(broker_, "stat").find(") T ") != npos; }));
  }
  static std::string first_line(pid_t pid, const std::string& file) {
    std::string line;
    std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/" + file), line);
    return line;
  }
  static bool wait_until(auto&& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      ::sched_yield();
    }
    return true;
  }
  static constexpr size_t npos = std::string::npos;

  // Kills it and waits for its successor.
  void succeed() {
    kill_broker();
    if (!HasFatalFailure()) wait_ready();
  }

  std::chrono::microseconds random_us(int below) {
    return std::chrono::microseconds(random_() % static_cast<unsigned>(below));
  }
  static void spend(std::chrono::microseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) ::sched_yield();
  }

  std::unique_ptr<ChildProcess> survivor(const std::string& name) {
    auto child =
        std::make_unique<ChildProcess>(Words{UARENA_BIN_DIR "/../tests/survivor", socket(), name,
                                             UARENA_BPF_DIR, std::to_string(random_())});
    EXPECT_EQ(child->read_line(), "working");
    return child;
  }

  TempDir dir_;
  std::unique_ptr<Service> keeper_;
  std::unique_ptr<LogReader> log_;
  pid_t broker_ = 0;
  const unsigned seed_ = std::random_device{}();
  std::mt19937_64 random_{seed_};
};

}  // namespace uarena::testing
