#include "tools/uarenafs/mount_point.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "ipc/base/log.h"

namespace uarena::inspectfs {
namespace {

// Blanks, tabs, newlines and backslashes of a path are \ooo in mountinfo.
std::string unescaped(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>(std::stoi(text.substr(i + 1, 3), nullptr, 8));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string file_text(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The path without symbolic links, except for its last part: that may be a dead mount, which can't
// be looked at.
Result<std::string> absolute(const std::string& path) {
  std::filesystem::path whole(path);
  if (!whole.has_filename()) whole = whole.parent_path();  // a slash at the end
  const std::string parent = whole.has_parent_path() ? whole.parent_path().string() : ".";
  char resolved[PATH_MAX];
  if (::realpath(parent.c_str(), resolved) == nullptr)
    return fail_errno(errno, "cannot look at {}", parent);
  return (std::filesystem::path(resolved) / whole.filename()).string();
}

Result<void> clear(const std::string& path) {
  if (mounted_type(file_text("/proc/self/mountinfo"), path) != kMountType) return {};
  struct stat st{};
  if (::stat(path.c_str(), &st) == 0 || errno != ENOTCONN)
    return fail(EBUSY, "a uarenafs is mounted on {} already", path);
  if (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
    return fail(EBUSY, "a uarenafs that has died is still mounted on {}: fusermount3 -u {}", path,
                path);
  log(LogLevel::info, "fs.dead_mount_removed", {{"mountpoint", path}});
  return {};
}

// Like the broker's: a user's own directory is nobody else's.
Result<void> make_directory(const std::string& path, std::vector<std::string>& made) {
  if (::mkdir(path.c_str(), ::geteuid() == 0 ? 0755 : 0700) == 0) {
    made.push_back(path);
    return {};
  }
  if (errno == EEXIST) return {};
  return fail_errno(errno, "cannot make the directory {}", path);
}

}  // namespace

std::string mounted_type(const std::string& mountinfo, const std::string& path) {
  std::string found;
  std::istringstream lines(mountinfo);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string word, where;
    for (int field = 0; field < 5; ++field) words >> where;
    while (words >> word && word != "-") {
    }
    if (words >> word && unescaped(where) == path) found = word;  // later ones lie on top
  }
  return found;
}

Result<MountPoint> MountPoint::prepare(const std::string& path, bool make) {
  MountPoint point;
  if (make) {
    const std::string parent = std::filesystem::path(path).parent_path();
    if (auto ok = make_directory(parent, point.made_); !ok) return std::unexpected(ok.error());
  }
  auto where = absolute(path);
  if (!where) return std::unexpected(where.error());
  if (auto ok = clear(*where); !ok) return std::unexpected(ok.error());
  if (make) {
    if (auto ok = make_directory(*where, point.made_); !ok) return std::unexpected(ok.error());
  }
  struct stat st{};
  if (::stat(where->c_str(), &st) != 0) return fail_errno(errno, "cannot mount on {}", *where);
  if (!S_ISDIR(st.st_mode)) return fail(ENOTDIR, "cannot mount on {}: it is no directory", *where);
  point.path_ = *where;
  return point;
}

MountPoint::~MountPoint() {
  for (auto directory = made_.rbegin(); directory != made_.rend(); ++directory)
    ::rmdir(directory->c_str());  // what others use meanwhile stays
}

}  // namespace uarena::inspectfs
