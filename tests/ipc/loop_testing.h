// A test with a loop of its own. It ends by an event; a loop that never gets it is ended by a guard
// that fails the test.
#pragma once

#include <gtest/gtest.h>

#include <chrono>

#include "ipc/event_loop.h"

namespace uarena::ipc::testing {

class LoopTest : public ::testing::Test {
 protected:
  void run() {
    const auto guard = loop_.call_after(std::chrono::seconds(10), [this] {
      ADD_FAILURE() << "the loop was not stopped";
      loop_.stop();
    });
    loop_.run();
  }
  EventLoop loop_;
};

}  // namespace uarena::ipc::testing
