// A daemon, a good client and a bad one: whatever the bad one does, others are served meanwhile and
// afterwards, and the daemon holds not one descriptor, mapping or thread more than before.
#pragma once

#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/support/broker_process.h"
#include "tests/support/good_client.h"
#include "tests/support/raw_client.h"

namespace uarena::testing {

class Hostile : public ::testing::Test {
 protected:
  explicit Hostile(std::vector<std::string> broker_arguments = {})
      : broker_(std::move(broker_arguments)) {
    RawClient client(broker_.socket());
    if (!client.hello()) throw std::runtime_error("hello");
    auto made = client.create("heap", 1024);
    if (!made) throw std::runtime_error(made.error().error.message);
    info_ = made->body.info;
    // What the broker sets up on first use is there before the counting starts.
    serve_somebody();
    client.close();
    if (!broker_.wait_until_alone()) throw std::runtime_error(broker_.log());
    before_ = broker_.resources();
  }

  void TearDown() override {
    ASSERT_TRUE(broker_.alive()) << broker_.log();
    serve_somebody();
    EXPECT_TRUE(broker_.wait_until_alone()) << broker_.log();
    EXPECT_TRUE(broker_.wait_for_resources(before_))
        << "descriptors " << broker_.resources().descriptors << " (before " << before_.descriptors
        << "), mappings " << broker_.resources().mappings << " (before " << before_.mappings
        << "), threads " << broker_.resources().threads << " (before " << before_.threads << ")";
    EXPECT_EQ(broker_.stop(), 0);
  }

  void serve_somebody() { expect_served(broker_, "heap"); }

  // Greets and attaches; returns the memory file.
  Fd attach(RawClient& client) {
    EXPECT_TRUE(client.hello());
    auto attached = client.attach(info_.id);
    EXPECT_TRUE(attached);
    return std::move(attached->fds.at(0));
  }

  BrokerProcess broker_;
  uarena_arena_info info_{};
  Resources before_;
};

}  // namespace uarena::testing
