// K13-K22, K25: who may map an arena where, and who shares it then.
#include <fcntl.h>
#include <sys/mman.h>

#include "tests/bpf/contexts.h"
#include "tests/parity/in_child.h"
#include "tests/parity/rows.h"
#include "tests/parity/touch.h"

namespace uarena::testing {
namespace {

constexpr int kReadWrite = PROT_READ | PROT_WRITE;

// mmap of the descriptor where the arena belongs, in a process that has nothing there.
std::string mapped_by_hand(Subject& subject, int file, int protection, int sharing,
                           off_t offset = 0, uint64_t length = 0) {
  const int status = in_child([&] {
    const void* at = ::mmap(pointer(subject.base()), length != 0 ? length : subject.length(),
                            protection, sharing | MAP_FIXED_NOREPLACE, file, offset);
    return at == MAP_FAILED ? errno : 0;
  });
  return errno_name(WEXITSTATUS(status));
}

std::string private_or_executable(Side& side) {
  const auto subject = side.make();
  const int file = subject->file();
  return joined({mapped_by_hand(*subject, file, kReadWrite, MAP_SHARED),
                 mapped_by_hand(*subject, file, kReadWrite, MAP_PRIVATE),
                 mapped_by_hand(*subject, file, PROT_READ | PROT_EXEC, MAP_SHARED)});
}

std::string clients_mapping_executable(Side& side) {
  const auto subject = side.make();
  return subject->in_client([&] {
    return call_result(::mprotect(pointer(subject->base()), subject->length(),
                                  PROT_READ | PROT_WRITE | PROT_EXEC));
  });
}

std::string read_only_descriptor(Side& side) {
  const auto subject = side.make();
  const Fd read_only = subject->read_only_file();
  return joined({mapped_by_hand(*subject, read_only.get(), kReadWrite, MAP_SHARED),
                 mapped_by_hand(*subject, read_only.get(), PROT_READ, MAP_SHARED)});
}

std::string from_an_offset(Side& side) {
  const auto subject = side.make();
  return mapped_by_hand(*subject, subject->file(), kReadWrite, MAP_SHARED, kPageSize);
}

std::string lengths(Side& side) {
  const auto subject = side.make();
  const auto at_base = [&](uint64_t length) {
    return errno_name(subject->map_in_another(subject->base(), length));
  };
  return joined({at_base(kMaxArenaSize + kPageSize), at_base(subject->length() + kPageSize),
                 at_base(subject->length() - kPageSize), at_base(subject->length())});
}

std::string no_length(Side& side) {
  const auto subject = side.make();
  return errno_name(subject->map_in_another(subject->base(), 0));
}

std::string part_of_a_page_less(Side& side) {
  const auto subject = side.make();
  return errno_name(subject->map_in_another(subject->base(), subject->length() - 1));
}

std::string other_addresses(Side& side) {
  const auto subject = side.make();
  const auto length = subject->length();
  return joined({errno_name(subject->map_in_another(subject->at(1), length)),
                 errno_name(subject->map_in_another(subject->base() - kPageSize, length))});
}

std::string no_address(Side& side) {
  const auto subject = side.make();
  return errno_name(subject->map_in_another(0, subject->length()));
}

std::string first_of_another_length(Side& side) {
  const uint64_t length = 16 * kPageSize;
  return joined({errno_name(side.first_mapping(16, length)),
                 errno_name(side.first_mapping(16, length + kPageSize)),
                 errno_name(side.first_mapping(16, length - kPageSize))});
}

// Of an arena to which its first mapping has given an address, as far as mappings do that.
std::string after_the_first(Side& side) {
  const auto subject = side.make({.map_extra = false});
  const auto length = subject->length();
  return joined({errno_name(subject->map_in_another(subject->base(), length)),
                 errno_name(subject->map_in_another(subject->at(1), length)),
                 errno_name(subject->map_in_another(subject->base(), length + kPageSize)),
                 errno_name(subject->map_in_another(subject->base(), length - kPageSize))});
}

std::string place_of_the_largest(Side& side) {
  const auto subject = side.make({.pages = kMaxArenaPages, .map_extra = false});
  return fmt::format("{:#x}", static_cast<uint32_t>(subject->base()));
}

std::string shared_with_another(Side& side) {
  const auto subject = side.make();
  auto* word = static_cast<volatile uint64_t*>(pointer(subject->at(3)));
  *word = 5;
  const std::string seen = subject->in_client([&] {
    const uint64_t found = *word;
    *word = 6;
    return std::to_string(found);
  });
  return fmt::format("{} there, {} back", seen, static_cast<uint64_t>(*word));
}

std::string child_after_fork(Side& side) {
  const auto subject = side.make();
  touch(subject->at(2));
  const int status =
      in_child([&] { return mapped(subject->at(0)) || mapped(subject->at(2)) ? 1 : 0; });
  return WEXITSTATUS(status) == 0 ? "nothing is mapped" : "it is mapped";
}

// Whatever descriptor of the arena a client has, it needs none for its mapping.
std::string without_a_descriptor(Side& side) {
  const auto subject = side.make();
  const int file = subject->file();
  return subject->in_client([&] {
    ::close(file);
    const bool served = !touch(subject->at(5));
    return std::string(served ? "page" : "signal");
  });
}

constexpr Question kQuestions[] = {
    {"K13", "mmap shared, private, executable", private_or_executable},
    {"K13", "a client makes its mapping executable", clients_mapping_executable},
    {"K14", "mmap of a read-only descriptor, to write and to read", read_only_descriptor},
    {"K15", "mmap from an offset", from_an_offset},
    {"K15", "more than 4 GiB, a page more, a page less, all", lengths},
    {"K15", "no length", no_length},
    {"K15", "a length that is not whole pages", part_of_a_page_less},
    {"K16", "the first mapping: all, a page more, a page less", first_of_another_length},
    {"K16-K18", "no map_extra, mapped: the same range, elsewhere, longer, shorter",
     after_the_first},
    {"K19", "a page above, a page below", other_addresses},
    {"K19", "address 0", no_address},
    {"K20", "the low half of a 4 GiB arena's address", place_of_the_largest},
    {"K21", "another process finds a word, and writes one", shared_with_another},
    {"K22", "a child after fork", child_after_fork},
    {"K25", "a touch when the descriptor is closed", without_a_descriptor},
};

}  // namespace

std::span<const Question> mapping_questions() { return kQuestions; }

}  // namespace uarena::testing
