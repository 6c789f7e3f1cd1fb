// What a broker tells its keeper: one datagram of sd_notify(3), lines of KEY=VALUE. Parsed here and
// nowhere else; what does not follow the rules is refused as a whole.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ipc/base/result.h"

namespace uarena::broker {

struct NotifyMessage {
  enum class Store { none, put, remove };

  bool ready = false;                    // READY=1
  bool stopping = false;                 // STOPPING=1
  std::optional<std::string> reloading;  // RELOADING=1: the MONOTONIC_USEC= beside it, "" without
  bool watchdog = false;                 // WATCHDOG=1
  std::optional<std::string> status;     // STATUS=
  Store store = Store::none;             // FDSTORE=1, FDSTOREREMOVE=1 (wins, as with systemd)
  std::string name;                      // FDNAME=, valid if store is not none
};

// systemd takes no more either.
inline constexpr size_t kMaxNotifyBytes = 4096;

// EMSGSIZE: too long. EINVAL: a zero byte inside, or a descriptor to be stored or removed without a
// proper name. Keys that we have no use for are passed over.
Result<NotifyMessage> parse_notify_untrusted(std::string_view datagram);

}  // namespace uarena::broker
