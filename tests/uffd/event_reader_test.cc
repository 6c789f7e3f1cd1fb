// Reading messages of real faults: exact, bounded, never waiting, and nothing dropped in silence.
#include "uffd/event_reader.h"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <set>
#include <thread>
#include <vector>

#include "ipc/base/memory_map.h"
#include "ipc/base/page.h"
#include "tests/uffd/client.h"
#include "uffd/uapi.h"

namespace uarena::uffd {
namespace {

using testing::kLimitMs;
using testing::load;
using testing::store;

constexpr uint64_t kPages = 80;
constexpr uint64_t kBytes = kPages * kPageSize;

// A registered mapping of this process; other threads touch it.
class OwnFaults : public ::testing::Test {
 protected:
  void open(uint64_t features, int mode = UFFD_REGISTER_MISSING) {
    map_ = testing::map_shared(memory_, kBytes);
    fd_ = testing::raw_userfaultfd();
    struct uffdio_api api{};
    api.api = UFFD_API;
    api.features = features;
    ASSERT_EQ(::ioctl(fd_.get(), UFFDIO_API, &api), 0);
    struct uffdio_register request{};
    request.range = {map_.address(), kBytes};
    request.mode = static_cast<uint64_t>(mode);
    ASSERT_EQ(::ioctl(fd_.get(), UFFDIO_REGISTER, &request), 0);
  }
  static constexpr int UFFD_REGISTER_MISSING = 1;

  uint64_t page(uint64_t index) const { return map_.address() + index * kPageSize; }
  bool wait_readable() {
    pollfd wait{fd_.get(), POLLIN, 0};
    return ::poll(&wait, 1, kLimitMs) == 1;
  }
  // Ends all faults, whatever became of the test. (Unregistering wakes waiters of missing mode
  // only.)
  void release() {
    struct uffdio_range range{map_.address(), kBytes};
    ::ioctl(fd_.get(), UFFDIO_UNREGISTER, &range);
    ::ioctl(fd_.get(), UFFDIO_WAKE, &range);
  }

  Fd memory_ = testing::make_memory(kBytes);
  MemoryMap map_;
  Fd fd_;
  EventReader reader_;
};

constexpr uint64_t kExact = UFFD_FEATURE_THREAD_ID | UFFD_FEATURE_EXACT_ADDRESS;

TEST_F(OwnFaults, NothingThereIsNoError) {
  open(kExact);
  const auto batch = reader_.read(fd_.get());
  EXPECT_TRUE(batch.events.empty());
  EXPECT_FALSE(batch.more);
  EXPECT_EQ(batch.error, 0);
}

TEST_F(OwnFaults, ABlockingDescriptorDoesNotBlockUs) {
  open(kExact);
  ASSERT_EQ(::fcntl(fd_.get(), F_SETFL, 0), 0);
  const auto batch = reader_.read(fd_.get());
  EXPECT_TRUE(batch.events.empty());
  EXPECT_EQ(batch.error, 0);
}

TEST_F(OwnFaults, AFaultWithAddressThreadAndKind) {
  open(kExact);
  uint32_t tid = 0;
  std::thread toucher([&] {
    tid = static_cast<uint32_t>(::gettid());
    store(page(3) + 0x123, 1);
  });
  EXPECT_TRUE(wait_readable());
  const auto batch = reader_.read(fd_.get());
  release();
  toucher.join();
  ASSERT_EQ(batch.events.size(), 1u);
  const Event& event = batch.events[0];
  EXPECT_EQ(event.kind, Event::Kind::missing_page);
  EXPECT_EQ(event.fault.address, page(3) + 0x123);
  EXPECT_EQ(event.fault.ptid, tid);
  EXPECT_TRUE(event.fault.write);
}

TEST_F(OwnFaults, LoadsAreNoWrites) {
  open(kExact);
  std::thread toucher([&] { load(page(0)); });
  EXPECT_TRUE(wait_readable());
  const auto batch = reader_.read(fd_.get());
  release();
  toucher.join();
  ASSERT_EQ(batch.events.size(), 1u);
  EXPECT_FALSE(batch.events[0].fault.write);
}

TEST_F(OwnFaults, AFloodComesInBoundedBatches) {
  open(kExact);
  std::vector<std::thread> touchers;
  for (uint64_t i = 0; i < kPages; ++i)
    touchers.emplace_back([address = page(i)] { store(address, 1); });
  std::set<uint64_t> pages;
  size_t largest = 0;
  while (pages.size() < kPages && wait_readable()) {
    const auto batch = reader_.read(fd_.get());
    largest = std::max(largest, batch.events.size());
    EXPECT_EQ(batch.more, batch.events.size() == EventReader::kBatch);
    for (const Event& event : batch.events) pages.insert(event.fault.address);
    if (batch.error != 0) break;
  }
  release();
  for (auto& toucher : touchers) toucher.join();
  EXPECT_EQ(pages.size(), kPages);
  EXPECT_LE(largest, EventReader::kBatch);
}

TEST_F(OwnFaults, OtherEventsAreReported) {
  open(kExact | UFFD_FEATURE_EVENT_REMOVE);
  std::thread remover([&] { ::madvise(map_.data(), kPageSize, MADV_DONTNEED); });
  EXPECT_TRUE(wait_readable());
  const auto batch = reader_.read(fd_.get());
  remover.join();
  ASSERT_EQ(batch.events.size(), 1u);
  EXPECT_EQ(batch.events[0].kind, Event::Kind::unexpected);
  EXPECT_EQ(batch.events[0].code, UFFD_EVENT_REMOVE);
}

TEST_F(OwnFaults, FaultsOfOtherModesAreReportedWithTheirAddress) {
  open(kExact | UFFD_FEATURE_MINOR_SHMEM, /*MINOR*/ 4);
  testing::put_byte(memory_, 2 * kPageSize, 1);
  std::thread toucher([&] { load(page(2) + 5); });
  EXPECT_TRUE(wait_readable());
  const auto batch = reader_.read(fd_.get());
  release();
  toucher.join();
  ASSERT_EQ(batch.events.size(), 1u);
  EXPECT_EQ(batch.events[0].kind, Event::Kind::unexpected_fault);
  EXPECT_EQ(batch.events[0].fault.address, page(2) + 5);
}

size_t open_descriptors() {
  size_t count = 0;
  DIR* entries = ::opendir("/proc/self/fd");
  while (::readdir(entries) != nullptr) ++count;
  ::closedir(entries);
  return count;
}

// Reading the message of a fork gives us a descriptor, wanted or not.
TEST_F(OwnFaults, AForkLeavesNoDescriptorBehind) {
  if (::geteuid() != 0) GTEST_SKIP() << "EVENT_FORK needs root";
  open(kExact | UFFD_FEATURE_EVENT_FORK);
  const size_t before = open_descriptors();
  std::thread forker([] {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    ::waitpid(child, nullptr, 0);
  });
  EXPECT_TRUE(wait_readable());
  const auto batch = reader_.read(fd_.get());
  forker.join();
  ASSERT_EQ(batch.events.size(), 1u);
  EXPECT_EQ(batch.events[0].code, UFFD_EVENT_FORK);
  EXPECT_EQ(open_descriptors(), before);
}

TEST(EventReader, AnUnreadableDescriptorIsAnError) {
  EventReader reader;
  const Fd fresh = testing::raw_userfaultfd();  // UFFDIO_API not called
  EXPECT_EQ(reader.read(fresh.get()).error, EINVAL);
  EXPECT_EQ(reader.read(-1).error, EBADF);
}

}  // namespace
}  // namespace uarena::uffd
