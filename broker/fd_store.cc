#include "broker/fd_store.h"

#include <systemd/sd-daemon.h>

#include <charconv>
#include <cstdlib>

namespace uarena::broker {
namespace {

// A number without anything around it; 0 for all else.
size_t max_from_environment() {
  const char* socket = std::getenv("NOTIFY_SOCKET");
  const char* text = std::getenv("FDSTORE");
  if (socket == nullptr || *socket == '\0' || text == nullptr) return 0;
  const char* const end = text + std::strlen(text);
  size_t max = 0;
  const auto [stop, error] = std::from_chars(text, end, max);
  return error == std::errc{} && stop == end ? max : 0;
}

Result<void> tell_manager(const std::string& message, const int* fd, unsigned fds,
                          std::string_view name) {
  int sent;
  do {  // a full queue makes it wait, and a signal ends the wait
    sent = ::sd_pid_notify_with_fds(0, /*unset_environment=*/0, message.c_str(), fd, fds);
  } while (sent == -EINTR);
  if (sent > 0) return {};
  return fail_errno(sent == 0 ? ENOTCONN : -sent,
                    "cannot tell the service manager about the stored descriptor {}", name);
}

}  // namespace

FdStore::FdStore(const Inherited& inherited) : max_(max_from_environment()) {
  if (!available()) return;
  for (std::string& name : inherited.names()) {
    if (name == Inherited::kListener) continue;
    ++count_;
    name_bytes_ += name_cost(name);
    ++held_[std::move(name)];
  }
}

Result<void> FdStore::put(std::string_view name, int fd) {
  if (!is_fd_name(name))
    return fail(
        EINVAL,
        "a stored descriptor's name has 1..{} printable characters and no colon, not \"{}\"",
        kMaxFdName, name);
  if (!available()) return {};
  const std::lock_guard lock(mutex_);
  if (auto removed = remove_locked(name); !removed) return removed;
  if (count_ >= max_)
    return fail(ENOSPC, "the service manager keeps at most {} descriptors for us, and has them",
                max_);
  if (name_bytes_ + name_cost(name) > kMaxNamesOfStore)
    return fail(ENOSPC,
                "the names of the {} descriptors that the service manager keeps for us have {} "
                "bytes, allowed are {}",
                count_, name_bytes_, kMaxNamesOfStore);
  // Polled, a descriptor that shows an error would be dropped: userfaultfds do.
  if (auto told = tell_manager(fmt::format("FDSTORE=1\nFDNAME={}\nFDPOLL=0", name), &fd, 1, name);
      !told)
    return told;
  held_.emplace(name, 1);
  ++count_;
  name_bytes_ += name_cost(name);
  return {};
}

Result<void> FdStore::remove(std::string_view name) {
  const std::lock_guard lock(mutex_);
  return remove_locked(name);
}

Result<void> FdStore::remove_locked(std::string_view name) {
  const auto found = held_.find(name);
  if (found == held_.end()) return {};
  auto told = tell_manager(fmt::format("FDSTOREREMOVE=1\nFDNAME={}", name), nullptr, 0, name);
  if (!told) return told;
  count_ -= found->second;
  name_bytes_ -= found->second * name_cost(name);
  held_.erase(found);
  return {};
}

size_t FdStore::held() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

}  // namespace uarena::broker
