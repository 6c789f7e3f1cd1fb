// The directory to mount on: made when it is the default one, freed of a dead predecessor, and
// removed again if we made it.
#pragma once

#include <string>
#include <vector>

#include "ipc/base/result.h"

namespace uarena::inspectfs {

// The file system type that we mount, as /proc/self/mountinfo shows it.
inline constexpr const char* kMountType = "fuse.uarenafs";

class MountPoint {
 public:
  // `path` must be a directory; with `make` it is made, and its parent, when they are missing.
  // EBUSY: a uarenafs that lives is mounted there. One that has died (a SIGKILL leaves its mount
  // behind, and every access fails with ENOTCONN) is unmounted, where we may.
  static Result<MountPoint> prepare(const std::string& path, bool make);

  MountPoint() = default;
  MountPoint(MountPoint&&) noexcept = default;
  MountPoint& operator=(MountPoint&&) noexcept = default;
  ~MountPoint();  // after the unmount

  const std::string& path() const { return path_; }  // absolute

 private:
  std::string path_;
  std::vector<std::string> made_;  // outer first
};

// The type of what is mounted on top at this absolute path, from the text of a mountinfo file; ""
// if nothing is.
std::string mounted_type(const std::string& mountinfo, const std::string& path);

}  // namespace uarena::inspectfs
