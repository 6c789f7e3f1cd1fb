// Userfaultfd on mappings of this process: claims, their ends, and what descriptors are refused.
// Clients that are accepted are in fault_loop_test.cc.
#include "uffd/userfaultfd.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <string>

#include "ipc/base/memory_map.h"
#include "ipc/base/page.h"
#include "tests/uffd/client.h"
#include "uffd/uapi.h"

namespace uarena::uffd {
namespace {

using ::testing::HasSubstr;
using testing::raw_userfaultfd;

constexpr uint64_t kPages = 16;
constexpr uint64_t kBytes = kPages * kPageSize;

// A memory file with two mappings: `view` is registered, `other` is how someone else uses it.
class OwnMapping : public ::testing::Test {
 protected:
  void SetUp() override {
    view_ = map();
    other_ = map();
    auto made = Userfaultfd::create_own(kFeatureSigbus);
    ASSERT_TRUE(made) << made.error().message;
    uffd_ = std::move(*made);
    ASSERT_TRUE(uffd_.register_missing(view_.address(), kBytes));
  }

  MemoryMap map() { return testing::map_shared(memory_, kBytes); }
  uint64_t page(uint64_t index) const { return view_.address() + index * kPageSize; }
  uint64_t pages_in_file() const { return testing::pages_in(memory_); }
  // What a system call finds at our view's address: EFAULT when the page is absent.
  int probe_read(uint64_t address) const {
    char byte = 0;
    iovec from{reinterpret_cast<void*>(address), 1};
    iovec to{&byte, 1};
    return ::process_vm_readv(::getpid(), &to, 1, &from, 1, 0) == 1 ? 0 : errno;
  }

  Fd memory_ = testing::make_memory(kBytes);
  MemoryMap view_, other_;
  Userfaultfd uffd_;
};

TEST_F(OwnMapping, ClaimPutsPagesIntoTheFile) {
  const RangeResult result = uffd_.zeropage(page(2), 3 * kPageSize);
  EXPECT_EQ(result.error, 0);
  EXPECT_EQ(result.done, 3 * kPageSize);
  EXPECT_EQ(pages_in_file(), 3u);
  other_.data()[2 * kPageSize] = std::byte{7};
  EXPECT_EQ(view_.data()[2 * kPageSize], std::byte{7});
}

TEST_F(OwnMapping, ClaimStopsAtTheFirstTakenPage) {
  other_.data()[5 * kPageSize] = std::byte{1};
  RangeResult result = uffd_.zeropage(page(3), 8 * kPageSize);
  EXPECT_EQ(result.error, EEXIST);
  EXPECT_EQ(result.done, 2 * kPageSize);
  EXPECT_EQ(other_.data()[5 * kPageSize], std::byte{1});
  EXPECT_EQ(pages_in_file(), 3u);
  result = uffd_.zeropage(page(5), kPageSize);
  EXPECT_EQ(result.error, EEXIST);
  EXPECT_EQ(result.done, 0u);
}

TEST_F(OwnMapping, ClaimOutsideTheRegistrationIsENOENT) {
  EXPECT_EQ(uffd_.zeropage(other_.address(), kPageSize).error, ENOENT);
}

TEST_F(OwnMapping, SystemCallsGetEfaultAndAllocateNothing) {
  EXPECT_EQ(probe_read(page(1)), EFAULT);
  EXPECT_EQ(pages_in_file(), 0u);
  ASSERT_EQ(uffd_.zeropage(page(1), kPageSize).error, 0);
  EXPECT_EQ(probe_read(page(1)), 0);
}

TEST_F(OwnMapping, AfterUnregisterTheKernelFillsAgain) {
  ASSERT_TRUE(uffd_.unregister(view_.address(), kBytes));
  view_.data()[0] = std::byte{1};
  EXPECT_EQ(pages_in_file(), 1u);
  EXPECT_EQ(uffd_.zeropage(page(1), kPageSize).error, ENOENT);
}

TEST_F(OwnMapping, PoisonOutlivesPunchAndAllocationAndIsClearedByContinue) {
  ASSERT_EQ(uffd_.poison(page(4), kPageSize).error, 0);
  EXPECT_EQ(uffd_.poison(page(4), kPageSize).error, EEXIST);
  EXPECT_EQ(uffd_.map_present(page(4), kPageSize).error, EFAULT) << "no page in the file";
  EXPECT_EQ(pages_in_file(), 0u);
  other_.data()[4 * kPageSize + 9] = std::byte{42};
  EXPECT_EQ(probe_read(page(4)), EFAULT) << "the allocation alone does not help";
  ASSERT_EQ(::fallocate(memory_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * kPageSize,
                        kPageSize),
            0);
  other_.data()[4 * kPageSize + 9] = std::byte{43};
  EXPECT_EQ(probe_read(page(4)), EFAULT) << "nor does punching";
  EXPECT_EQ(uffd_.map_present(page(4), kPageSize).error, 0);
  EXPECT_EQ(view_.data()[4 * kPageSize + 9], std::byte{43});
}

TEST_F(OwnMapping, TheOwnerCanDropPoisonWithoutAPage) {
  ASSERT_EQ(uffd_.poison(page(4), kPageSize).error, 0);
  ASSERT_EQ(::madvise(view_.data() + 4 * kPageSize, kPageSize, MADV_DONTNEED), 0);
  EXPECT_EQ(pages_in_file(), 0u);
  ASSERT_EQ(uffd_.zeropage(page(4), kPageSize).error, 0) << "an ordinary absent page again";
  EXPECT_EQ(probe_read(page(4)), 0);
}

TEST_F(OwnMapping, PoisonLeavesMappedPagesAlone) {
  ASSERT_EQ(uffd_.zeropage(page(6), kPageSize).error, 0);
  const RangeResult result = uffd_.poison(page(5), 3 * kPageSize);
  EXPECT_EQ(result.error, EEXIST);
  EXPECT_EQ(result.done, kPageSize);
  EXPECT_EQ(probe_read(page(6)), 0);
}

TEST_F(OwnMapping, WakeWithNobodyWaitingIsFine) {
  EXPECT_EQ(uffd_.wake(page(0), kBytes), 0);
  EXPECT_EQ(uffd_.wake(page(0) + 1, kBytes), EINVAL);
}

TEST_F(OwnMapping, ASecondRegistrationIsBusy) {
  auto second = Userfaultfd::create_own(0);
  ASSERT_TRUE(second);
  auto result = second->register_missing(view_.address(), kBytes);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, EBUSY);
  EXPECT_THAT(result.error().message, HasSubstr("another userfaultfd"));
}

TEST_F(OwnMapping, AnUnknownFeatureIsRefused) {
  auto made = Userfaultfd::create_own(uint64_t{1} << 60);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ENOTSUP);
}

// --- what adopt_untrusted refuses ---

void expect_refused(Fd fd, uint64_t address, uint64_t length, int code, const char* words) {
  auto adopted = Userfaultfd::adopt_untrusted(std::move(fd), address, length);
  ASSERT_FALSE(adopted);
  EXPECT_EQ(adopted.error().code, code) << adopted.error().message;
  EXPECT_THAT(adopted.error().message, HasSubstr(words));
}

TEST(AdoptUntrusted, OtherKindsOfDescriptors) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  Fd write_end(ends[1]);
  expect_refused(Fd(ends[0]), 0x10000, kPageSize, EBADF, "no userfaultfd");
  expect_refused(Fd(::memfd_create("anon_inode:[userfaultfd]", MFD_CLOEXEC)), 0x10000, kPageSize,
                 EBADF, "no userfaultfd");
  expect_refused(Fd(::eventfd(0, EFD_CLOEXEC)), 0x10000, kPageSize, EBADF, "no userfaultfd");
  expect_refused(Fd(), 0x10000, kPageSize, EBADF, "no userfaultfd");
}

TEST(AdoptUntrusted, ADescriptorThatWasUsedBefore) {
  Fd fd = raw_userfaultfd();
  ASSERT_TRUE(fd);
  struct uffdio_api api{};
  api.api = UFFD_API;
  ASSERT_EQ(::ioctl(fd.get(), UFFDIO_API, &api), 0);
  expect_refused(std::move(fd), 0x10000, kPageSize, EINVAL, "no ioctl may have been made on it");
}

TEST(AdoptUntrusted, NothingMappedThere) {
  expect_refused(raw_userfaultfd(), 0x7e8ff0000000, kPageSize, EINVAL, "nothing is mapped");
}

TEST_F(OwnMapping, AdoptingARangeOfAnotherUserfaultfdIsBusy) {
  expect_refused(raw_userfaultfd(), view_.address(), kBytes, EBUSY, "another userfaultfd");
}

TEST_F(OwnMapping, AdoptingMemoryThatCanNeverBeWrittenIsEperm) {
  const std::string path = "/proc/self/fd/" + std::to_string(memory_.get());
  const Fd read_only(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  auto mapped = MemoryMap::create(nullptr, kBytes, PROT_READ, MAP_SHARED, read_only.get(), 0,
                                  "read-only test memory");
  ASSERT_TRUE(mapped);
  expect_refused(raw_userfaultfd(), mapped->address(), kBytes, EPERM, "never be written");
}

TEST(AdoptUntrusted, TheOwnerIsDead) {
  testing::Child child([](testing::Line& line) {
    const Fd fd = testing::raw_userfaultfd();
    line.send_fd(fd.get());
  });
  Fd fd = child.line().receive_fd();
  ASSERT_EQ(testing::describe(child.wait()), "exited 0");
  expect_refused(std::move(fd), testing::kArena, testing::kArenaBytes, ENOMEM, "gone");
}

TEST(AdoptUntrusted, RangesThatAreNone) {
  expect_refused(raw_userfaultfd(), 0x10001, kPageSize, EINVAL, "whole pages");
  expect_refused(raw_userfaultfd(), 0x10000, 0, EINVAL, "whole pages");
  expect_refused(raw_userfaultfd(), ~uint64_t{0} & kPageMask, 2 * kPageSize, EINVAL, "whole pages");
}

}  // namespace
}  // namespace uarena::uffd
