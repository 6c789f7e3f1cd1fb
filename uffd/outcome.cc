#include "uffd/outcome.h"

#include <cerrno>

namespace uarena::uffd {
namespace {

struct Row {
  Attempt attempt;
  int error;
  Outcome outcome;
};

constexpr Row kRows[] = {
    // UFFDIO_WAKE after the page went into the memory file. It never meets EAGAIN and succeeds even
    // for a process that is gone; its only errno is EINVAL, for a range that is none: our bug.
    {Attempt::wake, 0, Outcome::present},

    // UFFDIO_ZEROPAGE: the page is claimed and mapped, and waiters are woken.
    {Attempt::zeropage, 0, Outcome::installed},
    // Someone else's page is there. This does NOT wake: a second client may wait for it.
    {Attempt::zeropage, EEXIST, Outcome::present},
    // The owner is changing its mappings and the message about that is unread (only with events
    // that were asked for).
    {Attempt::zeropage, EAGAIN, Outcome::deferred},
    // The mapping is gone or no longer registered with us (munmap, MAP_FIXED, mremap).
    {Attempt::zeropage, ENOENT, Outcome::discarded},
    // The process's memory is gone: exit, kill, exec.
    {Attempt::zeropage, ESRCH, Outcome::discarded},

    // UFFDIO_CONTINUE: the file's page is mapped (over poison too), and waiters are woken.
    {Attempt::map_present, 0, Outcome::installed},
    {Attempt::map_present, EEXIST, Outcome::present},
    {Attempt::map_present, EAGAIN, Outcome::deferred},
    {Attempt::map_present, ENOENT, Outcome::discarded},
    {Attempt::map_present, ESRCH, Outcome::discarded},
    // EFAULT (the file has no page there) is an error: the caller was told that it has.

    // UFFDIO_POISON: touching the page is a SIGBUS, waiters are woken into it.
    {Attempt::poison, 0, Outcome::installed},
    // Mapped, guarded or poisoned meanwhile. Does not wake either.
    {Attempt::poison, EEXIST, Outcome::present},
    {Attempt::poison, EAGAIN, Outcome::deferred},
    {Attempt::poison, ENOENT, Outcome::discarded},
    {Attempt::poison, ESRCH, Outcome::discarded},

    // The SIGSEGV to the thread. EPERM is an error here: the caller poisons instead.
    {Attempt::signal, 0, Outcome::installed},
    {Attempt::signal, ESRCH, Outcome::discarded},
};

}  // namespace

Outcome outcome_of(Attempt attempt, int error) {
  for (const Row& row : kRows)
    if (row.attempt == attempt && row.error == error) return row.outcome;
  return Outcome::error;
}

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::installed:
      return "installed";
    case Outcome::present:
      return "present";
    case Outcome::deferred:
      return "deferred";
    case Outcome::discarded:
      return "discarded";
    case Outcome::error:
      return "error";
  }
  return "?";
}

}  // namespace uarena::uffd
