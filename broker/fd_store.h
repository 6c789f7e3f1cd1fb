// Who keeps our descriptors for our successor: systemd's store (FileDescriptorStoreMax=) or the
// keeper, both spoken to by sd_notify(3). A put is one datagram, and when it returns the descriptor
// is in the manager's queue: a SIGKILL right after it loses nothing. Without a store every call
// succeeds and does nothing.
//
// A manager that has no room drops what it is sent and tells nobody, so room is counted here: the
// number that $FDSTORE says (systemd 254 sets it, and so do our unit and the keeper), and the bytes
// that all names may have (named_fd.h): 16-byte names make room for 7,000 descriptors, names of
// three bytes for 32,000.
//
// Names are unique here. Descriptors of one name are removed all at once. systemd keeps an open
// file once: a second put of a duplicate, whatever its name, is passed over in silence. To know
// that, it compares each new one with all that it has, so its time grows with the square: 1,000
// take it 0.6 s, 5,000 take it 15 s (252), and a put waits for it when its queue is full. The
// keeper does not compare.
//
// Thread-safe. A call waits while the manager's queue is full.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "broker/inherited.h"
#include "ipc/base/result.h"

namespace uarena::broker {

class FdStore {
 public:
  // No store.
  FdStore() = default;
  // The store that NOTIFY_SOCKET and FDSTORE speak of, if any. It holds what we inherited already
  // (nothing of which has been taken yet), except for sockets of the manager.
  explicit FdStore(const Inherited& inherited);
  FdStore(const FdStore&) = delete;
  FdStore& operator=(const FdStore&) = delete;

  bool available() const { return max_ != 0; }

  // Keeps a copy of `fd`, which stays the caller's, under that name: 1..255 printable characters,
  // no colon. What was there under that name is removed first; to have no moment at which neither
  // is held, put the new one under another name and then remove the old one. ENOSPC: no room.
  // EINVAL: no such name allowed. Others: the manager could not be reached and does not hold it.
  Result<void> put(std::string_view name, int fd);
  // Success also if there is none of that name.
  Result<void> remove(std::string_view name);

  size_t held() const;
  size_t max() const { return max_; }

 private:
  Result<void> remove_locked(std::string_view name);

  size_t max_ = 0;
  mutable std::mutex mutex_;  // held while sending: two calls for one name keep their order
  std::map<std::string, size_t, std::less<>> held_;  // how many of each name
  size_t count_ = 0;
  size_t name_bytes_ = 0;
};

}  // namespace uarena::broker
