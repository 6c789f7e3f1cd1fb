// K33-K44: the arena functions as a program calls them, one rule each. Long random sequences are
// allocation_test's.
#include "tests/bpf/contexts.h"
#include "tests/parity/rows.h"
#include "tests/parity/touch.h"

namespace uarena::testing {
namespace {

// A number of pages that no free extent has.
constexpr uint32_t kMoreThanAll = 17;

uint64_t alloc_at(Subject& subject, uint64_t address, uint32_t pages, uint64_t flags = 0) {
  return subject.run("alloc_pages", kfunc_ctx{address, pages, -1, flags, 0}).result;
}
// Which page an allocation came to.
std::string place(Subject& subject, uint64_t address) {
  if (address == 0) return "NULL";
  return std::to_string((address - subject.base()) / kPageSize);
}
std::string alloc(Subject& subject, uint32_t pages) {
  return place(subject, alloc_at(subject, 0, pages));
}
std::string alloc_page(Subject& subject, uint64_t page, uint32_t pages = 1) {
  return place(subject, alloc_at(subject, subject.at(page), pages));
}
void free_pages(Subject& subject, uint64_t page, uint32_t pages) {
  subject.run("free_pages", kfunc_ctx{subject.at(page), pages, -1, 0, 0});
}
std::string reserve(Subject& subject, uint64_t address, uint32_t pages) {
  const auto context = subject.run("reserve_pages", kfunc_ctx{address, pages, -1, 0, 0});
  return errno_name(static_cast<int>(-static_cast<int64_t>(context.result)));
}
uint64_t peek(Subject& subject, uint64_t page) {
  return subject.run("peek", kfunc_ctx{subject.at(page), 0, -1, 0, 0}).result;
}

std::string new_arena(Side& side) {
  const auto subject = side.make();
  return joined({alloc(*subject, 3), alloc(*subject, 2), alloc_page(*subject, 9)});
}

std::string refused(Side& side) {
  const auto subject = side.make();
  const auto attempt = [&](uint64_t address, uint32_t pages, uint64_t flags = 0) {
    return place(*subject, alloc_at(*subject, address, pages, flags));
  };
  touch(subject->at(5));
  return joined({attempt(0, 1, 1), attempt(0, 0), attempt(0, kMoreThanAll),
                 attempt(subject->at(1) + 8, 1), attempt(subject->at(16), 1),
                 attempt(subject->at(4), 2)});
}

std::string low_half_counts(Side& side) {
  const auto subject = side.make();
  return place(*subject, alloc_at(*subject, subject->at(6) ^ 0x1234000000000000, 1));
}

std::string gaps(Side& side, const std::vector<uint64_t>& freed) {
  const auto subject = side.make();
  alloc_page(*subject, 0, 16);
  for (const uint64_t page : freed) free_pages(*subject, page, 1);
  std::vector<std::string> order;
  for (size_t i = 0; i <= freed.size(); ++i) order.push_back(alloc(*subject, 1));
  return joined(order);
}
std::string gaps_in_order(Side& side) { return gaps(side, {2, 6, 10, 14}); }
std::string gaps_in_disorder(Side& side) { return gaps(side, {10, 2, 14, 6}); }

std::string best_fit(Side& side) {
  const auto subject = side.make();
  alloc_page(*subject, 0, 16);
  free_pages(*subject, 1, 4);
  free_pages(*subject, 8, 2);
  return joined({alloc(*subject, 2), alloc(*subject, 2), alloc(*subject, 3)});
}

std::string zeroed(Side& side) {
  const auto subject = side.make();
  touch(subject->at(3));
  free_pages(*subject, 3, 1);
  alloc_page(*subject, 3);
  return std::to_string(peek(*subject, 3));
}

std::string frees_nothing(Side& side) {
  const auto subject = side.make();
  touch(subject->at(3));
  subject->run("free_pages", kfunc_ctx{0, 1, -1, 0, 0});
  free_pages(*subject, 3, 0);
  free_pages(*subject, 9, 2);
  return alloc_page(*subject, 3);
}

std::string frees_the_page_of_an_address(Side& side) {
  const auto subject = side.make();
  touch(subject->at(3));
  subject->run("free_pages", kfunc_ctx{subject->at(3) + 100, 1, -1, 0, 0});
  return alloc_page(*subject, 3);
}

std::string frees_as_far_as_the_end(Side& side) {
  const auto subject = side.make();
  touch(subject->at(14));
  touch(subject->at(15));
  free_pages(*subject, 15, 100);
  return joined({alloc_page(*subject, 15), alloc_page(*subject, 14)});
}

std::string free_of_reserved(Side& side) {
  const auto subject = side.make();
  reserve(*subject, subject->at(3), 4);
  touch(subject->at(4));
  const std::string before = alloc_page(*subject, 3);
  free_pages(*subject, 2, 6);
  return joined({before, alloc_page(*subject, 3, 4)});
}

std::string reservations(Side& side) {
  const auto subject = side.make();
  touch(subject->at(9));
  return joined({reserve(*subject, subject->at(3), 2), reserve(*subject, subject->at(4), 1),
                 reserve(*subject, subject->at(9), 1), reserve(*subject, subject->at(16), 1),
                 reserve(*subject, subject->at(6), 0), reserve(*subject, 0, 1)});
}

std::string unaligned_reservation(Side& side) {
  const auto subject = side.make();
  return joined({reserve(*subject, subject->at(3) + 8, 1), alloc_page(*subject, 3)});
}

std::string many_at_once(Side& side) {
  const auto subject = side.make({.pages = 4096});
  return joined({alloc(*subject, 2051), alloc(*subject, 2045), alloc(*subject, 1)});
}

constexpr Question kQuestions[] = {
    {"K33", "allocations of 3, of 2, of page 9", new_arena},
    {"K34", "flags, 0 pages, too many, unaligned, outside, one of two taken", refused},
    {"K35", "page 6 with another upper half", low_half_counts},
    {"K36", "pages freed in the order 2 6 10 14 are allocated as", gaps_in_order},
    {"K36", "pages freed in the order 10 2 14 6 are allocated as", gaps_in_disorder},
    {"K36", "gaps of 4 and of 2: 2 pages, 2 pages, 3 pages", best_fit},
    {"K37", "a word of a page that had another one before it was freed", zeroed},
    {"K38", "page 3 after frees of NULL, of 0 pages, of absent pages", frees_nothing},
    {"K38", "page 3 after a free of an address within it", frees_the_page_of_an_address},
    {"K38", "a free beyond the end: the last page, the one before", frees_as_far_as_the_end},
    {"K40", "a reserved page; after a free of reserved and touched ones", free_of_reserved},
    {"K41", "reservations: free, reserved, touched, outside, of 0 pages, of NULL", reservations},
    {"K41", "an unaligned reservation, and its page", unaligned_reservation},
    {"K44", "2,051 pages, 2,045, one more than there are", many_at_once},
};

}  // namespace

std::span<const Question> page_questions() { return kQuestions; }

}  // namespace uarena::testing
