// K26-K30: what a client's touch of a page comes to. Allocations and frees between the touches are
// a program's.
#include <sys/mman.h>

#include <csignal>

#include "tests/bpf/contexts.h"
#include "tests/parity/rows.h"
#include "tests/parity/touch.h"

namespace uarena::testing {
namespace {

const SubjectOptions kSegv{.flags = kBpfFMmapable | kBpfFSegvOnFault};

uint64_t program(Subject& subject, const char* name, uint64_t page) {
  return subject.run(name, kfunc_ctx{subject.at(page), 1, -1, 0, 0}).result;
}
std::string taken(Subject& subject, uint64_t page) {
  return program(subject, "alloc_pages", page) == 0 ? "taken" : "free";
}
std::string touched(uint64_t address) { return touch(address) ? "signal" : "page"; }
std::string both_calls(uint64_t address) {
  const auto [written, read] = system_calls(address);
  return errno_name(written) + " and " + errno_name(read);
}

std::string touch_takes_the_page(Side& side) {
  const auto subject = side.make();
  const std::string came = touched(subject->at(3) + 5);
  const uint64_t seen = program(*subject, "peek", 3);
  return joined({came, fmt::format("{:#x}", seen), taken(*subject, 3), taken(*subject, 4)});
}

std::string read_takes_the_page(Side& side) {
  const auto subject = side.make();
  const uint64_t read = *static_cast<volatile uint64_t*>(pointer(subject->at(3)));
  return joined({std::to_string(read), taken(*subject, 3)});
}

std::string system_calls_take_the_page(Side& side) {
  const auto subject = side.make();
  return joined({both_calls(subject->at(4)), taken(*subject, 4)});
}

std::string touch_of_an_allocated_page(Side& side) {
  const auto subject = side.make();
  program(*subject, "alloc_pages", 3);
  subject->run("poke", kfunc_ctx{subject->at(3), 0, -1, 77, 0});
  const uint64_t read = *static_cast<volatile uint64_t*>(pointer(subject->at(3)));
  return std::to_string(read);
}

std::string touch_of_a_reserved_page(Side& side) {
  const auto subject = side.make();
  program(*subject, "reserve_pages", 3);
  const std::string came = touched(subject->at(3));
  return joined({came, std::to_string(program(*subject, "peek", 3) != 0)});
}

std::string touch_after_a_free(Side& side) {
  const auto subject = side.make();
  touch(subject->at(3));
  program(*subject, "free_pages", 3);
  const uint64_t read = *static_cast<volatile uint64_t*>(pointer(subject->at(3)));
  return joined({std::to_string(read), taken(*subject, 3)});
}

std::string refused_at(Subject& subject, uint64_t address) {
  const auto signal = touch(address);
  if (!signal) return "page";
  return fmt::format("SIG{} at {:#x}", ::sigabbrev_np(signal->si_signo),
                     reinterpret_cast<uint64_t>(signal->si_addr) - subject.base());
}

std::string refused_touches(Side& side) {
  const auto subject = side.make(kSegv);
  std::vector<std::string> all;
  for (const uint64_t offset :
       {uint64_t{0}, uint64_t{1}, uint64_t{24}, uint64_t{4087}, subject->length() - 1})
    all.push_back(refused_at(*subject, subject->base() + offset));
  return joined(all);
}

std::string code_of_the_signal(Side& side) {
  const auto subject = side.make(kSegv);
  const auto signal = touch(subject->at(3));
  return signal ? std::to_string(signal->si_code) : "no signal";
}

std::string refused_again(Side& side) {
  const auto subject = side.make(kSegv);
  return joined({touched(subject->at(3)), touched(subject->at(3))});
}

std::string refused_system_calls(Side& side) {
  const auto subject = side.make(kSegv);
  return both_calls(subject->at(3));
}

std::string refused_populate(Side& side) {
  const auto subject = side.make(kSegv);
  return subject->in_client([&] {
    return call_result(::madvise(pointer(subject->base()), subject->length(), MADV_POPULATE_WRITE));
  });
}

std::string refused_until_allocated(Side& side) {
  const auto subject = side.make(kSegv);
  std::vector<std::string> all = {touched(subject->at(3))};
  program(*subject, "alloc_pages", 3);
  all.push_back(touched(subject->at(3)));
  all.push_back(both_calls(subject->at(3)));
  all.push_back(touched(subject->at(4)));
  program(*subject, "free_pages", 3);
  all.push_back(touched(subject->at(3)));
  return joined(all);
}

std::string refused_reserved(Side& side) {
  const auto subject = side.make(kSegv);
  program(*subject, "reserve_pages", 3);
  return touched(subject->at(3));
}

// How a process ends that has no handler: by default, and with SIGSEGV as `prepare` leaves it.
std::string ends(Side& side, void (*prepare)()) {
  const auto subject = side.make(kSegv);
  return subject->in_client([&] {
    prepare();
    *static_cast<volatile uint8_t*>(pointer(subject->at(1))) = 1;
    return std::string("it goes on");
  });
}

std::string ends_without_a_handler(Side& side) {
  return ends(side, [] {});
}

std::string ends_with_the_signal_off(Side& side) {
  const std::string blocked = ends(side, [] {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
  });
  const std::string ignored = ends(side, [] { std::signal(SIGSEGV, SIG_IGN); });
  return joined({blocked, ignored});
}

constexpr Question kQuestions[] = {
    {"K26", "a write; the word for a program; that page; the next one", touch_takes_the_page},
    {"K26", "a read; that page", read_takes_the_page},
    {"K26", "write(2) from an absent page and read(2) into it; that page",
     system_calls_take_the_page},
    {"K27", "a read of a page that a program wrote", touch_of_an_allocated_page},
    {"K29", "a touch of a reserved page; whether a program sees it", touch_of_a_reserved_page},
    {"K38", "a read after a program has freed the page; that page", touch_after_a_free},
    {"K30", "touches of absent pages", refused_touches},
    {"K30", "si_code of that", code_of_the_signal},
    {"K30", "a touch, and again", refused_again},
    {"K30", "write(2) and read(2)", refused_system_calls},
    {"K30", "MADV_POPULATE_WRITE", refused_populate},
    {"K30", "absent; allocated; system calls; its neighbour; freed", refused_until_allocated},
    {"K30", "a reserved page", refused_reserved},
    {"K30", "a process without a handler", ends_without_a_handler},
    {"K30", "a process with SIGSEGV blocked, ignored", ends_with_the_signal_off},
};

}  // namespace

std::span<const Question> fault_questions() { return kQuestions; }

}  // namespace uarena::testing
