// A client as it should be, in a process of its own, for tests in which another one is not.
#pragma once

#include <gtest/gtest.h>

#include "tests/support/broker_process.h"

namespace uarena::testing {

// It attaches `arena`, which has more than 1000 pages, and a page fault of it is served.
inline void expect_served(const BrokerProcess& broker, const std::string& arena) {
  ChildProcess good({UARENA_BIN_DIR "/toucher", arena, "--hold"},
                    {"UARENA_SOCKET=" + broker.socket()});
  EXPECT_NE(good.read_line().find("base="), std::string::npos);
  good.write_line("write 1000 77");
  EXPECT_NE(good.read_line().find("ok"), std::string::npos);
  good.write_line("quit");
  EXPECT_EQ(good.wait(), 0);
}

}  // namespace uarena::testing
