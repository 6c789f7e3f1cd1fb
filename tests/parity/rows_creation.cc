// K1-K10: what arenas can be made, and what their owner learns of them. The whole grid of
// attributes is creation_test's.
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/bpf/contexts.h"
#include "tests/parity/rows.h"
#include "tests/parity/touch.h"

namespace uarena::testing {
namespace {

constexpr uid_t kNobody = 65534;
constexpr uint64_t kSomewhere = 0x7e9700000000;  // begins a 4 GiB line; no side's arenas are there

std::string created(Side& side, KernelMapAttr attr) {
  attr.name = "asked";
  return errno_name(side.create(attr));
}

// As another user of this thread: the kernel drops the capabilities with it.
std::string without_privilege(Side& side) {
  if (::syscall(SYS_setresuid, -1, kNobody, -1) != 0) throw std::runtime_error("setresuid");
  std::string answer = created(side, {.max_entries = 1});
  if (::syscall(SYS_setresuid, -1, 0, -1) != 0) throw std::runtime_error("setresuid back");
  return answer;
}

std::string attributes(Side& side) {
  constexpr uint32_t kPreallocated = 1;  // a flag of other maps
  return joined({created(side, {.key_size = 4, .max_entries = 1}),
                 created(side, {.value_size = 8, .max_entries = 1}),
                 created(side, {.max_entries = 0}),
                 created(side, {.max_entries = 1, .map_flags = 0}),
                 created(side, {.max_entries = 1, .map_flags = kBpfFMmapable | kPreallocated}),
                 created(side, {.max_entries = 1,
                                .map_flags = kBpfFMmapable | kBpfFSegvOnFault | kBpfFNoUserConv})});
}

std::string addresses(Side& side) {
  return joined({created(side, {.max_entries = 1, .map_extra = kSomewhere + 1}),
                 created(side, {.max_entries = 1, .map_extra = kSomewhere + kPageSize}),
                 created(side, {.max_entries = 1, .map_extra = ~(kPageSize - 1)})});
}

std::string sizes(Side& side) {
  return joined({created(side, {.max_entries = kMaxArenaPages}),
                 created(side, {.max_entries = kMaxArenaPages + 1})});
}

std::string over_a_line(Side& side) {
  const uint64_t last = kSomewhere - kPageSize;
  return joined({created(side, {.max_entries = 1, .map_extra = last}),
                 created(side, {.max_entries = 2, .map_extra = last})});
}

std::string told_map_extra(Side& side) {
  const auto said = [&](bool map_extra) {
    const auto subject = side.make({.map_extra = map_extra});
    const uint64_t told = subject->map_extra();
    return told == 0 ? "0" : told == subject->base() ? "the address" : "something else";
  };
  return joined({said(true), said(false)});
}

std::string told_pages(Side& side) {
  const auto subject = side.make();
  const uint64_t before = subject->pages_in_use();
  subject->run("alloc_pages", kfunc_ctx{0, 2, -1, 0, 0});
  touch(subject->at(7));
  return fmt::format("{}, then {}", before, subject->pages_in_use());
}

constexpr Question kQuestions[] = {
    {"K1", "creating without privileges", without_privilege},
    {"K2", "key size, value size, no pages, not mappable, a strange flag, the two flags",
     attributes},
    {"K3", "map_extra unaligned, aligned, not canonical", addresses},
    {"K4", "4 GiB, and a page more", sizes},
    {"K5", "up to a 4 GiB line, and across", over_a_line},
    {"K9", "map_extra that is told: given at creation, not given", told_map_extra},
    {"K10", "pages in use: of an arena that is new, with 2 allocated and 1 touched", told_pages},
};

}  // namespace

std::span<const Question> creation_questions() { return kQuestions; }

}  // namespace uarena::testing
