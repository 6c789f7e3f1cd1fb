#include "broker/descriptor_limit.h"

#include <sys/resource.h>

#include <cerrno>

#include "ipc/base/log.h"

namespace uarena::broker {

size_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) == 0) return limit.rlim_cur;
  log(LogLevel::warning, "daemon.descriptor_limit", {{"errno", errno}});
  return before;
}

}  // namespace uarena::broker
