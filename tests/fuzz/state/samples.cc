// Samples are files of tables that have been in use, some as a broker leaves them that dies between
// two stores; then a field, an entry, the redo record or bytes change.
#include "tests/fuzz/state/samples.h"

#include <sys/stat.h>
#include <unistd.h>

#include "broker/checksum.h"
#include "broker/estate.h"

namespace uarena::fuzz {

using namespace broker;
namespace format = state_format;

namespace {

// As words, which is how the format has it.
class Image {
 public:
  explicit Image(int fd) {
    struct stat st{};
    if (::fstat(fd, &st) != 0) std::abort();
    bytes_.resize(static_cast<size_t>(st.st_size));
    if (::pread(fd, bytes_.data(), bytes_.size(), 0) != st.st_size) std::abort();
  }
  uint64_t word(uint64_t offset) const {
    uint64_t value = 0;
    std::memcpy(&value, bytes_.data() + offset, sizeof value);
    return value;
  }
  void set(uint64_t offset, uint64_t value) {
    std::memcpy(bytes_.data() + offset, &value, sizeof value);
  }
  // Over `count` words from `offset`, written behind them.
  void seal(uint64_t offset, size_t count) {
    std::vector<uint64_t> words(count);
    std::memcpy(words.data(), bytes_.data() + offset, count * 8);
    set(offset + count * 8, checksum_words(words));
  }
  void seal_table(uint32_t pages) {
    uint64_t sum = 0;
    for (uint32_t page = 0; page < pages; ++page)
      sum ^= checksum_entry(page, word(format::entry_offset(page)));
    set(format::kTableChecksum, sum);
  }
  Bytes& bytes() { return bytes_; }

 private:
  Bytes bytes_;
};

Bytes input_of(StateKind kind, uint64_t size, const Bytes& content) {
  Bytes input(kStateHead);
  input[0] = static_cast<std::byte>(kind);
  std::memcpy(&input[1], &size, sizeof size);
  const auto last = std::find_if(content.rbegin(), content.rend(),
                                 [](std::byte byte) { return byte != std::byte{0}; });
  input.insert(input.end(), content.begin(), last.base());
  return input;
}

PageRange some_pages(Random& random, uint32_t size) {
  const auto first = static_cast<uint32_t>(random.below(size));
  return {first, static_cast<uint32_t>(1 + random.below(std::min(size - first, 40U)))};
}

ArenaIdentity some_identity(Random& random) {
  ArenaIdentity who;
  who.id = 1 + random.below(1000);
  who.name = "arena-" + std::to_string(who.id);
  who.attr.max_entries = static_cast<uint32_t>(1 + random.below(kMostPages));
  who.attr.map_flags = kBpfFMmapable | (random.one_in(3) ? kBpfFSegvOnFault : 0);
  who.user_vm_start = 0x7e9000000000 + random.below(64) * kPageSize;
  if (random.one_in(2)) who.attr.map_extra = who.user_vm_start;
  who.owner_uid = static_cast<uint32_t>(random.below(70000));
  if ((who.attr.map_flags & kBpfFSegvOnFault) == 0 && random.one_in(2))
    who.faulting = random.one_in(2) ? Faulting{FaultWay::direct, 0} : Faulting{{}, 64};
  return who;
}

// A table in use; now and then as it was after any of the stores of its last operation.
Image some_image(Random& random) {
  PageTable table = PageTable::create(some_identity(random)).value();
  for (uint64_t n = random.below(30); n > 0; --n) operate(random, table);
  const auto some_access = [&random] {
    return ArenaAccess{static_cast<uid_t>(random.below(70000)),
                       static_cast<gid_t>(random.below(70000)),
                       static_cast<uint32_t>(random.below(UARENA_MODE_ALL + 1))};
  };
  for (uint64_t n = random.below(3); n > 0; --n) table.state_file().set_access(some_access());
  if (random.one_in(3))
    table.state_file().set_cut_off_runs({1 + random.below(9), CutOff::limit, 4, 5, "program"});
  Image image(table.state_file().fd());
  if (random.one_in(2)) return image;
  std::vector<StateFile::Store> stores;
  table.state_file().record_stores(&stores);
  if (random.one_in(4))
    table.state_file().set_access(some_access());
  else
    operate(random, table);
  table.state_file().record_stores(nullptr);
  for (size_t n = random.below(stores.size() + 1), i = 0; i < n; ++i)
    image.set(stores[i].offset, stores[i].value);
  return image;
}

void damage_header(Random& random, Image& image) {
  constexpr size_t kWords = offsetof(format::Header, checksum) / 8;
  const uint64_t offset = random.below(sizeof(format::Header));
  const uint64_t half = image.word(offset / 8 * 8);
  switch (random.below(3)) {
    case 0:
      image.set(offset / 8 * 8, extreme(random));
      break;
    case 1:  // one of two fields in a word
      image.set(offset / 8 * 8, (half & ~uint64_t{UINT32_MAX}) | (extreme(random) & UINT32_MAX));
      break;
    default:
      image.bytes()[offset] = std::byte(random.bits());
      break;
  }
  if (!random.one_in(4)) image.seal(0, kWords);
}

void damage_table(Random& random, Image& image, uint32_t pages) {
  const uint64_t states[] = {0, 1, 2, 3, 0x101, 0x201, 0x301, 0x402, 0x501};
  for (uint64_t n = 1 + random.below(3); n > 0; --n) {
    const uint64_t free_head = (1 + random.below(40)) << 16;
    const uint64_t entry = random.one_in(3)   ? extreme(random)
                           : random.one_in(2) ? free_head
                                              : states[random.below(std::size(states))];
    image.set(format::entry_offset(random.below(pages)), entry);
  }
  if (!random.one_in(4)) image.seal_table(pages);
}

// A record that was published and not carried out, with anything in it.
void damage_record(Random& random, Image& image, uint32_t pages) {
  const uint64_t fills = random.one_in(8) ? extreme(random) : random.below(format::kMaxFills + 1);
  const uint64_t sequence = image.word(format::kRetired) + 1;
  image.set(format::kRecord, sequence);
  image.set(format::kRecord + 8, fills);
  size_t words = format::kRecordHead;
  for (size_t n = 0; n < std::min<uint64_t>(fills, format::kMaxFills); ++n) {
    const PageRange range = some_pages(random, pages);
    const uint64_t place = range.first | uint64_t{range.count} << 32;
    image.set(format::kRecord + words++ * 8, random.one_in(6) ? extreme(random) : place);
    image.set(format::kRecord + words++ * 8, random.one_in(6) ? extreme(random) : 0x101);
  }
  if (!random.one_in(4)) image.seal(format::kRecord, words);
  image.set(format::kPublished, random.one_in(4) ? extreme(random) : sequence);
}

Bytes damaged_state(Random& random) {
  Image image = some_image(random);
  const uint32_t pages =
      static_cast<uint32_t>(image.word(offsetof(format::Header, max_entries)) & UINT32_MAX);
  uint64_t size = image.bytes().size();
  switch (random.below(8)) {
    case 0:
      damage_header(random, image);
      break;
    case 1:
      damage_table(random, image, pages);
      break;
    case 2:
      damage_record(random, image, pages);
      break;
    case 3:
      image.set(format::kJournal + random.below(3) * 8, extreme(random));
      break;
    case 4:
      image.set(format::kMark + random.below(format::kMarkWords - 1) * 8, extreme(random));
      image.seal(format::kMark, format::kMarkWords - 1);
      break;
    case 5:
      size = random.one_in(2) ? extreme(random) % kLargestStateFile : size + kPageSize;
      break;
    case 6:
      damage(random, image.bytes());
      break;
    default:
      break;
  }
  return input_of(StateKind::state, size, image.bytes());
}

Bytes damaged_ledger(Random& random) {
  Ledger ledger = Ledger::create().value();
  for (int n = 0; n < 4; ++n) ledger.next(static_cast<Ledger::Counter>(random.below(5)));
  Image image(ledger.fd());
  if (random.one_in(2)) image.set(random.below(8) * 8, extreme(random));
  if (random.one_in(2)) image.set(random.below(image.bytes().size() / 8) * 8, extreme(random));
  const uint64_t size = image.bytes().size() + (random.one_in(6) ? kPageSize : 0);
  return input_of(StateKind::ledger, size, image.bytes());
}

Bytes damaged_name(Random& random) {
  const auto number = [&] { return random.one_in(2) ? extreme(random) : random.below(100); };
  const EstateEntry entry{static_cast<EstateEntry::Kind>(random.below(11)), number(), number()};
  Bytes name = bytes_of_text(EstateEntry::parse_untrusted(entry.name()).value().name());
  if (!random.one_in(4)) {
    const std::string_view pieces[] = {"0", "00", ".", "-1", "+1", " ", "18446744073709551616",
                                       "9"};
    const Bytes piece = bytes_of_text(pieces[random.below(std::size(pieces))]);
    const auto at = name.begin() + static_cast<ptrdiff_t>(random.below(name.size() + 1));
    name.insert(at, piece.begin(), piece.end());
  }
  if (random.one_in(4)) damage(random, name);
  Bytes input(kStateHead + name.size());
  input[0] = static_cast<std::byte>(StateKind::name);
  std::ranges::copy(name, input.begin() + kStateHead);
  return input;
}

}  // namespace

void operate(Random& random, PageTable& table) {
  constexpr Origin kOrigins[] = {Origin::program, Origin::fault, Origin::client, Origin::reserved};
  const Origin origin = kOrigins[random.below(4)];
  const PageRange pages = some_pages(random, table.size());
  const auto found = table.find(pages.count);
  if (random.one_in(2) && found)
    table.take({*found, pages.count}, origin);
  else if (random.one_in(2) && table.all_free(pages))
    table.take(pages, origin);
  else if (random.one_in(3) && !table.all_free({pages.first, 1}))
    table.assign({pages.first, 1}, origin);
  else
    table.release(pages);
}

Bytes make_state_input(Random& random) {
  if (random.one_in(16)) return damaged_ledger(random);
  return random.one_in(8) ? damaged_name(random) : damaged_state(random);
}

}  // namespace uarena::fuzz
