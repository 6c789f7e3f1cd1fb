#include "uffd/event_reader.h"

#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "uffd/uapi.h"

namespace uarena::uffd {
namespace {

Event parse(const struct uffd_msg& message) {
  Event event;
  event.code = message.event;
  if (message.event == UFFD_EVENT_PAGEFAULT) {
    const uint64_t flags = message.arg.pagefault.flags;
    event.fault.address = message.arg.pagefault.address;
    event.fault.ptid = message.arg.pagefault.feat.ptid;
    event.fault.write = (flags & UFFD_PAGEFAULT_FLAG_WRITE) != 0;
    event.kind = (flags & ~uint64_t{UFFD_PAGEFAULT_FLAG_WRITE}) == 0
                     ? Event::Kind::missing_page
                     : Event::Kind::unexpected_fault;
  } else if (message.event == UFFD_EVENT_FORK) {
    // Reading this message has put a descriptor into our table; nobody else knows of it.
    ::close(static_cast<int>(message.arg.fork.ufd));
  }
  return event;
}

}  // namespace

EventReader::Batch EventReader::read(int userfaultfd) {
  std::array<struct uffd_msg, kBatch> messages;
  iovec io{messages.data(), sizeof messages};
  const ssize_t bytes = ::preadv2(userfaultfd, &io, 1, -1, RWF_NOWAIT);
  if (bytes < 0) {
    if (errno == EAGAIN) return {};
    if (errno == EINTR) return {.events = {}, .more = true, .error = 0};
    return {.events = {}, .more = false, .error = errno};
  }
  const size_t count = static_cast<size_t>(bytes) / sizeof(struct uffd_msg);
  for (size_t i = 0; i < count; ++i) events_[i] = parse(messages[i]);
  return {.events = std::span(events_).first(count), .more = count == kBatch, .error = 0};
}

}  // namespace uarena::uffd
