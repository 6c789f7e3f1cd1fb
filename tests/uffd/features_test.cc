// The probe, on the real kernel: what it says must be what happens.
#include "uffd/features.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "tests/uffd/child.h"
#include "uffd/userfaultfd.h"

namespace uarena::uffd {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(Features, RootOnThisKernelHasEverything) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const Features found = probe();
  EXPECT_EQ(found.access, Access::full);
  EXPECT_TRUE(found.missing && found.zeropage && found.wake);
  EXPECT_TRUE(found.poison && found.resume && found.nowait_read);
  EXPECT_TRUE(found.has(kFeatureSigbus | kFeatureThreadId | kFeatureExactAddress));
  EXPECT_TRUE(found.enough_for_clients());
  EXPECT_THAT(found.summary(), StartsWith("full, missing faults, "));
}

// In a child that gives its privileges up: still everything but faults of system calls.
TEST(Features, NobodyGetsUserModeOnly) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become nobody";
  testing::Child child([](testing::Line&) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(2);
    const Features found = probe();
    const bool own = Userfaultfd::create_own(kFeatureSigbus).has_value();
    const bool good = found.access == Access::user_mode_only && found.zeropage &&
                      found.nowait_read && !found.device && own;
    ::_exit(good ? 0 : 1);
  });
  EXPECT_EQ(testing::describe(child.wait()), "exited 0");
}

TEST(Features, SummaryNamesWhatIsMissing) {
  Features found;
  found.access_errno = 1;
  EXPECT_EQ(found.summary(), "none: userfaultfd(2) failed: Operation not permitted");
  found.access = Access::user_mode_only;
  found.missing = found.wake = true;
  EXPECT_THAT(found.summary(), StartsWith("user mode only, missing faults, wake; without "));
  EXPECT_THAT(found.summary(), HasSubstr("poison"));
  EXPECT_FALSE(found.enough_for_clients());
  found.nowait_read = true;
  EXPECT_TRUE(found.enough_for_clients());
  EXPECT_THAT(found.summary(), Not(HasSubstr("without reads")));
}

TEST(Features, AskedOncePerProcess) { EXPECT_EQ(&features(), &features()); }

}  // namespace
}  // namespace uarena::uffd
