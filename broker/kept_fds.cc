#include "broker/kept_fds.h"

namespace uarena::broker {

Result<void> KeptFds::put(const std::string& name, std::vector<Fd>& fds) {
  const size_t bytes = fds.size() * name_cost(name);
  if (fds_.size() + fds.size() > max_fds_)
    return fail(ENOSPC, "{} descriptors are kept, {} more exceed {}", fds_.size(), fds.size(),
                max_fds_);
  if (name_bytes_ + bytes > max_name_bytes_)
    return fail(ENOSPC, "the names of {} descriptors have {} bytes, {} more exceed {}", fds_.size(),
                name_bytes_, bytes, max_name_bytes_);
  for (Fd& fd : fds) fds_.emplace(name, std::move(fd));
  fds.clear();
  name_bytes_ += bytes;
  return {};
}

std::vector<Fd> KeptFds::remove(const std::string& name) {
  std::vector<Fd> removed;
  const auto [first, last] = fds_.equal_range(name);
  for (auto i = first; i != last; ++i) removed.push_back(std::move(i->second));
  fds_.erase(first, last);
  name_bytes_ -= removed.size() * name_cost(name);
  return removed;
}

void KeptFds::for_each(const std::function<void(const std::string&, int)>& visit) const {
  for (const auto& [name, fd] : fds_) visit(name, fd.get());
}

}  // namespace uarena::broker
