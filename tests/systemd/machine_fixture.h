// What tests in a machine share: the machine, the commands of the broker in it, and lines of
// clients.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include "tests/systemd/machine.h"

namespace uarena::testing {

using ::testing::HasSubstr;

inline constexpr char kBroker[] = "uarenad.service";
inline constexpr char kBrokerSocket[] = "uarenad.socket";
inline constexpr char kFs[] = "uarenafs.service";

class InMachine : public ::testing::Test {
 protected:
  using Words = Machine::Words;

  void SetUp() override {
    std::string why;
    machine_ = Machine::boot(why);
    if (machine_ == nullptr) GTEST_SKIP() << why;
  }
  void TearDown() override {
    if (machine_ != nullptr && HasFailure())
      std::fprintf(stderr, "--- log of the machine's services\n%s---\n", machine_->log().c_str());
  }

  // A command that must succeed; what it printed.
  std::string ok(const Words& words, User user = kRoot) {
    const RunOutput done = machine_->run(words, user);
    EXPECT_EQ(done.exit_code(), 0) << ::testing::PrintToString(words) << "\n"
                                   << done.out << done.err;
    return done.out;
  }
  void systemctl(Words words) {
    words.insert(words.begin(), "systemctl");
    ok(words);
  }
  std::string broker(const std::string& name) { return machine_->property(kBroker, name); }

  // Waits until a property of a unit has that value. systemd tells whoever is on its bus; here is
  // none, so it is asked every few ms.
  bool wait_for_property(const std::string& unit, const std::string& name,
                         const std::string& value) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (machine_->property(unit, name) != value) {
      if (std::chrono::steady_clock::now() > end) return false;
      ::poll(nullptr, 0, 5);
    }
    return true;
  }
  bool wait_for_state(const std::string& unit, const std::string& state) {
    return wait_for_property(unit, "ActiveState", state);
  }

  // A client that stays attached to an arena, has said so, and obeys lines: `read PAGE`.
  std::unique_ptr<ChildProcess> holder(const std::string& arena, User user = kMember,
                                       Words more = {}) {
    Words words{"toucher", arena, "--hold"};
    words.insert(words.end(), more.begin(), more.end());
    auto client = machine_->start(words, user);
    EXPECT_THAT(client->read_line(), HasSubstr("attached"));
    return client;
  }
  static std::string ask(ChildProcess& client, const std::string& line) {
    client.write_line(line);
    return client.read_line();
  }

  std::unique_ptr<Machine> machine_;
};

}  // namespace uarena::testing
