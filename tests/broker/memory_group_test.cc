// What of a group's memory is for arenas. The memory controller is v1 or v2 on one machine, so the
// files here are of both kinds.
#include "broker/memory_group.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "ipc/base/page.h"
#include "tests/support/broker_process.h"

namespace uarena::broker {
namespace {

constexpr uint64_t kMiB = 1 << 20;

class MemoryGroupLimit : public ::testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = dir_.path() + "/" + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  std::optional<uint64_t> limit() const {
    const std::string root = dir_.path();
    return memory_group_limit({root + "/self", root + "/v2", root + "/hybrid", root + "/v1"});
  }
  const testing::TempDir dir_;
};

TEST_F(MemoryGroupLimit, NoneWithoutGroupsOrFiles) {
  EXPECT_EQ(limit(), std::nullopt);
  write("self", "4:memory:/a\n0::/b\n");
  EXPECT_EQ(limit(), std::nullopt);
  write("self", "\n:\nnonsense\n4:memory\n");
  EXPECT_EQ(limit(), std::nullopt);
}

TEST_F(MemoryGroupLimit, OfV2TheLowestOnTheWayUp) {
  write("self", "0::/system.slice/uarenad.service\n");
  write("v2/system.slice/uarenad.service/memory.max", "max\n");
  EXPECT_EQ(limit(), std::nullopt);
  write("v2/system.slice/memory.max", "1073741824\n");
  EXPECT_EQ(limit(), 1024 * kMiB);
  write("v2/system.slice/uarenad.service/memory.high", "536870912\n");
  EXPECT_EQ(limit(), 512 * kMiB);
  write("v2/memory.max", "1048576\n");  // a container's own group, seen from inside
  EXPECT_EQ(limit(), kMiB);
  write("v2/other/memory.max", "5\n");
  EXPECT_EQ(limit(), kMiB);
}

TEST_F(MemoryGroupLimit, OfV1TheKernelsMinimum) {
  write("self", "9:name=systemd:/x\n4:cpu,memory:/group\n0::/\n");
  write("v1/group/memory.stat", "cache 5\nhierarchical_memory_limit 9223372036854771712\n");
  EXPECT_EQ(limit(), std::nullopt);
  write("v1/group/memory.stat", "cache 5\nhierarchical_memory_limit 67108864\nrss 7\n");
  EXPECT_EQ(limit(), 64 * kMiB);
  write("hybrid/memory.max", "1048576\n");
  EXPECT_EQ(limit(), kMiB);
}

// In a container without a cgroup namespace the path is the host's.
TEST_F(MemoryGroupLimit, OfV1WithAPathFromOutside) {
  write("self", "4:memory:/docker/0123\n");
  write("v1/memory.stat", "hierarchical_memory_limit 67108864\n");
  EXPECT_EQ(limit(), 64 * kMiB);
}

TEST(PagesBesideBroker, LeavesTheBrokerItsOwn) {
  EXPECT_EQ(pages_beside_broker(0), 0u);
  EXPECT_EQ(pages_beside_broker(kMiB), kMiB / 2 / kPageSize);
  EXPECT_EQ(pages_beside_broker(64 * kMiB), 32 * kMiB / kPageSize);
  EXPECT_EQ(pages_beside_broker(1024 * kMiB), (1024 - 64 - 32) * kMiB / kPageSize);
  EXPECT_EQ(pages_beside_broker(65536 * kMiB), (65536 - 64 - 2048) * kMiB / kPageSize);
}

// Of this process's own, whatever it is: the kernel's files are understood.
TEST(MemoryGroupFilesTest, OfThisMachine) {
  const auto limit = memory_group_limit();
  EXPECT_TRUE(!limit || *limit > kMiB) << *limit;
}

}  // namespace
}  // namespace uarena::broker
