// Clients in other namespaces and of other users: the same faults, and the same signals at the same
// addresses, though the broker knows the thread by another number than it does itself.
#include <sched.h>

#include "tests/parity/client_scenario.h"
#include "tests/parity/in_child.h"

namespace uarena::testing {
namespace {

constexpr uint32_t kSegv = kBpfFMmapable | kBpfFSegvOnFault;

// Whether this machine lets us make one.
bool can_have(int clone_flag) {
  return in_child([&] { return ::unshare(clone_flag) == 0 ? 0 : 1; }) == 0;
}

struct Signal {
  int number = 0, code = 0;
  uint64_t address = 0;
  friend bool operator==(const Signal&, const Signal&) = default;
};
void PrintTo(const Signal& signal, std::ostream* out) {
  *out << fmt::format("{{{} {} {:#x}}}", signal.number, signal.code, signal.address);
}
Signal signal_at(uint64_t address) {
  const auto seen = touch(address);
  if (!seen) return {};
  return {seen->si_signo, seen->si_code, reinterpret_cast<uint64_t>(seen->si_addr)};
}

template <typename Side>
class Namespaces : public ClientScenario<Side> {
 protected:
  void expect_served(unsigned long clone_flags) {
    const int ended = this->in_client(
        [](const Mapped& mapped) { return store_page(mapped.base, 3); }, clone_flags);
    EXPECT_EQ(ended, kFine);
    this->expect_nobody_left();
    EXPECT_EQ(this->taken(), 1u << 3);
    EXPECT_EQ(this->peek(3), 1u);
    this->expect_others_served();
  }
  void expect_refused(unsigned long clone_flags) {
    this->side_.emplace(kSegv);
    constexpr uint64_t kOffset = 3 * kPageSize + 0x123;
    const Signal seen = this->in_client(
        [](const Mapped& mapped) {
          return signal_at(reinterpret_cast<uint64_t>(mapped.base) + kOffset);
        },
        clone_flags);
    EXPECT_EQ(seen, (Signal{SIGSEGV, Side::kSignalCode, kStart + kOffset}));
    EXPECT_EQ(this->taken(), 0u);
  }
};
TYPED_TEST_SUITE(Namespaces, AllSides, SideName);

TYPED_TEST(Namespaces, AnotherPidNamespace) {
  if (!can_have(CLONE_NEWPID)) GTEST_SKIP() << "no pid namespaces here";
  this->expect_served(CLONE_NEWPID);
}

TYPED_TEST(Namespaces, AnotherUserNamespace) {
  if (!can_have(CLONE_NEWUSER)) GTEST_SKIP() << "no user namespaces here";
  this->expect_served(CLONE_NEWUSER);
}

TYPED_TEST(Namespaces, AnotherPidAndUserNamespace) {
  if (!can_have(CLONE_NEWUSER | CLONE_NEWPID)) GTEST_SKIP() << "no such namespaces here";
  this->expect_served(CLONE_NEWUSER | CLONE_NEWPID);
}

// A `direct` arena refuses nothing.
template <typename Side>
class NamespacesSegv : public Namespaces<Side> {};
using RefusingSides = ::testing::Types<KernelSide, OurSide, NobodySide>;
TYPED_TEST_SUITE(NamespacesSegv, RefusingSides, SideName);

TYPED_TEST(NamespacesSegv, OurNamespaces) { this->expect_refused(0); }

TYPED_TEST(NamespacesSegv, AnotherPidNamespace) {
  if (!can_have(CLONE_NEWPID)) GTEST_SKIP() << "no pid namespaces here";
  this->expect_refused(CLONE_NEWPID);
}

TYPED_TEST(NamespacesSegv, AnotherUserNamespace) {
  if (!can_have(CLONE_NEWUSER)) GTEST_SKIP() << "no user namespaces here";
  this->expect_refused(CLONE_NEWUSER);
}

}  // namespace
}  // namespace uarena::testing
