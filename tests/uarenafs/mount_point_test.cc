// Directories to mount on, and what mountinfo says about them. Dead mounts are in uarenafs_test.cc.
#include "tools/uarenafs/mount_point.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/ipc/ipc_testing.h"

namespace uarena::inspectfs {
namespace {

namespace stdfs = std::filesystem;

TEST(MountedType, TheTopmostMountCounts) {
  const std::string info =
      "22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
      "30 22 0:31 / /run/fs rw - tmpfs tmpfs rw\n"
      "31 30 0:32 / /run/fs ro,nosuid shared:2 master:1 - fuse.uarenafs uarena ro,user_id=0\n"
      "32 22 0:33 / /with\\040blank\\134 ro - fuse.uarenafs uarena ro\n"
      "33 22\n"
      "\n";
  EXPECT_EQ(mounted_type(info, "/"), "ext4");
  EXPECT_EQ(mounted_type(info, "/run/fs"), kMountType);
  EXPECT_EQ(mounted_type(info, "/run"), "");
  EXPECT_EQ(mounted_type(info, "/with blank\\"), kMountType);
  EXPECT_EQ(mounted_type("", "/"), "");
}

class MountPointTest : public ::testing::Test {
 protected:
  MountPointTest() {
    char name[] = "/tmp/uarena-mount-XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  ~MountPointTest() override { stdfs::remove_all(directory_); }
  stdfs::path directory_;
};

TEST_F(MountPointTest, OneThatIsGivenMustBeADirectory) {
  const auto there = MountPoint::prepare(directory_, false);
  ASSERT_TRUE(there) << there.error().message;
  EXPECT_EQ(there->path(), directory_);
  EXPECT_EQ(MountPoint::prepare(directory_ / "none", false).error().code, ENOENT);
  EXPECT_EQ(MountPoint::prepare(directory_ / "none/none", false).error().code, ENOENT);
  std::ofstream(directory_ / "file") << "x";
  EXPECT_EQ(MountPoint::prepare(directory_ / "file", false).error().code, ENOTDIR);
  EXPECT_EQ(MountPoint::prepare(directory_ / "file/x", false).error().code, ENOTDIR);
}

TEST_F(MountPointTest, PathsBecomeAbsolute) {
  stdfs::create_directory(directory_ / "real");
  stdfs::create_directory(directory_ / "real/m");
  stdfs::create_symlink("real", directory_ / "link");
  for (const char* path : {"link/m", "link/m/", "real/../real/m", "link/./m"})
    EXPECT_EQ(MountPoint::prepare((directory_ / path).string(), false)->path(),
              directory_ / "real/m")
        << path;
}

TEST_F(MountPointTest, TheDefaultOneIsMadeAndRemoved) {
  const stdfs::path parent = directory_ / "uarena", path = parent / "fs";
  {
    const auto made = MountPoint::prepare(path, true);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_TRUE(stdfs::is_directory(path));
  }
  EXPECT_FALSE(stdfs::exists(parent));
  // What was there stays, and so does what others put there meanwhile.
  stdfs::create_directory(parent);
  {
    EXPECT_TRUE(MountPoint::prepare(path, true));
  }
  EXPECT_TRUE(stdfs::exists(parent));
  EXPECT_FALSE(stdfs::exists(path));
  stdfs::remove(parent);
  {
    EXPECT_TRUE(MountPoint::prepare(path, true));
    const auto made = MountPoint::prepare(path, true);
    std::ofstream(parent / "uarena.sock") << "";
  }
  EXPECT_TRUE(stdfs::exists(parent / "uarena.sock"));
}

}  // namespace
}  // namespace uarena::inspectfs
