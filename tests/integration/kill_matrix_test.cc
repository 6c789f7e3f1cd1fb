// The broker dies between any two steps of which a successor could see one without the other, and
// what the successor has is held against a model of what the client knows: pages that it wrote,
// that it was given, gave back or reserved. Only of the one request that was in hand, and that the
// successor calls "outcome unknown" (EOWNERDEAD), both outcomes are right.
//
// Each point of broker/death_point.h has a row in kPoints, and each row kills: a test holds the two
// lists together.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <regex>
#include <set>

#include "ipc/base/page.h"
#include "ipc/base/uapi.h"
#include "ipc/client/attachment.h"
#include "ipc/client/inspect.h"
#include "tests/bpf/contexts.h"
#include "tests/support/broker_process.h"
#include "tests/support/ways.h"

namespace uarena::testing {
namespace {

using ::testing::HasSubstr;

constexpr const char* kPoints[] = {"alloc.charged",   "alloc.entered",    "alloc.claimed",
                                   "alloc.claimed:5", "reserve.before",   "reserve.entered",
                                   "free.before",     "free.punched",     "free.entered",
                                   "fault.charged",   "fault.entered",    "fault.claimed",
                                   "fault.claimed:3", "around.entered",   "fault.reserved_entered",
                                   "around.made",     "state.recorded",   "state.published",
                                   "state.written",   "state.recorded:9", "state.written:12",
                                   "kfunc.begun",     "kfunc.done",       "kfunc.begun:3",
                                   "create.done",     "attach.armed",     "attach.armed:2",
                                   "request.begun",   "request.done",     "request.answered",
                                   "request.dropped", "request.begun:4",  "request.done:6",
                                   "run.ended",       "entered.client",   "entered.mem",
                                   "entered.state",   "entered.uffd",     "entered.dir",
                                   "entered.grd",     "entered.run",      "entered.obj",
                                   "entered.map",     "strike.state",     "struck.state",
                                   "strike.mem",      "struck.mem",       "strike.obj",
                                   "struck.obj",      "strike.map",       "struck.map",
                                   "strike.uffd",     "struck.uffd",      "strike.dir",
                                   "struck.dir",      "strike.grd",       "struck.grd"};

constexpr uint32_t kPages = 256;

// What the client knows of a page.
struct Known {
  enum class State { free, allocated, reserved, unknown };
  State state = State::free;
  std::optional<char> content;  // what it wrote there
};
using State = Known::State;

class KillMatrix : public ::testing::TestWithParam<const char*> {
 protected:
  KillMatrix()
      : broker_({"--keeper"}, 0,
                {"/bin/sh", "-c",
                 fmt::format("shift; UARENA_DIE_AT={} exec {}/uarenad-mortal \"$@\"", GetParam(),
                             UARENA_BIN_DIR),
                 "sh"}) {
    answered_as_usual();
    auto connected = ipc::Inspector::connect(broker_.socket());
    if (!connected) throw std::runtime_error(connected.error().message);
    client_.emplace(std::move(*connected));
  }

  uint64_t create(const std::string& name, uint32_t flags = 0, ipc::FaultWay faults = {}) {
    ipc::ArenaSpec spec;
    spec.max_entries = kPages;
    spec.map_flags = kBpfFMmapable | flags;
    if (flags == 0) spec.faults = faults;
    const auto arena = client_->create_arena(name, spec);
    EXPECT_TRUE(arena) << arena.error().message;
    return arena ? arena->id : 0;
  }
  ipc::Attachment attach(uint64_t arena, bool exact = false) {
    auto made = ipc::Attachment::attach(client_->link().control(), arena, {.exact = exact});
    if (!made) throw std::runtime_error(made.error().message);
    return std::move(*made);
  }
  static volatile char& byte(const ipc::Attachment& in, uint32_t page) {
    return static_cast<volatile char*>(in.base())[size_t{page} * kPageSize];
  }
  // 0; EOWNERDEAD is a right answer, and the pages are unknown from then on.
  bool page_op(uint16_t type, uint64_t arena, PageRange pages, State after) {
    const uint64_t base = client_->arena(arena)->user_vm_start;
    const auto done = client_->page_op(type, arena, base + pages.first * kPageSize, pages.count,
                                       type == UARENA_MSG_PAGE_ALLOC ? -1 : 0);
    const bool unknown = !done && done.error().code == EOWNERDEAD;
    EXPECT_TRUE(done || unknown) << done.error().message;
    if (done) {
      EXPECT_EQ(done->addr != 0, type == UARENA_MSG_PAGE_ALLOC);
      EXPECT_EQ(done->result, 0);
    }
    for (uint64_t page = pages.first; page < pages.end(); ++page)
      known_[arena][static_cast<uint32_t>(page)] = {unknown ? State::unknown : after, {}};
    return !unknown;
  }
  void touch(const ipc::Attachment& in, uint64_t arena, uint32_t page, char content) {
    byte(in, page) = content;  // a fault waits for the successor
    known_[arena][page] = {State::allocated, content};
  }

  // What the broker says, and what is there.
  void expect_as_known(uint64_t arena, bool around = false) {
    const auto extents = client_->page_extents(arena);
    ASSERT_TRUE(extents) << extents.error().message;
    std::map<uint32_t, uint32_t> origin;
    for (const auto& extent : *extents)
      for (uint32_t page = extent.page; page < extent.page + extent.count; ++page)
        origin[page] = extent.origin;
    uint32_t allocated = 0, unknown = 0;
    for (uint32_t page = 0; page < kPages; ++page) {
      const Known& known = known_[arena][page];
      const bool is_reserved = origin.contains(page) && origin[page] == UARENA_ORIGIN_RESERVED;
      const bool is_allocated = origin.contains(page) && !is_reserved;
      allocated += is_allocated;
      unknown += known.state == State::unknown;
      if (known.state == State::unknown || (around && known.state == State::free)) continue;
      EXPECT_EQ(is_allocated, known.state == State::allocated)
          << "arena " << arena << " page " << page;
      EXPECT_EQ(is_reserved, known.state == State::reserved)
          << "arena " << arena << " page " << page;
      if (!known.content) continue;
      const auto bytes = client_->page_read(arena, uint64_t{page} * kPageSize, 1);
      EXPECT_TRUE(bytes && (*bytes)[0] == static_cast<std::byte>(*known.content)) << page;
    }
    const auto info = client_->arena(arena);
    ASSERT_TRUE(info) << info.error().message;
    EXPECT_EQ(info->pages_allocated, allocated);
    // A page whose alloc or free was cut off may be allocated and absent.
    EXPECT_LE(info->blocks, allocated);
    if (around) return;
    EXPECT_GE(info->blocks + unknown, allocated);
  }
  // A program load or unload, of which both outcomes are right when nobody knows; as it is then.
  std::vector<uarena_prog_info> load(uint64_t arena, const std::string& name) {
    ipc::LoadSpec spec;
    spec.arena_id = arena;
    const std::string path = fmt::format("{}/{}.bpf.o", UARENA_BPF_DIR, name);
    auto loaded = client_->load(path, spec, nullptr);
    if (loaded) return loaded->programs;
    EXPECT_EQ(loaded.error().code, EOWNERDEAD) << loaded.error().message;
    const auto there = client_->programs();
    if (there && !there->empty()) return *there;
    loaded = client_->load(path, spec, nullptr);
    EXPECT_TRUE(loaded) << loaded.error().message;
    return loaded ? loaded->programs : std::vector<uarena_prog_info>();
  }
  void unload_all() {
    const auto programs = client_->programs();
    ASSERT_TRUE(programs) << programs.error().message;
    for (const auto& program : *programs) {
      const auto done = client_->unload(program.id);
      EXPECT_TRUE(done || done.error().code == EOWNERDEAD) << done.error().message;
    }
    // Of those whose outcome was unknown.
    for (const auto& program : client_->programs().value())
      EXPECT_TRUE(client_->unload(program.id));
    EXPECT_TRUE(client_->programs()->empty());
  }
  void remove(uint64_t arena) {
    const auto done = client_->delete_arena(arena);
    EXPECT_TRUE(done || done.error().code == ENOENT) << done.error().message;
    EXPECT_FALSE(client_->arena(arena));
  }
  // Programs that allocate while they run. Whether it happened is not the model's: how much is
  // there must agree with itself.
  void run(const std::vector<uarena_prog_info>& programs) {
    for (const auto& program : programs) {
      count_ctx context{};
      context.count = 2000;
      std::vector<std::byte> bytes(std::max<size_t>(program.ctx_size, sizeof context));
      std::memcpy(bytes.data(), &context, sizeof context);
      bytes.resize(program.ctx_size);
      const auto ran = client_->run(program.id, bytes);
      EXPECT_TRUE(ran || ran.error().code == EOWNERDEAD) << ran.error().message;
    }
  }

  BrokerProcess broker_;
  std::optional<ipc::Inspector> client_;
  std::map<uint64_t, std::array<Known, kPages>> known_;
};

TEST_P(KillMatrix, NothingIsLost) {
  // Creating and attaching, in each way.
  const uint64_t heap = create("heap"), strict = create("strict", kBpfFSegvOnFault);
  const uint64_t direct = create("direct", 0, {UARENA_FAULT_DIRECT, 0});
  const uint64_t around = create("around", 0, {UARENA_FAULT_SERVED, 16});
  auto in_heap = attach(heap), in_strict = attach(strict, true), in_direct = attach(direct);
  auto in_around = attach(around);
  // Faults, allocations, reservations, frees.
  for (uint32_t page = 0; page < 10; ++page)
    touch(in_heap, heap, page, static_cast<char>('a' + page));
  touch(in_around, around, 0, 'x');
  touch(in_around, around, 40, 'y');
  touch(in_direct, direct, 3, 'z');
  if (page_op(UARENA_MSG_PAGE_ALLOC, heap, {20, 16}, State::allocated))
    touch(in_heap, heap, 21, 'A');
  if (page_op(UARENA_MSG_PAGE_RESERVE, heap, {60, 4}, State::reserved))
    touch(in_heap, heap, 61, 'R');
  if (page_op(UARENA_MSG_PAGE_ALLOC, strict, {5, 3}, State::allocated))
    touch(in_strict, strict, 6, 'S');
  if (page_op(UARENA_MSG_PAGE_FREE, heap, {2, 3}, State::free)) touch(in_heap, heap, 3, 'F');
  page_op(UARENA_MSG_PAGE_FREE, strict, {7, 1}, State::free);
  page_op(UARENA_MSG_PAGE_ALLOC, direct, {100, 2}, State::allocated);
  // Programs.
  const uint64_t shared = create("shared");
  run(load(shared, "list"));
  load(0, "kept_maps");
  // What the successor has, if there is one yet; then all ends, which has points of its own.
  for (const uint64_t arena : {heap, strict, direct}) expect_as_known(arena);
  expect_as_known(around, true);
  const auto info = client_->arena(shared);
  ASSERT_TRUE(info);
  EXPECT_LE(info->blocks, info->pages_allocated);
  unload_all();
  for (auto* attachment : {&in_strict, &in_direct, &in_around})
    attachment->detach(client_->link().control());
  for (const uint64_t arena : {strict, direct, around, shared}) remove(arena);
  expect_as_known(heap);
  in_heap.detach(client_->link().control());
  remove(heap);
  const auto left = client_->arenas();
  ASSERT_TRUE(left) << left.error().message;
  for (const auto& arena : *left) remove(arena.id);  // of kept_maps
  const auto status = client_->status();
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(status->arenas, 0u);
  EXPECT_EQ(status->programs, 0u);
  EXPECT_EQ(status->clients, 1u);
  const std::string log = broker_.log();
  const std::string_view kDied = "event=keeper.broker_died";
  const size_t first = log.find(kDied);
  ASSERT_NE(first, log.npos) << GetParam() << " was not reached";
  EXPECT_EQ(log.find(kDied, first + 1), log.npos) << log;
}

INSTANTIATE_TEST_SUITE_P(Points, KillMatrix, ::testing::ValuesIn(kPoints), [](const auto& test) {
  std::string name = test.param;
  std::ranges::replace_if(name, [](char c) { return c == '.' || c == ':'; }, '_');
  return name;
});

// The marks of the sources, where those of the estate are one for each kind of entry.
TEST(KillMatrixPoints, AreThoseOfTheSources) {
  std::set<std::string> marks, rows;
  for (const auto& file : std::filesystem::directory_iterator(UARENA_SOURCE_DIR "/broker")) {
    if (file.path().extension() != ".cc") continue;
    std::ifstream in(file.path());
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    const std::regex mark("UARENA_DEATH_POINT\\(\"([a-z_.]+)\"");
    for (std::sregex_iterator i(text.begin(), text.end(), mark), end; i != end; ++i)
      marks.insert((*i)[1]);
  }
  for (const char* row : kPoints) {
    std::string name(row);
    name.resize(std::min(name.find(':'), name.size()));
    for (const char* of_estate : {"entered.", "strike.", "struck."})
      if (name.starts_with(of_estate)) name = of_estate;
    rows.insert(name);
  }
  EXPECT_EQ(marks, rows);
}

}  // namespace
}  // namespace uarena::testing
