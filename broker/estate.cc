#include "broker/estate.h"

#include <array>
#include <charconv>

#include "broker/death_point.h"
#include "ipc/base/log.h"

namespace uarena::broker {
namespace {

using Kind = EstateEntry::Kind;

struct Form {
  Kind kind;
  std::string_view word;
  int numbers;
};
constexpr std::array kForms = {Form{Kind::ledger, "ledger", 0}, Form{Kind::memory, "mem", 1},
                               Form{Kind::state, "state", 1},   Form{Kind::object, "obj", 1},
                               Form{Kind::map, "map", 2},       Form{Kind::client, "client", 1},
                               Form{Kind::uffd, "uffd", 2},     Form{Kind::full_uffd, "full", 2},
                               Form{Kind::direct, "dir", 2},    Form{Kind::guards, "grd", 2},
                               Form{Kind::run, "run", 2}};

// ".N" at the front of `text`, which is advanced.
std::optional<uint64_t> take_number(std::string_view& text) {
  if (!text.starts_with('.')) return std::nullopt;
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data() + 1, text.data() + text.size(), number);
  if (error != std::errc() || end == text.data() + 1) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return number;
}

}  // namespace

std::string EstateEntry::name() const {
  for (const Form& form : kForms) {
    if (form.kind != kind) continue;
    std::string text(form.word);
    if (form.numbers > 0) text += fmt::format(".{}", first);
    if (form.numbers > 1) text += fmt::format(".{}", second);
    return text;
  }
  UARENA_ASSERT(false, "kind {}", static_cast<int>(kind));
}

std::optional<EstateEntry> EstateEntry::parse_untrusted(std::string_view name) {
  const std::string_view word = name.substr(0, name.find('.'));
  for (const Form& form : kForms) {
    if (form.word != word) continue;
    std::string_view rest = name.substr(word.size());
    EstateEntry entry{form.kind, 0, 0};
    for (uint64_t* number : {&entry.first, &entry.second}) {
      if (form.numbers < (number == &entry.first ? 1 : 2)) break;
      const auto taken = take_number(rest);
      if (!taken) return std::nullopt;
      *number = *taken;
    }
    // "mem.07" would be struck out as "mem.7", and stay.
    if (!rest.empty() || entry.name() != name) return std::nullopt;
    return entry;
  }
  return std::nullopt;
}

Result<std::unique_ptr<Estate>> Estate::open_untrusted(FdStore& store, Fd fd) {
  auto ledger = Ledger::open_untrusted(std::move(fd));
  if (!ledger) return std::unexpected(ledger.error());
  return std::unique_ptr<Estate>(new Estate(store, std::move(*ledger)));
}

Result<std::unique_ptr<Estate>> Estate::create(FdStore& store) {
  auto ledger = Ledger::create();
  if (!ledger) return std::unexpected(ledger.error());
  std::unique_ptr<Estate> estate(new Estate(store, std::move(*ledger)));
  if (auto entered = estate->enter({Kind::ledger}, estate->ledger_.fd()); !entered)
    log(LogLevel::warning, "estate.not_kept",
        {{"errno", entered.error().code}, {"error", entered.error().message}});
  return estate;
}

EstateHold::~EstateHold() {
  if (estate_ != nullptr) estate_->strike(entry_);
}

Result<EstateHold> Estate::hold(const EstateEntry& entry, int fd) {
  if (auto entered = enter(entry, fd); !entered) return std::unexpected(entered.error());
  return EstateHold(*this, entry);
}

Result<LedgerSlot> Estate::take_slot() {
  const auto slot = ledger_.take_slot();
  if (!slot) return fail(EMFILE, "all {} run channels are taken", Ledger::kSlots);
  return LedgerSlot(ledger_, *slot);
}

namespace {

// "mem" of "mem.7".
[[maybe_unused]] std::string kind_of(const EstateEntry& entry) {
  const std::string name = entry.name();
  return name.substr(0, name.find('.'));
}

}  // namespace

Result<void> Estate::enter(const EstateEntry& entry, int fd) {
  auto entered = store_.put(entry.name(), fd);
  UARENA_DEATH_POINT("entered." + kind_of(entry));
  return entered;
}

void Estate::strike(const EstateEntry& entry) {
  UARENA_DEATH_POINT("strike." + kind_of(entry));
  if (auto removed = store_.remove(entry.name()); !removed)
    log(LogLevel::warning, "estate.not_removed",
        {{"name", entry.name()},
         {"errno", removed.error().code},
         {"error", removed.error().message}});
  UARENA_DEATH_POINT("struck." + kind_of(entry));
}

}  // namespace uarena::broker
