// Somebody who must have done something about pages before others count on them: before an
// allocation returns, and after a free. The arena does not know what.
#pragma once

#include <cstdint>

#include "ipc/base/page.h"

namespace uarena::broker {

class PageWatcher {
 public:
  virtual ~PageWatcher() = default;
  // From now on they are free. Called under the arena's lock, so in the order of things: returns at
  // once.
  virtual void freed(PageRange pages) = 0;
  // They are allocated and in the file, and who asked for them has not heard of it. Returns at
  // once, with a ticket for wait(). Called without the lock: they may be free again by now.
  virtual uint64_t allocated(PageRange pages) = 0;
  // Until that is done, or the watcher finds that it has waited long enough.
  virtual void wait(uint64_t ticket) = 0;
};

}  // namespace uarena::broker
