// Reads what the kernel has to say on one userfaultfd, without ever waiting: O_NONBLOCK belongs to
// the open file, which a client shares and can change at any time, so reads are preadv2 with
// RWF_NOWAIT. At most kBatch messages at a time, so that nobody can keep a fault thread for itself.
// Whatever is not a missing page is handed on as `unexpected`, never dropped in silence.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "uffd/resolver.h"

namespace uarena::uffd {

struct Event {
  enum class Kind {
    missing_page,      // `fault` says where
    unexpected_fault,  // write protection or minor fault, which we never register: `fault` too
    unexpected,        // any other message; `code` is the kernel's UFFD_EVENT_*
  };
  Kind kind = Kind::unexpected;
  uint8_t code = 0;
  Fault fault;
};

// One thread at a time.
class EventReader {
 public:
  static constexpr size_t kBatch = 64;

  struct Batch {
    std::span<const Event> events;  // valid until the next read()
    bool more = false;              // the batch was full: there may be more already
    int error = 0;                  // the descriptor can't be read (not: nothing there)
  };
  Batch read(int userfaultfd);

 private:
  std::array<Event, kBatch> events_;
};

}  // namespace uarena::uffd
