#include "tools/uarenafs/inherited.h"

#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <systemd/sd-daemon.h>

#include <cstdlib>
#include <string_view>
#include <vector>

#include "ipc/base/log.h"

namespace uarena::inspectfs {
namespace {

constexpr unsigned kMiscMajor = 10, kFuseMinor = 229;  // /dev/fuse

Result<void> check_fuse_untrusted(int fd) {
  struct stat st{};
  if (::fstat(fd, &st) != 0) return fail_errno(errno, "cannot look at descriptor {}", fd);
  if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(kMiscMajor, kFuseMinor))
    return fail(EINVAL, "the descriptor called \"fuse\" is no /dev/fuse");
  // An open /dev/fuse that was never mounted, or is no longer, is always in error.
  pollfd state{fd, POLLIN, 0};
  if (::poll(&state, 1, 0) < 0 || (state.revents & (POLLERR | POLLNVAL)) != 0)
    return fail(EINVAL, "the descriptor called \"fuse\" is not mounted");
  return {};
}

}  // namespace

Result<Fd> take_inherited_fuse_untrusted() {
  char** names = nullptr;
  const int count = ::sd_listen_fds_with_names(1, &names);
  if (count < 0) return fail_errno(-count, "cannot take the descriptors that were passed");
  Fd fuse;
  bool twice = false;
  for (int i = 0; i < count; ++i) {
    Fd fd(SD_LISTEN_FDS_START + i);
    const std::string_view name = names[i];
    if (name == "fuse") {
      twice = twice || fuse;
      fuse = std::move(fd);
    } else {
      log(LogLevel::warning, "fd.not_used", {{"name", name}});
    }
    std::free(names[i]);
  }
  std::free(names);
  if (count == 0) return Fd();
  if (twice) return fail(EINVAL, "two of the descriptors that were passed are called \"fuse\"");
  if (!fuse) return fail(EINVAL, "none of the descriptors that were passed is called \"fuse\"");
  if (auto ok = check_fuse_untrusted(fuse.get()); !ok) return std::unexpected(ok.error());
  return fuse;
}

}  // namespace uarena::inspectfs
