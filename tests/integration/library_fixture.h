// This process as a client of a broker of the test's own, through the C library as it is shipped.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/broker_process.h"
#include "uarena.h"

namespace uarena::testing {

constexpr uid_t kNobody = 65534;
constexpr int kWhyUnreachable = 4;  // uarena.h, uarena_why

class LibraryFixture : public ::testing::Test {
 protected:
  struct Close {
    void operator()(uarena_conn* conn) const { uarena_close(conn); }
  };
  using Conn = std::unique_ptr<uarena_conn, Close>;

  Conn connect() {
    uarena_conn* conn = nullptr;
    EXPECT_EQ(uarena_connect(broker_.socket().c_str(), &conn), 0) << uarena_error();
    return Conn(conn);
  }
  static uarena_info create(const Conn& conn, const std::string& name, uint32_t pages,
                            uint32_t flags = 0) {
    uarena_attr attr{};
    attr.map_type = UARENA_MAP_TYPE_ARENA;
    attr.max_entries = pages;
    attr.map_flags = UARENA_F_MMAPABLE | flags;
    uarena_info info{};
    EXPECT_EQ(uarena_create(conn.get(), name.c_str(), &attr, &info), 0) << uarena_error();
    return info;
  }
  static uarena_info stat(const Conn& conn, uint64_t arena) {
    uarena_info info{};
    EXPECT_EQ(uarena_stat(conn.get(), arena, &info), 0) << uarena_error();
    return info;
  }
  // The address, or nullptr and a test failure.
  static volatile char* attach(const Conn& conn, uint64_t arena) {
    void* base = nullptr;
    EXPECT_EQ(uarena_attach(conn.get(), arena, 0, &base), 0) << uarena_error();
    return static_cast<volatile char*>(base);
  }
  static volatile char* page(volatile char* base, unsigned n) {
    return base + n * size_t{UARENA_PAGE_SIZE};
  }
  static void* at(volatile char* base, unsigned n) { return const_cast<char*>(page(base, n)); }

  // The object with its programs, into an arena or the one it brings.
  static std::vector<uarena_prog> load(const Conn& conn, const std::string& object,
                                       uint64_t arena = 0) {
    std::array<uarena_prog, 16> programs{};
    const std::string path = std::string(UARENA_BPF_DIR) + "/" + object + ".bpf.o";
    const int count =
        uarena_prog_load(conn.get(), path.c_str(), arena, programs.data(), programs.size());
    EXPECT_GE(count, 1) << uarena_error() << uarena_log();
    return {programs.begin(), programs.begin() + std::max(count, 0)};
  }

  // Waits until the condition, about memory that another process or thread changes, holds.
  template <typename Condition>
  static bool wait_until(Condition&& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition()) {
      if (std::chrono::steady_clock::now() >= end) return false;
      ::sched_yield();
    }
    return true;
  }

  BrokerProcess broker_;
};

// The arena globals of long_run.bpf.c, at the start of its arena.
struct LongRun {
  volatile uint64_t turns;
  volatile uint64_t stop;
};

}  // namespace uarena::testing
