#include "tools/start/fuse_mount.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/base/fd.h"
#include "ipc/base/log.h"

namespace uarena::start {
namespace {

constexpr std::string_view kFuse = "fuse";

Result<void> enter_mounts_of_init() {
  const Fd space(::open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!space || ::setns(space.get(), CLONE_NEWNS) != 0)
    return fail_errno(errno, "cannot enter the mount namespace of PID 1");
  return {};
}

// Whether something is mounted there. AT_STATX_DONT_SYNC and an empty mask keep the kernel from
// asking the file system: a mount whose server is gone, or not there yet, would not answer.
Result<bool> is_mounted(const std::string& directory) {
  struct statx found{};
  constexpr int kFlags = AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC;
  if (::statx(AT_FDCWD, directory.c_str(), kFlags, 0, &found) != 0) {
    if (errno == ENOENT) return false;
    return fail_errno(errno, "cannot look at {}", directory);
  }
  return (found.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

Result<void> unmount_all(const std::string& directory) {
  for (;;) {
    const auto mounted = is_mounted(directory);
    if (!mounted) return std::unexpected(mounted.error());
    if (!*mounted) return {};
    if (::umount2(directory.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
      return fail_errno(errno, "cannot unmount {}", directory);
    log(LogLevel::info, "start.unmounted", {{"directory", directory}});
  }
}

Result<void> make_directory(const std::string& directory) {
  if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST)
    return fail_errno(errno, "cannot make {}", directory);
  return {};
}

Result<Fd> mount_new(const std::string& directory) {
  Fd fuse(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!fuse) return fail_errno(errno, "cannot open /dev/fuse");
  // allow_other: the door is the directory above, which is for the group uarena.
  const std::string options = fmt::format(
      "fd={},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions", fuse.get());
  constexpr unsigned long kFlags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (::mount("uarena", directory.c_str(), "fuse.uarenafs", kFlags, options.c_str()) != 0)
    return fail_errno(errno, "cannot mount uarenafs on {}", directory);
  return fuse;
}

Result<void> hand_over(Manager& manager, int fuse) {
  if (auto told = manager.keep(kFuse, fuse); !told) return told;
  return manager.barrier();
}

}  // namespace

Result<void> mount_fuse(Manager& manager, const std::string& directory) {
  if (auto entered = enter_mounts_of_init(); !entered) return entered;
  if (auto made = make_directory(directory); !made) return made;
  if (auto cleared = unmount_all(directory); !cleared) return cleared;
  const auto fuse = mount_new(directory);
  if (!fuse) return std::unexpected(fuse.error());
  if (auto handed = hand_over(manager, fuse->get()); !handed) {
    (void)unmount_all(directory);  // the first error is the one to tell
    return handed;
  }
  log(LogLevel::info, "start.mounted", {{"directory", directory}});
  return {};
}

Result<void> unmount_fuse(const std::string& directory) {
  if (auto entered = enter_mounts_of_init(); !entered) return entered;
  return unmount_all(directory);
}

}  // namespace uarena::start
