// The page table: counts and entries of each operation, and above all that a broker may die at any
// store: random operations are recorded store by store, every prefix is written into a file as a
// dead broker would have left it, and what a successor finds there is the state before or after the
// operation, with the free set's order (K36).
#include "broker/page_table.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <unistd.h>

#include "broker/memory_file.h"
#include "tests/broker/naive_free_model.h"

namespace uarena::broker {
namespace {

ArenaIdentity identity(uint32_t pages) {
  ArenaAttr attr;
  attr.max_entries = pages;
  attr.map_flags = kBpfFMmapable;
  return {1, "table", attr, 0x7e9000001000, 0, 0};
}

struct State {
  std::vector<PageEntry> entries;
  std::vector<FreeExtent> free;
  uint32_t allocated;
  uint32_t reserved;
  friend bool operator==(const State&, const State&) = default;
};

State state_of(const PageTable& table) {
  State state{std::vector<PageEntry>(table.size()), table.free_set().extents(), table.allocated(),
              table.reserved()};
  table.state_file().copy(0, state.entries);
  PagesByOrigin by_origin;
  for (const PageEntry entry : state.entries)
    if (entry.state() != PageState::free) ++by_origin.pages[static_cast<size_t>(entry.origin())];
  EXPECT_EQ(table.counts().pages, by_origin.pages);
  return state;
}

TEST(PageTable, OperationsCount) {
  PageTable table = PageTable::create(identity(16)).value();
  table.take({2, 4}, Origin::program);
  table.take({8, 2}, Origin::reserved);
  EXPECT_EQ(table.allocated(), 4U);
  EXPECT_EQ(table.reserved(), 2U);
  table.assign({9, 1}, Origin::fault);
  EXPECT_EQ(table.allocated(), 5U);
  EXPECT_EQ(table.reserved(), 1U);
  EXPECT_EQ(table.entry(9), PageEntry::allocated(Origin::fault));
  EXPECT_EQ(table.release({0, 9}), 4U);
  EXPECT_EQ(table.release({3, 2}), 0U);  // free already
  EXPECT_EQ(table.allocated(), 1U);
  EXPECT_EQ(table.reserved(), 0U);
  table.assign({9, 1}, Origin::reserved);
  EXPECT_EQ(table.allocated(), 0U);
  EXPECT_EQ(table.reserved(), 1U);
}

TEST(PageTable, SuccessorGivesOutPagesInTheSameOrder) {
  PageTable table = PageTable::create(identity(16)).value();
  table.take({0, 16}, Origin::program);
  for (const uint32_t page : {10U, 2U, 14U, 6U}) table.release({page, 1});
  PageTable successor = PageTable::open_untrusted(Fd(::dup(table.state_file().fd()))).value();
  EXPECT_EQ(state_of(successor), state_of(table));
  for (const uint32_t page : {6U, 14U, 2U, 10U}) {
    ASSERT_EQ(successor.find(1), page);
    successor.take({page, 1}, Origin::client);
  }
}

TEST(PageTable, FreeExtentsThatMakeNoSenseAreRefused) {
  const auto refused = [](std::vector<StateFile::Fill> fills) {
    PageTable table = PageTable::create(identity(16)).value();
    table.state_file().apply(fills);
    const auto opened = PageTable::open_untrusted(Fd(::dup(table.state_file().fd())));
    return !opened && opened.error().code == EINVAL;
  };
  EXPECT_FALSE(refused({}));
  EXPECT_TRUE(refused({{{0, 1}, PageEntry()}})) << "no head";
  EXPECT_TRUE(refused({{{5, 1}, PageEntry::free_head(9)}})) << "a head inside an extent";
  EXPECT_TRUE(refused({{{5, 1}, PageEntry::reserved()}})) << "no head behind a taken page";
  EXPECT_TRUE(refused({{{5, 1}, PageEntry::reserved()}, {{6, 1}, PageEntry::free_head(1)}}))
      << "the same number twice";
  EXPECT_TRUE(refused({{{0, 1}, PageEntry::free_head(FreeSet::kMaxSeq)}})) << "used up";
}

TEST(PageTable, SnapshotIsTheTableAtOneMoment) {
  PageTable table = PageTable::create(identity(3 * TableSnapshot::kChunk)).value();
  table.take({100, 3}, Origin::program);
  const State before = state_of(table);
  TableSnapshot snapshot(table.size());
  ASSERT_EQ(snapshot.chunks(), 3U);
  table.add_snapshot(&snapshot);
  snapshot.preserve_chunk(table.state_file(), 1);
  table.take({TableSnapshot::kChunk - 2, TableSnapshot::kChunk + 4}, Origin::client);
  table.release({101, 1});
  for (uint32_t chunk = 0; chunk < 3; ++chunk) snapshot.preserve_chunk(table.state_file(), chunk);
  table.remove_snapshot(&snapshot);
  EXPECT_EQ(snapshot.entries(), before.entries);
  EXPECT_NE(state_of(table).entries, before.entries);
}

// --- death at every store ---

std::vector<std::byte> image_of(const StateFile& file) {
  std::vector<std::byte> image(state_format::file_size(file.page_count()));
  RC_ASSERT(::pread(file.fd(), image.data(), image.size(), 0) ==
            static_cast<ssize_t>(image.size()));
  return image;
}

Fd file_from(const std::vector<std::byte>& image) {
  Fd fd = create_sealed_memfd("image", image.size()).value();
  RC_ASSERT(::pwrite(fd.get(), image.data(), image.size(), 0) ==
            static_cast<ssize_t>(image.size()));
  return fd;
}

void random_operation(PageTable& table, NaiveFreeModel& model) {
  const auto pages = table.size();
  const auto first = *rc::gen::inRange<uint32_t>(0, pages);
  const auto count = *rc::gen::inRange<uint32_t>(1, std::min(pages - first, 6U) + 1);
  const Origin origin = *rc::gen::element(Origin::program, Origin::fault, Origin::reserved);
  PageRange range = {first, count};
  switch (*rc::gen::inRange(0, 4)) {
    case 0:
      RC_ASSERT(table.find(count) == model.find(count));
      if (!model.find(count)) break;
      range.first = *model.find(count);
      table.take(range, origin);
      model.take(range);
      return;
    case 1:
      if (!model.all_free(range)) break;
      table.take(range, origin);
      model.take(range);
      return;
    case 2:
      if (model.all_free({first, 1})) break;
      table.assign({first, 1}, Origin::fault);
      return;
    default:
      break;
  }
  table.release(range);
  model.release(range);
}

RC_GTEST_PROP(PageTableProperty, EveryStoreIsAGoodMomentToDie, ()) {
  constexpr uint32_t kPages = 20;
  PageTable table = PageTable::create(identity(kPages)).value();
  NaiveFreeModel model(kPages);
  for (int step = 0; step < 6; ++step) {
    const State before = state_of(table);
    std::vector<std::byte> image = image_of(table.state_file());
    std::vector<StateFile::Store> stores;
    table.state_file().record_stores(&stores);
    random_operation(table, model);
    table.state_file().record_stores(nullptr);
    const State after = state_of(table);

    bool published = false;
    for (size_t prefix = 0;; ++prefix) {
      const PageTable successor = PageTable::open_untrusted(file_from(image)).value();
      RC_ASSERT(state_of(successor) == (published ? after : before));
      if (prefix == stores.size()) break;
      std::memcpy(image.data() + stores[prefix].offset, &stores[prefix].value, 8);
      published = published || stores[prefix].offset == state_format::kPublished;
    }
    RC_ASSERT(published == !stores.empty());
    RC_ASSERT(published || after == before);  // a free of free pages stores nothing
    RC_ASSERT(image == image_of(table.state_file()));
  }
}

// The successor that redoes an operation may die, too, and leave it to the next.
RC_GTEST_PROP(PageTableProperty, RedoIsRepeatable, ()) {
  PageTable table = PageTable::create(identity(20)).value();
  NaiveFreeModel model(20);
  for (int step = 0; step < 4; ++step) random_operation(table, model);
  std::vector<std::byte> image = image_of(table.state_file());
  std::vector<StateFile::Store> stores;
  table.state_file().record_stores(&stores);
  while (stores.empty()) random_operation(table, model);
  table.state_file().record_stores(nullptr);
  const State after = state_of(table);

  const auto is_publish = [](const StateFile::Store& store) {
    return store.offset == state_format::kPublished;
  };
  const auto publish = std::ranges::find_if(stores, is_publish);
  for (auto store = stores.begin(); store != publish + 1; ++store)
    std::memcpy(image.data() + store->offset, &store->value, 8);
  // The first successor gets to any point of the redo, the second one starts over.
  const auto until = *rc::gen::inRange<ptrdiff_t>(0, stores.end() - publish);
  for (auto store = publish + 1; store < publish + until; ++store)
    std::memcpy(image.data() + store->offset, &store->value, 8);
  const Fd fd = file_from(image);
  RC_ASSERT(state_of(PageTable::open_untrusted(Fd(::dup(fd.get()))).value()) == after);
  RC_ASSERT(state_of(PageTable::open_untrusted(Fd(::dup(fd.get()))).value()) == after);
}

}  // namespace
}  // namespace uarena::broker
