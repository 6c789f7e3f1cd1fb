// What a keeper holds for the next broker: descriptors by name, within limits.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "broker/named_fd.h"
#include "ipc/base/result.h"

namespace uarena::broker {

class KeptFds {
 public:
  KeptFds(size_t max_fds, size_t max_name_bytes)
      : max_fds_(max_fds), max_name_bytes_(max_name_bytes) {}

  // All or none of them, under one name. ENOSPC: no room; `fds` is left as it was.
  Result<void> put(const std::string& name, std::vector<Fd>& fds);
  // All of that name; they are the caller's to close.
  std::vector<Fd> remove(const std::string& name);

  size_t size() const { return fds_.size(); }
  // In the order of their names.
  void for_each(const std::function<void(const std::string& name, int fd)>& visit) const;

 private:
  size_t max_fds_;
  size_t max_name_bytes_;
  std::multimap<std::string, Fd> fds_;
  size_t name_bytes_ = 0;
};

}  // namespace uarena::broker
