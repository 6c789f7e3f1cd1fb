// K48-K61, K80: what programs do with an arena's pages, and what they find there. Whole programs
// are compared by objects_test and algorithms_test.
#include "tests/bpf/contexts.h"
#include "tests/parity/rows.h"
#include "tests/parity/touch.h"

namespace uarena::testing {
namespace {

uint64_t peek(Subject& subject, uint64_t address) {
  return subject.run("peek", kfunc_ctx{address, 0, -1, 0, 0}).result;
}
void poke(Subject& subject, uint64_t address, uint64_t value) {
  subject.run("poke", kfunc_ctx{address, 0, -1, value, 0});
}
void alloc_page(Subject& subject, uint64_t page) {
  subject.run("alloc_pages", kfunc_ctx{subject.at(page), 1, -1, 0, 0});
}
std::string is_there(Subject& subject, uint64_t page) {
  const auto got = subject.run("alloc_pages", kfunc_ctx{subject.at(page), 1, -1, 0, 0}).result;
  return got == 0 ? "there" : "absent";
}
template <typename Numbers>
std::string in_hex(const Numbers& numbers) {
  return fmt::format("{:#x}", fmt::join(numbers, " "));
}

std::string any_pointer(Side& side) {
  const auto subject = side.make();
  alloc_page(*subject, 3);
  poke(*subject, subject->at(3) ^ 0x4321000000000000, 7);
  return joined({std::to_string(peek(*subject, subject->at(3))),
                 std::to_string(peek(*subject, subject->at(3) & UINT32_MAX)),
                 std::to_string(peek(*subject, 0)),
                 std::to_string(peek(*subject, subject->at(1000)))});
}

std::string absent_loads(Side& side) {
  const auto subject = side.make({.object = "absent"});
  const auto seen = subject->run("loads", absent_ctx{.addr = subject->at(3)});
  return joined(
      {in_hex(seen.loads), in_hex(seen.signed_loads), seen.done == 1 ? "to the end" : "cut off"});
}

std::string absent_stores(Side& side) {
  const auto subject = side.make({.object = "absent"});
  const auto seen = subject->run("stores", absent_ctx{.addr = subject->at(3)});
  return joined({std::to_string(seen.after_store), seen.done == 1 ? "to the end" : "cut off"});
}

std::string absent_stays_absent(Side& side) {
  const auto subject = side.make();
  peek(*subject, subject->at(3));
  poke(*subject, subject->at(3), 5);
  return is_there(*subject, 3);
}

std::string absent_atomics(Side& side) {
  const auto subject = side.make({.object = "absent"});
  const auto seen = subject->run("atomics", absent_ctx{.addr = subject->at(3)});
  return joined({std::to_string(seen.after_store), seen.done == 1 ? "to the end" : "cut off"});
}

std::string destinations_of_absent_atomics(Side& side) {
  const auto subject = side.make({.object = "absent"});
  const auto seen = subject->run("atomics", absent_ctx{.addr = subject->at(3)});
  const auto said = [](uint64_t value) { return value == 0 ? "0" : "as before"; };
  return joined({said(seen.fetch_add), said(seen.xchg), said(seen.cmpxchg), said(seen.acquire)});
}

std::string casts(Side& side, const char* object, uint32_t flags = 0) {
  const auto subject = side.make({.object = object, .flags = kBpfFMmapable | flags});
  const auto cast = subject->run("cast", cast_ctx{.in = subject->at(3) + 5});
  const auto null = subject->run("cast", cast_ctx{.in = 0});
  const auto said = [&](uint64_t value) -> std::string {
    if (value == subject->at(3) + 5) return "the address";
    if (value == ((subject->at(3) + 5) & UINT32_MAX)) return "its low half";
    return fmt::format("{:#x}", value);
  };
  return joined({said(cast.kern), said(cast.user), said(null.kern), said(null.user)});
}
std::string casts_with_conversion(Side& side) { return casts(side, "casts"); }
std::string casts_without_conversion(Side& side) {
  return casts(side, "casts_no_user_conv", kBpfFNoUserConv);
}

std::string extended_loads(Side& side) {
  const auto subject = side.make({.object = "sign_extend"});
  const auto got = subject->run("sign_extend", extend_ctx{});
  return fmt::format("{} {} {}, {:#x} {:#x} {:#x}, {:#x}", got.s8, got.s16, got.s32, got.u8,
                     got.u16, got.u32, got.positive);
}

std::string atomics(Side& side, const char* program) {
  const auto subject = side.make({.object = "atomics"});
  const auto got = subject->run(program, atomic_ctx{});
  return joined({in_hex(got.memory), in_hex(got.returned)});
}
std::string atomics64(Side& side) { return atomics(side, "atomics64"); }
std::string atomics32(Side& side) { return atomics(side, "atomics32"); }

std::string acquire_release(Side& side) {
  const auto subject = side.make({.object = "acquire_release"});
  const auto got = subject->run("acquire_release", acquire_ctx{});
  return joined({in_hex(got.loaded), in_hex(got.stored)});
}

std::string place_of_globals(Side& side) {
  const auto subject = side.make({.object = "globals"});
  const auto got = subject->run("globals", globals_ctx{});
  const auto in_arena = *static_cast<volatile uint64_t*>(pointer(subject->base()));
  return fmt::format("{}, then {} at the beginning", got.arena, in_arena);
}

constexpr Question kQuestions[] = {
    {"K48", "a word by an address with another upper half, by its low half; NULL; behind the end",
     any_pointer},
    {"K49", "loads of 1, 2, 4, 8 bytes from an absent page, and signed ones", absent_loads},
    {"K50", "stores to an absent page, and a load", absent_stores},
    {"K50", "the page after a load and a store", absent_stays_absent},
    {"K51", "atomics on an absent page, and a load", absent_atomics},
    {"K51", "what they return: fetch_add, xchg, cmpxchg, load_acquire",
     destinations_of_absent_atomics},
    {"K56-K57", "cast_kern and cast_user of an address, of NULL", casts_with_conversion},
    {"K58", "the same with NO_USER_CONV", casts_without_conversion},
    {"K59-K60", "signed loads, unsigned loads", extended_loads},
    {"K61", "64-bit atomics: memory, what they return", atomics64},
    {"K61", "32-bit atomics: memory, what they return", atomics32},
    {"K61", "acquire loads, release stores", acquire_release},
    {"K80", "a variable of the arena for a program, and for a client after it", place_of_globals},
};

}  // namespace

std::span<const Question> program_questions() { return kQuestions; }

}  // namespace uarena::testing
