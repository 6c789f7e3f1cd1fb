// Who may load programs. What an accepted program can do rests on the verifier alone, so this is
// the one right that connecting to the socket does not give: it is for root, for the broker's own
// uid, and for members of one group, if the broker was told of one.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "ipc/credentials.h"

namespace uarena::broker {

class LoadPolicy {
 public:
  LoadPolicy() = default;  // root and our own uid
  // `group`: a name or a number; empty: none. ENOENT: there is no such group.
  static Result<LoadPolicy> for_group(const std::string& group);

  // Nothing: the peer may load. EPERM: says who may.
  std::optional<Error> refusal(const ipc::PeerCredentials& peer) const;

 private:
  std::optional<gid_t> group_;
  std::string name_;
};

}  // namespace uarena::broker
