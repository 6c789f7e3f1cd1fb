#include "tests/parity/reasons.h"

namespace uarena::testing {
namespace {

// What many rows come to: the client's own mapping of a file is not ours to guard.
constexpr const char* kOwnMapping =
    "the client owns its mapping of the memory file and may do this to itself; programs and other "
    "clients notice nothing";

constexpr Reason kReasons[] = {
    {"K1", "creating without privileges", "EPERM", "ok",
     "an arena is memory of the broker's that is charged to the uid who asks; no privilege is "
     "needed"},
    {"K10", "pages in use: of an arena that is new, with 2 allocated and 1 touched", "0, then 0",
     "0, then 3", "6.18 tells nothing; 7.3 tells what uarena does"},
    {"K13", "mmap shared, private, executable", "ok, EINVAL, EPERM", "ok, ok, ok", kOwnMapping},
    {"K13", "a client makes its mapping executable", "EACCES", "ok", kOwnMapping},
    {"K14", "mmap of a read-only descriptor, to write and to read", "EACCES, EINVAL", "EACCES, ok",
     "there is no read-only attach; who opens the memory file for reading sees its bytes, and "
     "holes as zeros"},
    {"K15", "mmap from an offset", "EINVAL", "ok", kOwnMapping},
    {"K15", "no length", "EINVAL", "ok", "an attach that states no length means the arena's"},
    {"K15", "a length that is not whole pages", "ok", "EINVAL",
     "an attach states the length exactly; nothing rounds it up"},
    {"K16", "the first mapping: all, a page more, a page less", "ok, ok, ok", "ok, E2BIG, EINVAL",
     "address and length are chosen when the arena is created, not by whoever maps it first"},
    {"K19", "address 0", "EINVAL", "ok", "an attach that states no address means the arena's"},
    {"K23", "munmap of one page", "EINVAL", "ok", kOwnMapping},
    {"K23", "mprotect of one page", "EINVAL", "ok", kOwnMapping},
    {"K23", "mremap to a page less, and elsewhere", "EINVAL, EINVAL", "ok, ok", kOwnMapping},
    {"K23", "mremap to a page more", "EFAULT", "ok", kOwnMapping},
    {"K24", "MADV_REMOVE of a page", "ENODEV", "ok",
     "it punches the memory file: the bytes are lost, and the page stays allocated"},
    {"K24", "another userfaultfd for the range", "EINVAL", "EBUSY",
     "the range has the broker's userfaultfd"},
    {"K30", "si_code of that", "1", "-5",
     "a process can't send another one a code above 0; this is SI_SIGIO"},
    {"K30", "a process with SIGSEGV blocked, ignored", "SIGSEGV, SIGSEGV", "SIGBUS, SIGBUS",
     "the broker can't force its signal on a process: it poisons the page, whose touch is SIGBUS"},
    {"K51", "what they return: fetch_add, xchg, cmpxchg, load_acquire",
     "as before, as before, as before, as before", "0, 0, 0, 0",
     "6.18 leaves the registers as they were; 7.2 clears them, as uarena does"},
};

}  // namespace

std::span<const Reason> parity_reasons() { return kReasons; }

}  // namespace uarena::testing
