// Clients that lock their memory (K24): mlock makes pages as touching them would, by a system call,
// so it needs a userfaultfd that serves those. mlockall before the attach is undone for the arena:
// the kernel would fill all of it there and then.
#include <sys/syscall.h>

#include "tests/parity/client_scenario.h"

namespace uarena::testing {
namespace {

constexpr uint32_t kAllTaken = (1u << kPages) - 1;

template <typename Side>
class Locking : public ClientScenario<Side> {
 protected:
#ifdef UARENA_SANITIZED
  static constexpr bool kFewMappings = false;  // shadow memory of terabytes would be locked, too
#else
  static constexpr bool kFewMappings = true;
#endif
};
TYPED_TEST_SUITE(Locking, AllSides, SideName);

TYPED_TEST(Locking, MlockOfARange) {
  const int result = this->in_client([&](const Mapped& mapped) {
    return error_of(::syscall(SYS_mlock, mapped.base + kPageSize, 3 * kPageSize));
  });
  EXPECT_EQ(result, TypeParam::kSystemCallsServed ? 0 : ENOMEM);
  EXPECT_EQ(this->taken(), TypeParam::kSystemCallsServed ? 0xeu : 0u);
  this->expect_others_served();
}

// What who has no privilege does first.
using NobodysLocking = Locking<NobodySide>;
TEST_F(NobodysLocking, MlockAfterPrefault) {
  const auto seen = in_client([&](const Mapped& mapped) {
    char* start = mapped.base + kPageSize;
    const int64_t made = uarena_prefault(mapped.connection, side_->id(), start, 3 * kPageSize);
    return std::pair(made, error_of(::syscall(SYS_mlock, start, 3 * kPageSize)));
  });
  EXPECT_EQ(seen, std::pair(int64_t{3}, 0));
  EXPECT_EQ(taken(), 0xeu);
}

// Difference: the kernel's arena is of a kind that is never locked, so that nothing is left to do
// on faults, but filling it comes first all the same.
TYPED_TEST(Locking, MlockOnFaultTakesNoPageHere) {
  const auto seen = this->in_client([&](const Mapped& mapped) {
    const int result = error_of(::mlock2(mapped.base, kLength, MLOCK_ONFAULT));
    return std::pair(result, store_page(mapped.base, 2));
  });
  EXPECT_EQ(seen, std::pair(0, kFine));
  EXPECT_EQ(this->taken(), TypeParam::kKernels ? kAllTaken : 1u << 2);
}

TYPED_TEST(Locking, MlockallWhenItIsAttached) {
  if (!this->kFewMappings) GTEST_SKIP() << "a sanitizer's shadow can't be locked";
  const auto seen = this->in_client([&](const Mapped& mapped) {
    const int result = error_of(::mlockall(MCL_CURRENT));
    return std::pair(result, store_page(mapped.base, 2));
  });
  // Who has no privilege may be over its RLIMIT_MEMLOCK with all that it has mapped.
  const int over_its_limit = TypeParam::kSystemCallsServed ? 0 : ENOMEM;
  EXPECT_TRUE(seen.first == 0 || seen.first == over_its_limit) << seen.first;
  EXPECT_EQ(seen.second, kFine);
  EXPECT_EQ(this->taken(), TypeParam::kSystemCallsServed ? kAllTaken : 1u << 2);
  this->expect_others_served();
}

// What is mapped already is none of the future's.
TYPED_TEST(Locking, MlockallForWhatComesAfterwards) {
  if (!this->kFewMappings) GTEST_SKIP() << "a sanitizer's shadow can't be locked";
  const auto seen = this->in_client([&](const Mapped& mapped) {
    const int result = error_of(::mlockall(MCL_FUTURE));
    return std::pair(result, store_page(mapped.base, 2));
  });
  EXPECT_EQ(seen, std::pair(0, kFine));
  EXPECT_EQ(this->taken(), 1u << 2);
}

TYPED_TEST(Locking, MlockallBeforeItAttaches) {
  if (!this->kFewMappings) GTEST_SKIP() << "a sanitizer's shadow can't be locked";
  const auto seen = this->in_client([&](Mapped mapped) {
    const int released = this->side_->unmap(mapped);
    const int result = error_of(::mlockall(MCL_FUTURE));
    mapped = this->side_->map_again();
    return std::array{released, result, store_page(mapped.base, 2)};
  });
  EXPECT_EQ(seen, (std::array{0, 0, kFine}));
  EXPECT_EQ(this->taken(), TypeParam::kKernels ? kAllTaken : 1u << 2);
  this->expect_others_served();
}

}  // namespace
}  // namespace uarena::testing
