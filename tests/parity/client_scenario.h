// A scenario of one client, in a process of its own, with the kernel's arena and with each kind of
// ours: what it saw comes back as a value, and the test compares.
#pragma once

#include <gtest/gtest.h>

#include <cerrno>

#include "tests/parity/arena_sides.h"
#include "tests/uffd/child.h"

namespace uarena::testing {

using uffd::testing::Child;
using uffd::testing::describe;
using uffd::testing::eventually;
using uffd::testing::Line;

// How an access ended: 0, or a signal and its code.
inline constexpr int kFine = 0;
inline constexpr int kNotMapped = 100 * SIGSEGV + SEGV_MAPERR;
inline constexpr int kNotAllowed = 100 * SIGSEGV + SEGV_ACCERR;
inline constexpr int kBehindTheFile = 100 * SIGBUS + BUS_ADRERR;
inline int access_page(const char* base, uint64_t page, bool write = true) {
  const auto signal = touch(reinterpret_cast<uint64_t>(base) + page * kPageSize, write);
  return signal ? 100 * signal->si_signo + signal->si_code : kFine;
}
inline int store_page(const char* base, uint64_t page) { return access_page(base, page); }
inline int load_page(const char* base, uint64_t page) { return access_page(base, page, false); }

// 0 or the errno of a call that returns -1.
inline int error_of(int64_t result) { return result == -1 ? errno : 0; }
inline int error_of(const void* mapped) { return mapped == MAP_FAILED ? errno : 0; }

template <typename Side>
class ClientScenario : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto reason = Side::unavailable()) {
      GTEST_SKIP() << *reason;
    } else {
      side_.emplace();
    }
  }
  // What a new client's `body` returns; its own value-initialised type, and a failure of the test,
  // where it ended otherwise.
  template <typename Body>
  auto in_client(Body&& body, unsigned long clone_flags = 0) {
    using Seen = decltype(body(Mapped{}));
    Child client([&](Line& line) { line.send(body(side_->map_again())); }, clone_flags);
    const auto seen = client.line().template receive<Seen>();
    EXPECT_EQ(describe(client.wait()), "exited 0");
    return seen.value_or(Seen{});
  }
  // Who owns its mapping may do what the kernel refuses for its own.
  static int ours(int result) { return Side::kKernels ? EINVAL : result; }
  // The pages that programs find taken, as bits.
  uint32_t taken() {
    uint32_t bits = 0;
    for (uint32_t page = 0; page < kPages; ++page)
      if (side_->run("alloc_pages", side_->at(page), 1) == 0)
        bits |= 1u << page;
      else
        side_->run("free_pages", side_->at(page), 1);
    return bits;
  }
  // Every client but this process has gone, and the broker has noticed.
  void expect_nobody_left() {
    if constexpr (!Side::kKernels) {
      EXPECT_TRUE(eventually([&] { return side_->stat().clients == 1; }));
    }
  }
  uint64_t peek(uint64_t page) { return side_->run("peek", side_->at(page), 0); }
  // Others go on as before: this process has the arena mapped, too.
  void expect_others_served(uint64_t page = kPages - 1) {
    EXPECT_FALSE(touch(side_->at(page)));
    EXPECT_NE(peek(page), 0u);
  }

  std::optional<Side> side_;
};

using AllSides = ::testing::Types<KernelSide, OurSide, NobodySide, DirectSide>;

}  // namespace uarena::testing
