// What a successor finds: state files, a ledger, and the names under which descriptors were kept. A
// broker that believes a damaged one gives out pages twice, or dies at each start; one that refuses
// a good one loses an arena.
//
// Samples are state files of page tables that have been in use, some as a broker leaves them that
// dies between two stores; then a field, an entry, the redo record or bytes change, half of the
// time with the checksums made right again, since damage may be older than a checksum. Checked: a
// refusal has an errno and a sentence; what is taken over is an arena that a broker could have
// made, its counts and free extents are those of a recount, and it goes on working: pages are taken
// and given back, and the next successor finds exactly that. Names mean one thing, and are written
// in one way.
#include <unistd.h>

#include "broker/arena_attr.h"
#include "broker/checksum.h"
#include "broker/estate.h"
#include "broker/memory_file.h"
#include "broker/page_table.h"
#include "tests/fuzz/damage.h"
#include "tests/fuzz/driver.h"
#include "tests/fuzz/state/samples.h"

namespace uarena::fuzz {
namespace {

using namespace broker;

Fd file_of(uint64_t size, std::span<const std::byte> content) {
  Fd fd = create_sealed_memfd("fuzz", size).value();
  content = content.first(std::min<uint64_t>(content.size(), size));
  for (uint64_t at = 0; at < content.size(); at += kPageSize) {  // holes stay holes
    const auto block = content.subspan(at, std::min<size_t>(kPageSize, content.size() - at));
    if (std::ranges::any_of(block, [](std::byte byte) { return byte != std::byte{0}; }) &&
        ::pwrite(fd.get(), block.data(), block.size(), static_cast<off_t>(at)) < 0)
      std::abort();
  }
  return fd;
}

// --- what must hold of what was taken over ---

std::string wrong_identity(const ArenaIdentity& who) {
  if (who.id == 0) return "an arena of id 0, which is none";
  if (!check_name_untrusted(who.name)) return "an arena's name that is none";
  if (!check_attr_untrusted(who.attr)) return "attributes that no arena can have";
  if (who.attr.map_extra != 0 && who.attr.map_extra != who.user_vm_start)
    return "an arena that is not where its attributes say";
  if (!check_faulting_untrusted(who.attr, who.faulting)) return "a way of faults that is none";
  return {};
}

std::string wrong_mark(const CutOffRuns& runs) {
  if (runs.count == 0) return {};
  if (runs.why > CutOff::gone) return "runs cut off for a reason that is none";
  for (const char c : runs.program)
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') return "a name that can't be shown";
  return {};
}

std::string wrong_counts(const PageTable& table) {
  PagesByOrigin counted;
  std::vector<FreeExtent> free;
  uint32_t free_pages = 0;
  for (uint32_t page = 0; page < table.size(); ++page) {
    const PageEntry entry = table.entry(page);
    if (!entry.valid()) return fmt::format("the entry of page {} is {:#x}", page, entry.word());
    if (entry.state() != PageState::free) {
      ++counted.pages[static_cast<size_t>(entry.origin())];
      continue;
    }
    ++free_pages;
    if (entry.seq() != 0)
      free.push_back({{page, 1}, entry.seq()});
    else if (free.empty() || free.back().pages.end() != page)
      return fmt::format("free page {} is in no extent", page);
    else
      ++free.back().pages.count;
  }
  if (table.counts().pages != counted.pages) return "counts that are not those of a recount";
  if (table.free_set().extents() != free || table.free_set().free_pages() != free_pages)
    return "a free set that is not that of the entries";
  return {};
}

bool same(const PageTable& a, const PageTable& b) {
  if (a.state_file().access() != b.state_file().access() || a.size() != b.size() ||
      a.counts().pages != b.counts().pages || a.free_set().extents() != b.free_set().extents())
    return false;
  for (uint32_t page = 0; page < a.size(); ++page)
    if (a.entry(page) != b.entry(page)) return false;
  return true;
}

// Pages are taken and given back, and a successor finds it so.
std::string goes_on(PageTable& table, Random& random) {
  if (table.state_file().access().mode > UARENA_MODE_ALL) return "a mode that is none";
  for (int n = 0; n < 12; ++n) {
    if (random.one_in(4))
      table.state_file().set_access({static_cast<uid_t>(n), 5, random.one_in(2) ? 0xfe8U : 0U});
    operate(random, table);
    if (auto wrong = wrong_counts(table); !wrong.empty()) return "afterwards " + wrong;
  }
  const auto successor = PageTable::open_untrusted(Fd(::dup(table.state_file().fd())));
  if (!successor) return "the next successor refuses: " + successor.error().message;
  if (!same(*successor, table)) return "the next successor finds something else";
  table.release({0, table.size()});
  if (table.free_set().free_pages() != table.size()) return "not all pages can be freed";
  table.take({0, table.size()}, Origin::program);
  return wrong_counts(table);
}

class StateTarget final : public Target {
 public:
  std::vector<std::byte> make(Random& random) override { return make_state_input(random); }

  std::string run(std::span<const std::byte> input, Progress& progress) override {
    if (input.size() < kStateHead) return {};
    const auto content = input.subspan(kStateHead);
    const auto kind = static_cast<StateKind>(input[0]);
    if (kind == StateKind::name) return name(text_of(content), progress);
    uint64_t size = 0;
    std::memcpy(&size, &input[1], sizeof size);
    Fd file = file_of(std::min(size, kLargestStateFile), content);
    return kind == StateKind::ledger ? ledger(std::move(file), progress)
                                     : state(std::move(file), checksum_entry(1, size), progress);
  }

 private:
  static std::string state(Fd file, uint64_t seed, Progress& progress) {
    auto table = PageTable::open_untrusted(std::move(file));
    if (!table) return wrong_refusal(table.error(), "the state file");
    progress.accepted(0);
    for (std::string wrong : {wrong_identity(table->state_file().identity()),
                              wrong_mark(table->state_file().cut_off_runs()), wrong_counts(*table)})
      if (!wrong.empty()) return "taken over: " + wrong;
    Random random(seed);
    return table->size() <= kMostPages ? goes_on(*table, random) : "";
  }

  static std::string ledger(Fd file, Progress& progress) {
    auto ledger = Ledger::open_untrusted(std::move(file));
    if (!ledger) return wrong_refusal(ledger.error(), "the ledger");
    progress.accepted(0);
    for (int n = 0; n < static_cast<int>(Ledger::Counter::count); ++n) {
      const auto counter = static_cast<Ledger::Counter>(n);
      const uint64_t first = ledger->next(counter, 3);
      if (first == 0 || first + 3 < first || !ledger->given(counter, first + 2) ||
          ledger->given(counter, first + 3))
        return fmt::format("the ledger gives out {}", first);
    }
    const auto slot = ledger->take_slot();
    if (!slot || ledger->slot(*slot).begun != 0) return "a free slot has a request in hand";
    if (ledger->take_slot(*slot) || ledger->take_slot(Ledger::kSlots)) return "a slot taken twice";
    ledger->release_slot(*slot);
    return {};
  }

  static std::string name(std::string_view name, Progress& progress) {
    const auto entry = EstateEntry::parse_untrusted(name);
    if (!entry) return {};
    progress.accepted(0);
    return entry->name() == name ? ""
                                 : fmt::format("a name that is also written {}", entry->name());
  }
};

}  // namespace
}  // namespace uarena::fuzz

int main(int argc, char** argv) {
  uarena::fuzz::StateTarget target;
  return uarena::fuzz::fuzz_main(argc, argv, "state", target);
}
