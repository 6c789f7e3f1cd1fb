// K23, K24: what a client may do to its own mapping. Asked in a process each, whose mapping it is.
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <fstream>

#include "tests/parity/rows.h"
#include "tests/parity/touch.h"
#include "uffd/uapi.h"

namespace uarena::testing {
namespace {

// `body` in a process that has an arena of 16 pages at `base`, the first four of them touched.
std::string in_owner(Side& side, std::string (*body)(uint64_t base, uint64_t length)) {
  const auto subject = side.make();
  return subject->in_client([&] {
    for (uint64_t page = 0; page < 4; ++page) touch(subject->at(page));
    return body(subject->base(), subject->length());
  });
}

std::string unmaps_a_part(Side& side) {
  return in_owner(side, [](uint64_t base, uint64_t) {
    return call_result(::munmap(pointer(base + kPageSize), kPageSize));
  });
}

std::string unmaps_all(Side& side) {
  return in_owner(side, [](uint64_t base, uint64_t length) {
    return joined({call_result(::munmap(pointer(base), length)),
                   mapped(base) ? "it is mapped" : "nothing is mapped"});
  });
}

std::string protects_a_part(Side& side) {
  return in_owner(side, [](uint64_t base, uint64_t) {
    return call_result(::mprotect(pointer(base + kPageSize), kPageSize, PROT_READ));
  });
}

std::string protects_all(Side& side) {
  return in_owner(side, [](uint64_t base, uint64_t length) {
    return joined({call_result(::mprotect(pointer(base), length, PROT_READ)),
                   touch(base) ? "signal" : "written",
                   call_result(::mprotect(pointer(base), length, PROT_READ | PROT_WRITE)),
                   touch(base) ? "signal" : "written"});
  });
}

std::string remaps(Side& side) {
  const std::string shrunk = in_owner(side, [](uint64_t base, uint64_t length) {
    return call_result(::mremap(pointer(base), length, length - kPageSize, 0));
  });
  const std::string moved = in_owner(side, [](uint64_t base, uint64_t length) {
    return call_result(::mremap(pointer(base), length, length, MREMAP_MAYMOVE | MREMAP_FIXED,
                                pointer(base + 4 * length)));
  });
  return joined({shrunk, moved});
}

std::string grows(Side& side) {
  return in_owner(side, [](uint64_t base, uint64_t length) {
    return call_result(::mremap(pointer(base), length, length + kPageSize, 0));
  });
}

std::string drops_and_reads(Side& side) {
  return in_owner(side, [](uint64_t base, uint64_t length) {
    const std::string dropped = call_result(::madvise(pointer(base), length, MADV_DONTNEED));
    return joined({dropped, std::to_string(*static_cast<volatile uint8_t*>(pointer(base)))});
  });
}

std::string removes(Side& side) {
  return in_owner(side, [](uint64_t base, uint64_t) {
    return call_result(::madvise(pointer(base), kPageSize, MADV_REMOVE));
  });
}

std::string populates(Side& side) {
  return in_owner(side, [](uint64_t base, uint64_t length) {
    return call_result(::madvise(pointer(base), length, MADV_POPULATE_WRITE));
  });
}

std::string locks(Side& side) {
  return in_owner(side, [](uint64_t base, uint64_t) {
    return call_result(::mlock(pointer(base), 4 * kPageSize));
  });
}

std::string registers_another_userfaultfd(Side& side) {
  return in_owner(side, [](uint64_t base, uint64_t length) {
    const Fd fd(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | kUffdUserModeOnly)));
    uffdio_api api{};
    api.api = UFFD_API;
    if (!fd || ::ioctl(fd.get(), UFFDIO_API, &api) != 0) throw std::runtime_error("userfaultfd");
    uffdio_register range{};
    range.range = {base, length};
    range.mode = UFFDIO_REGISTER_MODE_MISSING;
    return call_result(::ioctl(fd.get(), UFFDIO_REGISTER, &range));
  });
}

constexpr Question kQuestions[] = {
    {"K23", "munmap of one page", unmaps_a_part},
    {"K23", "munmap of all", unmaps_all},
    {"K23", "mprotect of one page", protects_a_part},
    {"K23", "all read-only, a write, all writable, a write", protects_all},
    {"K23", "mremap to a page less, and elsewhere", remaps},
    {"K23", "mremap to a page more", grows},
    {"K24", "MADV_DONTNEED, and a read of what was written", drops_and_reads},
    {"K24", "MADV_REMOVE of a page", removes},
    {"K24", "MADV_POPULATE_WRITE of all", populates},
    {"K24", "mlock of pages that are there", locks},
    {"K24", "another userfaultfd for the range", registers_another_userfaultfd},
};

}  // namespace

std::span<const Question> own_mapping_questions() { return kQuestions; }

}  // namespace uarena::testing
