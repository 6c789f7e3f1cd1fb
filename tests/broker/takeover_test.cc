// What one broker leaves in the estate, taken over by the next: here both are this process, and the
// estate's entries go from the one to the other by hand.
#include "broker/takeover.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/codec.h"
#include "ipc/scm_rights.h"
#include "jit/engine.h"
#include "tests/bpf/contexts.h"
#include "tests/support/bpf_objects.h"
#include "tests/support/fake_manager.h"

namespace uarena::broker {
namespace {

using Kind = EstateEntry::Kind;
using testing::read_bpf_object;

class TakeoverTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { ASSERT_TRUE(jit::install_fault_handler()); }
  TakeoverTest() {
    ::setenv("NOTIFY_SOCKET", manager_.address().c_str(), 1);
    ::setenv("FDSTORE", "100", 1);
    store_.emplace(Inherited());
    estate_ = Estate::create(*store_).value();
    hear();
  }
  ~TakeoverTest() override {
    ::unsetenv("NOTIFY_SOCKET");
    ::unsetenv("FDSTORE");
  }

  struct Broker {
    explicit Broker(Estate& estate) : arenas(&estate), programs(arenas, &estate) {}
    AccountTable accounts;
    ArenaRegistry arenas;
    ProgramRegistry programs;
  };

  // What the manager keeps. It has to listen while there is something to hear: its queue is short.
  void hear() {
    for (;;) {
      auto message = manager_.receive(std::chrono::milliseconds(0));
      if (message.text.empty()) return;
      const size_t at = message.text.find("FDNAME=") + 7;
      const std::string name = message.text.substr(at, message.text.find('\n', at) - at);
      if (message.text.starts_with("FDSTORE=1"))
        kept_[*EstateEntry::parse_untrusted(name)] = std::move(message.fds.at(0));
      else
        kept_.erase(*EstateEntry::parse_untrusted(name));
    }
  }
  EstateEntries left() {
    hear();
    EstateEntries entries;
    for (const auto& [entry, fd] : kept_)
      if (entry.kind != Kind::ledger) entries[entry] = Fd(::dup(fd.get()));
    return entries;
  }
  std::vector<EstateEntry> kept() {
    hear();
    std::vector<EstateEntry> all;
    for (const auto& [entry, fd] : kept_)
      if (entry.kind != Kind::ledger) all.push_back(entry);
    return all;
  }

  std::shared_ptr<Arena> create(Broker& broker, const std::string& name,
                                ArenaCreator creator = {}) {
    ArenaAttr attr;
    attr.max_entries = TEST_PAGES;
    attr.map_flags = kBpfFMmapable;
    auto arena = broker.arenas.create(name, attr, broker.accounts.of(1000), creator);
    EXPECT_TRUE(arena) << arena.error().message;
    hear();
    return arena ? *arena : nullptr;
  }
  LoadOutcome load(Broker& broker, const std::string& object, uint64_t arena) {
    LoadRequest request;
    request.object_name = object;
    request.arena_id = arena;
    auto loaded = broker.programs.load(read_bpf_object(object), request, broker.accounts.of(1000));
    EXPECT_TRUE(loaded) << loaded.error().error.message;
    hear();
    return loaded ? std::move(*loaded) : LoadOutcome{};
  }

  testing::FakeManager manager_;
  std::optional<FdStore> store_;
  std::unique_ptr<Estate> estate_;
  std::map<EstateEntry, Fd> kept_;
};

TEST_F(TakeoverTest, ArenasAreWhatTheyWere) {
  std::optional<Broker> first(*estate_);
  auto a = create(*first, "a", {7, 70});
  create(*first, "b");
  const uint64_t address = a->alloc_pages(0, 3, -1, 0, Origin::client);
  ASSERT_NE(address, 0U);
  EXPECT_EQ(a->fault(a->user_vm_start() + 9 * kPageSize), FaultDecision::installed);
  const auto extents = a->extents();
  const uint64_t start = a->user_vm_start();
  a.reset();  // its account dies with its broker
  first.reset();

  Broker second(*estate_);
  auto entries = left();
  take_over_arenas(entries, *estate_, second.arenas, second.accounts);
  EXPECT_TRUE(entries.empty());
  const auto again = second.arenas.find("a");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->id(), 1U);
  EXPECT_EQ(again->user_vm_start(), start);
  EXPECT_EQ(again->extents(), extents);
  EXPECT_EQ(again->identity().creator_client, 7U);
  EXPECT_EQ(again->identity().creator_seq, 70U);
  EXPECT_EQ(second.accounts.of(1000).used(Resource::arenas), 2U);
  EXPECT_EQ(second.accounts.of(1000).used(Resource::pages), 4U);
  EXPECT_EQ(create(second, "c")->id(), 3U);
}

TEST_F(TakeoverTest, NamesAreClaims) {
  Broker first(*estate_);
  create(first, "a");
  create(first, "b");
  auto entries = left();
  std::swap(entries[{Kind::state, 1}], entries[{Kind::state, 2}]);
  Broker second(*estate_);
  take_over_arenas(entries, *estate_, second.arenas, second.accounts);
  EXPECT_EQ(second.arenas.size(), 0U) << "with the memory of the other";
  EXPECT_EQ(kept().size(), 4U) << "nobody's memory is thrown away";
}

TEST_F(TakeoverTest, ProgramsGoOnWithTheirVariables) {
  Broker first(*estate_);
  const uint64_t arena = create(first, "a")->id();
  const auto loaded = load(first, "globals", arena);
  ASSERT_EQ(loaded.programs.size(), 1U);
  const std::atomic<bool> never{false};
  const auto data_of = [&](const Program& program) {
    globals_ctx ctx{};
    EXPECT_TRUE(run_program(program, std::as_writable_bytes(std::span(&ctx, 1)), 1, never));
    return ctx.data;
  };
  EXPECT_EQ(data_of(*loaded.programs[0]), 27U);

  Broker second(*estate_);
  auto entries = left();
  take_over_arenas(entries, *estate_, second.arenas, second.accounts);
  take_over_objects(entries, *estate_, second.programs, second.accounts);
  EXPECT_TRUE(entries.empty());
  const auto again = second.programs.find(loaded.programs[0]->id);
  ASSERT_TRUE(again);
  EXPECT_EQ(data_of(*again), 29U);
  EXPECT_EQ(second.arenas.remove(arena).error().code, EBUSY) << "the program uses it";
  EXPECT_TRUE(second.programs.unload(again->id));
}

// A predecessor may die between noting the last unload and striking out the object.
TEST_F(TakeoverTest, AnObjectOfWhichNothingIsLoadedGoes) {
  Broker first(*estate_);
  const auto loaded = load(first, "list", create(first, "a")->id());
  ASSERT_EQ(loaded.programs.size(), 2U);
  for (uint32_t index : {0U, 1U}) loaded.object->file->set_unloaded(index);

  Broker second(*estate_);
  auto entries = left();
  take_over_arenas(entries, *estate_, second.arenas, second.accounts);
  take_over_objects(entries, *estate_, second.programs, second.accounts);
  EXPECT_EQ(second.programs.size(), 0U);
  EXPECT_THAT(kept(),
              ::testing::ElementsAre(EstateEntry{Kind::memory, 1}, EstateEntry{Kind::state, 1}));
  EXPECT_EQ(second.accounts.of(1000).used(Resource::programs), 0U);
  EXPECT_TRUE(second.arenas.remove(1)) << "nobody uses it";
}

class CutOff : public TakeoverTest {
 protected:
  CutOff() : first_(*estate_), arena_(create(first_, "a")) {
    program_ = load(first_, "list", arena_->id()).programs.at(0)->id;
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    ours_.reset(ends[0]);
    theirs_.reset(ends[1]);
    EXPECT_TRUE(estate_->enter({Kind::run, 4, kSlot}, ours_.get()));
    uarena_prog_run run{};
    run.prog_id = program_;
    EXPECT_TRUE(ipc::send_record(theirs_.get(), ipc::make_request(UARENA_MSG_PROG_RUN, 5, run)));
  }
  Ledger::Slot& slot() { return estate_->ledger().slot(kSlot); }
  uint64_t marks_after_a_death() {
    Broker next(*estate_);
    auto entries = left();
    take_over_arenas(entries, *estate_, next.arenas, next.accounts);
    take_over_objects(entries, *estate_, next.programs, next.accounts);
    mark_cut_off_runs(entries, *estate_, next.programs);
    const auto runs = next.arenas.find(arena_->id())->cut_off_runs();
    if (runs.count != 0) {
      EXPECT_EQ(runs.why, uarena::broker::CutOff::death);
      EXPECT_EQ(runs.program_id, program_);
      EXPECT_EQ(runs.program, "build");
      EXPECT_EQ(runs.when_ns, 77U);
    }
    return runs.count;
  }

  static constexpr uint32_t kSlot = 9;
  Broker first_;
  std::shared_ptr<Arena> arena_;
  uint64_t program_ = 0;
  Fd ours_, theirs_;
};

TEST_F(CutOff, ARunThatWasBegunIsMarkedOnce) {
  slot().begun_ns = 77;
  slot().program = program_;
  slot().begun = 5 + 1;
  EXPECT_EQ(marks_after_a_death(), 1U);
  // The successor died before it could answer.
  EXPECT_EQ(marks_after_a_death(), 1U);
}

TEST_F(CutOff, WhatWasNotBegunIsNot) {
  EXPECT_EQ(marks_after_a_death(), 0U);
  slot().program = program_;  // and died before the last of the three words
  EXPECT_EQ(marks_after_a_death(), 0U);
}

TEST_F(CutOff, WhatWasAnsweredOrHasEndedIsNot) {
  slot().begun = 5 + 1;
  slot().program = 0;
  EXPECT_EQ(marks_after_a_death(), 0U) << "it has ended";
  slot().program = program_;
  slot().begun = 4 + 1;
  EXPECT_EQ(marks_after_a_death(), 0U) << "another request is in the socket now";
  ipc::drop_record(ours_.get());
  slot().begun = 5 + 1;
  EXPECT_EQ(marks_after_a_death(), 0U) << "it was answered";
}

TEST_F(TakeoverTest, ClientsComeWithWhatIsTheirs) {
  EstateEntries entries;
  const auto something = [] { return Fd(::memfd_create("x", MFD_CLOEXEC)); };
  for (const EstateEntry& entry :
       {EstateEntry{Kind::client, 1}, EstateEntry{Kind::uffd, 1, 3}, EstateEntry{Kind::run, 1, 0},
        EstateEntry{Kind::run, 1, 1}, EstateEntry{Kind::client, 2},
        EstateEntry{Kind::full_uffd, 2, 3}, EstateEntry{Kind::uffd, 8, 3},
        EstateEntry{Kind::run, 8, 5}, EstateEntry{Kind::map, 8, 5}})
    entries[entry] = something();
  const auto clients = take_over_clients(entries);
  ASSERT_EQ(clients.size(), 2U);
  EXPECT_EQ(clients[0].id, 1U);
  EXPECT_TRUE(clients[0].socket);
  EXPECT_EQ(clients[0].attachments.size(), 1U);
  EXPECT_EQ(clients[0].channels.size(), 2U);
  EXPECT_EQ(clients[1].attachments.at(0).first, (EstateEntry{Kind::full_uffd, 2, 3}));
  EXPECT_TRUE(clients[1].channels.empty());
  EXPECT_EQ(entries.size(), 3U) << "of whom nobody knows";
  drop_entries(entries, *estate_);
  EXPECT_TRUE(entries.empty());
}

}  // namespace
}  // namespace uarena::broker
