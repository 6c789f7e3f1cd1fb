// The state file as a file: what it holds, that it stays sparse, and that a file which is not ours,
// of another version or damaged is refused with a reason.
#include "broker/state_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <functional>

#include "broker/checksum.h"
#include "broker/memory_file.h"

namespace uarena::broker {
namespace {

using testing::HasSubstr;

ArenaIdentity identity(uint32_t pages) {
  ArenaAttr attr;
  attr.max_entries = pages;
  attr.map_flags = kBpfFMmapable | kBpfFSegvOnFault;
  attr.map_extra = 0x7e9000001000;
  if (pages == kMaxArenaPages) attr.map_extra = 0x7e9000000000;
  return {.id = 42,
          .name = "heap",
          .attr = attr,
          .user_vm_start = attr.map_extra,
          .owner_uid = 1000,
          .created_ns = 1234567890};
}

Fd dup_of(const StateFile& file) { return Fd(::dup(file.fd())); }

uint64_t blocks(int fd) {
  struct stat st = {};
  EXPECT_EQ(::fstat(fd, &st), 0);
  return static_cast<uint64_t>(st.st_blocks) / 8;
}

uint64_t word_at(int fd, uint64_t offset) {
  uint64_t word = 0;
  EXPECT_EQ(::pread(fd, &word, 8, static_cast<off_t>(offset)), 8);
  return word;
}

void poke(int fd, uint64_t offset, uint64_t word) {
  ASSERT_EQ(::pwrite(fd, &word, 8, static_cast<off_t>(offset)), 8);
}

TEST(StateFile, RemembersWhoTheArenaIs) {
  const StateFile file = StateFile::create(identity(100)).value();
  const StateFile opened = StateFile::open_untrusted(dup_of(file)).value();
  EXPECT_EQ(opened.identity().id, 42U);
  EXPECT_EQ(opened.identity().name, "heap");
  EXPECT_EQ(opened.identity().attr.max_entries, 100U);
  EXPECT_EQ(opened.identity().attr.map_flags, kBpfFMmapable | kBpfFSegvOnFault);
  EXPECT_EQ(opened.identity().attr.map_extra, 0x7e9000001000U);
  EXPECT_EQ(opened.identity().user_vm_start, 0x7e9000001000U);
  EXPECT_EQ(opened.identity().owner_uid, 1000U);
  EXPECT_EQ(opened.identity().created_ns, 1234567890U);
  EXPECT_EQ(opened.entry(0), PageEntry::free_head(1));
  EXPECT_EQ(opened.entry(99), PageEntry());
}

TEST(StateFile, NewTableOfAMillionPagesIsAHole) {
  StateFile file = StateFile::create(identity(kMaxArenaPages)).value();
  EXPECT_LE(blocks(file.fd()), 3U);
  const StateFile opened = StateFile::open_untrusted(dup_of(file)).value();
  EXPECT_EQ(opened.entry(kMaxArenaPages - 1), PageEntry());
  const StateFile::Fill nothing = {{5000, 1'000'000}, PageEntry()};
  file.apply({&nothing, 1});
  std::vector<PageEntry> all(kMaxArenaPages);
  file.copy(0, all);
  EXPECT_EQ(all[0], PageEntry::free_head(1));
  EXPECT_EQ(all[kMaxArenaPages - 1], PageEntry());
  EXPECT_LE(blocks(file.fd()), 3U);
}

TEST(StateFile, FillsAreOneOperationAndLaterOnesWin) {
  StateFile file = StateFile::create(identity(2000)).value();
  const StateFile::Fill fills[] = {{{10, 1500}, PageEntry::allocated(Origin::program)},
                                   {{20, 5}, PageEntry::reserved()},
                                   {{22, 1}, PageEntry::free_head(7)},
                                   {{22, 1}, PageEntry::free_head(9)}};
  file.apply(fills);
  file.apply(fills);  // the same again changes nothing, the checksum neither
  const StateFile opened = StateFile::open_untrusted(dup_of(file)).value();
  EXPECT_EQ(opened.entry(9), PageEntry());
  EXPECT_EQ(opened.entry(19), PageEntry::allocated(Origin::program));
  EXPECT_EQ(opened.entry(20), PageEntry::reserved());
  EXPECT_EQ(opened.entry(22), PageEntry::free_head(9));
  EXPECT_EQ(opened.entry(1509), PageEntry::allocated(Origin::program));
  EXPECT_EQ(opened.entry(1510), PageEntry());
  std::vector<PageEntry> copied(1000);
  opened.copy(900, copied);
  for (uint32_t i = 0; i < copied.size(); ++i) EXPECT_EQ(copied[i], opened.entry(900 + i));
}

// --- files that are not ours ---

int code_after(const std::function<void(int fd)>& damage, std::string* message = nullptr) {
  StateFile file = StateFile::create(identity(100)).value();
  const StateFile::Fill fill = {{3, 4}, PageEntry::allocated(Origin::client)};
  file.apply({&fill, 1});
  damage(file.fd());
  const auto opened = StateFile::open_untrusted(dup_of(file));
  if (opened) return 0;
  if (message != nullptr) *message = opened.error().message;
  return opened.error().code;
}

TEST(StateFile, UndamagedFileOpens) {
  EXPECT_EQ(code_after([](int) {}), 0);
}

TEST(StateFile, AnotherVersionIsLeftAlone) {
  std::string message;
  EXPECT_EQ(code_after([](int fd) { poke(fd, 8, word_at(fd, 8) + 1); }, &message), EPROTONOSUPPORT);
  EXPECT_THAT(message, HasSubstr("version 4, this broker knows 1..3"));
}

// Changes the header as somebody would who knows how.
void rewrite_header(int fd, const std::function<void(state_format::Header&)>& change) {
  state_format::Header header = {};
  ASSERT_EQ(::pread(fd, &header, sizeof header, 0), ssize_t{sizeof header});
  change(header);
  uint64_t words[sizeof header / 8];
  std::memcpy(words, &header, sizeof header);
  header.checksum = checksum_words(std::span(words).first(std::size(words) - 1));
  ASSERT_EQ(::pwrite(fd, &header, sizeof header, 0), ssize_t{sizeof header});
}

TEST(StateFile, KnowsHowFaultsAreAnswered) {
  for (const Faulting faulting : {Faulting{FaultWay::direct, 0}, Faulting{FaultWay::served, 64},
                                  Faulting{FaultWay::served, Faulting::kAroundAuto}}) {
    ArenaIdentity who = identity(100);
    who.attr.map_flags = kBpfFMmapable;
    who.faulting = faulting;
    const StateFile file = StateFile::create(who).value();
    EXPECT_EQ(StateFile::open_untrusted(dup_of(file)).value().identity().faulting, faulting);
  }
  const auto refused = [](auto change) {
    return code_after([&](int fd) { rewrite_header(fd, change); });
  };
  EXPECT_EQ(refused([](auto& header) { header.fault = 2; }), EINVAL);
  EXPECT_EQ(refused([](auto& header) { header.fault = 1; }), EINVAL) << "it is SEGV_ON_FAULT";
  EXPECT_EQ(refused([](auto& header) { header.fault_around = 16; }), EINVAL);
}

// A copy of a good file in a memfd of another size, or without seals.
Fd copy_of(const StateFile& file, uint64_t size, bool sealed) {
  Fd fd =
      sealed ? create_sealed_memfd("copy", size).value() : Fd(::memfd_create("copy", MFD_CLOEXEC));
  EXPECT_EQ(sealed ? 0 : ::ftruncate(fd.get(), static_cast<off_t>(size)), 0);
  std::vector<std::byte> bytes(std::min(size, state_format::file_size(file.page_count())));
  EXPECT_EQ(::pread(file.fd(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  EXPECT_EQ(::pwrite(fd.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  return fd;
}

// Whenever the writer dies, the successor finds what was before or after.
TEST(StateFile, OwnerAndModeAreWholeAtAnyMoment) {
  using namespace state_format;
  const ArenaAccess first{1000, 5, 0xfe8};
  StateFile file = StateFile::create(identity(100), first).value();
  EXPECT_EQ(file.access(), first);
  EXPECT_EQ(StateFile::open_untrusted(dup_of(file))->access(), first);
  ArenaAccess before = first;
  for (uint32_t turn = 1; turn <= 4; ++turn) {
    const ArenaAccess after{turn, 0xffffff00 + turn, 0xf00 | turn};
    std::vector<uint64_t> old;
    for (uint64_t at = kAccess; at < kAccess + 2 * kAccessWords * 8; at += 8)
      old.push_back(word_at(file.fd(), at));
    std::vector<StateFile::Store> stores;
    file.record_stores(&stores);
    file.set_access(after);
    file.record_stores(nullptr);
    ASSERT_EQ(stores.size(), kAccessWords);
    for (size_t done = 0; done <= stores.size(); ++done) {
      const Fd copy = copy_of(file, file_size(100), true);
      for (size_t i = 0; i < old.size(); ++i) poke(copy.get(), kAccess + i * 8, old[i]);
      for (size_t i = 0; i < done; ++i) poke(copy.get(), stores[i].offset, stores[i].value);
      const auto opened = StateFile::open_untrusted(Fd(::dup(copy.get())));
      ASSERT_TRUE(opened) << opened.error().message;
      EXPECT_EQ(opened->access(), done == stores.size() ? after : before) << done;
    }
    before = after;
  }
}

TEST(StateFile, DamagedOwnerAndModeAreNotGuessed) {
  using namespace state_format;
  std::string message;
  EXPECT_EQ(code_after([](int fd) { poke(fd, access_offset(1) + 16, 0xfff00); }, &message), EINVAL);
  EXPECT_THAT(message, HasSubstr("owner and mode are damaged"));
  EXPECT_EQ(code_after(
                [](int fd) {
                  for (size_t i = 0; i < kAccessWords; ++i) poke(fd, access_offset(1) + i * 8, 0);
                },
                &message),
            EINVAL);
}

// Of before there were modes.
TEST(StateFile, AFileOfTheSecondVersionIsEverybodys) {
  StateFile file = StateFile::create(identity(100), {.gid = 7, .mode = 0xf00}).value();
  rewrite_header(file.fd(), [](auto& header) { header.version = 2; });
  for (size_t i = 0; i < state_format::kAccessWords; ++i)
    poke(file.fd(), state_format::access_offset(1) + i * 8, 0);
  auto opened = StateFile::open_untrusted(dup_of(file));
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->access(), (ArenaAccess{1000, 0, UARENA_MODE_ALL}));
  opened->set_access({5, 6, 0x800});
  EXPECT_EQ(StateFile::open_untrusted(dup_of(file))->access(), (ArenaAccess{5, 6, 0x800}));
}

TEST(StateFile, AnArenaHasANumberAndIsWhereItWasWanted) {
  const auto refused = [](auto change) {
    return code_after([&](int fd) { rewrite_header(fd, change); });
  };
  EXPECT_EQ(refused([](auto& header) { header.map_extra = 0; }), 0) << "anywhere";
  EXPECT_EQ(refused([](auto& header) { header.map_extra += kPageSize; }), EINVAL);
  EXPECT_EQ(refused([](auto& header) { header.arena_id = 0; }), EINVAL);
}

TEST(StateFile, AMarkThatNobodyCanReadIsNone) {
  StateFile file = StateFile::create(identity(1)).value();
  file.set_cut_off_runs({3, CutOff::gone, 4, 5, "a\x1b[2J"});
  EXPECT_EQ(file.cut_off_runs().count, 3U);
  EXPECT_EQ(file.cut_off_runs().program, "a\\x1b[2J");
  file.set_cut_off_runs({3, static_cast<CutOff>(3), 4, 5, "a"});
  EXPECT_EQ(file.cut_off_runs().count, 0U);
}

// Version 1 had no such field: 0 there.
TEST(StateFile, AFileOfTheFirstVersionIsTakenOver) {
  StateFile file = StateFile::create(identity(100)).value();
  const StateFile::Fill fill = {{3, 4}, PageEntry::allocated(Origin::client)};
  file.apply({&fill, 1});
  rewrite_header(file.fd(), [](auto& header) { header.version = 1; });
  const auto opened = StateFile::open_untrusted(dup_of(file));
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->identity().faulting, Faulting());
  EXPECT_EQ(opened->entry(6), PageEntry::allocated(Origin::client));
}

TEST(StateFile, EveryByteOfTheHeaderCounts) {
  for (uint64_t offset = 0; offset < sizeof(state_format::Header); ++offset)
    EXPECT_NE(code_after([&](int fd) {
                unsigned char byte = 0;
                ASSERT_EQ(::pread(fd, &byte, 1, static_cast<off_t>(offset)), 1);
                byte ^= 0x10;
                ASSERT_EQ(::pwrite(fd, &byte, 1, static_cast<off_t>(offset)), 1);
              }),
              0)
        << offset;
}

TEST(StateFile, DamagedEntryIsFound) {
  std::string message;
  EXPECT_EQ(code_after([](int fd) { poke(fd, state_format::entry_offset(4), 0); }, &message),
            EINVAL);
  EXPECT_THAT(message, HasSubstr("checksum"));
  EXPECT_EQ(code_after([](int fd) { poke(fd, state_format::entry_offset(4), 0x77); }, &message),
            EINVAL);
  EXPECT_THAT(message, HasSubstr("page 4"));
}

TEST(StateFile, DamagedJournalIsFound) {
  using namespace state_format;
  EXPECT_EQ(code_after([](int fd) { poke(fd, kPublished, 99); }), EINVAL);
  EXPECT_EQ(code_after([](int fd) { poke(fd, kTableChecksum, 1); }), EINVAL);
  // Operation 1 as if it had never been retired: it is done again.
  EXPECT_EQ(code_after([](int fd) { poke(fd, kRetired, 0); }), 0);
  for (size_t word = 0; word < kRecordHead + 2 + 1; ++word)
    EXPECT_EQ(code_after([&](int fd) {
                poke(fd, kRetired, 0);
                poke(fd, kRecord + word * 8, word_at(fd, kRecord + word * 8) ^ 0x100);
              }),
              EINVAL)
        << word;
}

TEST(StateFile, RecordMustStayInsideTheTable) {
  using namespace state_format;
  std::string message;
  EXPECT_EQ(code_after(
                [](int fd) {  // a record with a correct checksum that names pages 98..101 of 100
                  uint64_t words[] = {
                      1, 1, 0, 98 | uint64_t{4} << 32, PageEntry::allocated(Origin::client).word(),
                      0};
                  words[5] = checksum_words(std::span(words).first(5));
                  for (size_t i = 0; i < 6; ++i) poke(fd, kRecord + i * 8, words[i]);
                  poke(fd, kRetired, 0);
                },
                &message),
            EINVAL);
  EXPECT_THAT(message, HasSubstr("98+4 of 100"));
}

TEST(StateFile, NotAStateFile) {
  EXPECT_EQ(StateFile::open_untrusted(create_sealed_memfd("empty", 0).value()).error().code,
            EINVAL);
  EXPECT_EQ(StateFile::open_untrusted(create_sealed_memfd("zeros", 1 << 16).value()).error().code,
            EINVAL);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const Fd write_end(ends[1]);
  EXPECT_EQ(StateFile::open_untrusted(Fd(ends[0])).error().code, EINVAL);
}

TEST(StateFile, SizeAndSealsAreChecked) {
  const StateFile file = StateFile::create(identity(1000)).value();
  const uint64_t size = state_format::file_size(1000);
  EXPECT_TRUE(StateFile::open_untrusted(copy_of(file, size, true)));
  EXPECT_THAT(StateFile::open_untrusted(copy_of(file, size, false)).error().message,
              HasSubstr("sealed in size"));
  EXPECT_THAT(StateFile::open_untrusted(copy_of(file, size - kPageSize, true)).error().message,
              HasSubstr("bytes, not"));
  EXPECT_EQ(StateFile::open_untrusted(copy_of(file, size + kPageSize, true)).error().code, EINVAL);
}

}  // namespace
}  // namespace uarena::broker
