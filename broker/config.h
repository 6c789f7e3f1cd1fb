// The configuration file (`uarenad --config FILE`, TOML): limits for users, groups and everybody,
// and for the broker as a whole.
//
//   [broker]
//   pages = 1048576           # of memory, for all users together
//   [limits]                  # everybody
//   pages = 262144            # 1 GiB
//   arenas = 16
//   [limits.group.developers] # by name or number
//   pages = "unlimited"
//   [limits.user.1000]
//   programs = 4
//
// A file with an error has no effect at all; the error names the file, the line and what is allowed
// there. uarenad.toml(5) describes it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "broker/limits.h"
#include "ipc/base/result.h"

namespace uarena::broker {

struct Config {
  std::optional<uint64_t> pages_of_broker;  // none: what its memory cgroup leaves
  LimitTable limits;
};

// Errors of the file itself: as open(2) and read(2), EFBIG. Of its content: EINVAL.
Result<Config> read_config(const std::string& path);
// `name` is what messages call it.
Result<Config> parse_config_untrusted(std::string_view text, std::string_view name);

}  // namespace uarena::broker
