#include "broker/inherited.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <systemd/sd-daemon.h>

#include <cstdlib>
#include <fstream>

#include "ipc/socket_file.h"

namespace uarena::broker {
namespace {

constexpr unsigned kMiscMajor = 10;  // of devices that have no major number of their own

// What sd_listen_fds_with_names gives: a list and its strings, to be freed.
class Names {
 public:
  ~Names() {
    for (char** name = names_; name != nullptr && *name != nullptr; ++name) std::free(*name);
    std::free(names_);
  }
  char*** out() { return &names_; }
  std::string at(size_t i) const { return names_ == nullptr ? "" : names_[i]; }

 private:
  char** names_ = nullptr;
};

// The name of a misc device, "" if nobody tells. /proc/misc is missing for services that see of
// /proc only processes; sysfs tells the same.
std::string misc_device_name(unsigned minor_number) {
  std::ifstream list("/proc/misc");
  unsigned number = 0;
  for (std::string name; list >> number >> name;)
    if (number == minor_number) return name;
  std::ifstream event(fmt::format("/sys/dev/char/{}:{}/uevent", kMiscMajor, minor_number));
  constexpr std::string_view kKey = "DEVNAME=";
  for (std::string line; std::getline(event, line);)
    if (line.starts_with(kKey)) return line.substr(kKey.size());
  return "";
}

Result<void> check_device(int fd, std::string_view name) {
  struct stat st{};
  if (::fstat(fd, &st) != 0) return fail_errno(errno, "cannot look at the inherited {}", name);
  if (!S_ISCHR(st.st_mode) || major(st.st_rdev) != kMiscMajor ||
      misc_device_name(minor(st.st_rdev)) != name)
    return fail(ENODEV, "the inherited descriptor {} is not an open /dev/{}", name, name);
  return {};
}

}  // namespace

Result<Inherited> Inherited::from_environment() {
  Names names;
  const int count = ::sd_listen_fds_with_names(/*unset_environment=*/1, names.out());
  if (count < 0)
    return fail_errno(-count, "LISTEN_FDS and LISTEN_FDNAMES do not fit what was inherited");
  std::vector<NamedFd> fds;
  for (int i = 0; i < count; ++i)
    fds.push_back({names.at(static_cast<size_t>(i)), Fd(SD_LISTEN_FDS_START + i)});
  return Inherited(std::move(fds));
}

std::optional<Fd> Inherited::take(std::string_view name) {
  const auto found = std::ranges::find(fds_, name, &NamedFd::name);
  if (found == fds_.end()) return std::nullopt;
  Fd fd = std::move(found->fd);
  fds_.erase(found);
  return fd;
}

// One pass, since a broker may leave thousands.
std::vector<NamedFd> Inherited::take_all(const std::function<bool(std::string_view)>& wanted) {
  std::vector<NamedFd> taken;
  for (NamedFd& named : fds_)
    if (wanted(named.name)) taken.push_back(std::move(named));
  std::erase_if(fds_, [](const NamedFd& named) { return !named.fd; });
  return taken;
}

Result<std::optional<Fd>> Inherited::take_listener() {
  auto fd = take(kListener);
  if (fd)
    if (auto good = ipc::check_listening(fd->get()); !good) return std::unexpected(good.error());
  return fd;
}

Result<std::optional<Fd>> Inherited::take_device(std::string_view name) {
  auto fd = take(name);
  if (fd)
    if (auto good = check_device(fd->get(), name); !good) return std::unexpected(good.error());
  return fd;
}

std::vector<std::string> Inherited::names() const {
  std::vector<std::string> all;
  for (const NamedFd& named : fds_) all.push_back(named.name);
  return all;
}

}  // namespace uarena::broker
