// One death at a time, at a moment that the test chooses: what the successor takes over, what it
// answers, and what it can't.
#include <sys/mman.h>

#include <array>
#include <filesystem>
#include <future>

#include "ipc/base/page.h"
#include "ipc/client/attachment.h"
#include "ipc/client/inspect.h"
#include "ipc/client/object_file.h"
#include "tests/bpf/contexts.h"
#include "tests/integration/survival_fixture.h"
#include "tests/support/ways.h"

namespace uarena::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class Takeover : public Survival {
 protected:
  using Conn = std::unique_ptr<ipc::Inspector>;

  static Conn connect(const std::string& path) {
    auto connected = ipc::Inspector::connect(path);
    EXPECT_TRUE(connected) << connected.error().message;
    return std::make_unique<ipc::Inspector>(std::move(*connected));
  }
  Conn connect() const { return connect(socket()); }
  static uarena_arena_info create(const Conn& conn, const std::string& name, uint32_t pages = 64,
                                  uint32_t more_flags = 0) {
    ipc::ArenaSpec spec;
    spec.max_entries = pages;
    spec.map_flags = kBpfFMmapable | more_flags;
    auto info = conn->create_arena(name, spec);
    EXPECT_TRUE(info) << info.error().message;
    return info ? *info : uarena_arena_info{};
  }
  static ipc::LoadAnswer load(const Conn& conn, const std::string& object, uint64_t arena = 0,
                              uint32_t flags = 0) {
    ipc::LoadSpec spec;
    spec.arena_id = arena;
    spec.flags = flags;
    auto loaded = conn->load(UARENA_BPF_DIR "/" + object + ".bpf.o", spec, nullptr);
    EXPECT_TRUE(loaded) << loaded.error().message;
    return loaded ? std::move(*loaded) : ipc::LoadAnswer{};
  }
  static std::array<uint64_t, 5> count(const Conn& conn, uint64_t program) {
    globals_ctx ctx{};
    const auto answer = conn->run(program, std::as_bytes(std::span(&ctx, 1)));
    EXPECT_TRUE(answer) << answer.error().message;
    if (!answer) return {};
    std::memcpy(&ctx, answer->ctx.data(), sizeof ctx);
    return {ctx.rodata, ctx.data, ctx.bss, ctx.arena, ctx.custom};
  }
  static std::optional<ipc::Attachment> attach(const Conn& conn, uint64_t arena) {
    auto attached = ipc::Attachment::attach(conn->link().control(), arena);
    EXPECT_TRUE(attached) << attached.error().message;
    return attached ? std::optional(std::move(*attached)) : std::nullopt;
  }
  std::unique_ptr<ChildProcess> toucher(const std::string& arena, Words more = {}) const {
    Words words{UARENA_BIN_DIR "/toucher", "--socket", socket(), arena, "--hold"};
    words.insert(words.end(), more.begin(), more.end());
    auto child = std::make_unique<ChildProcess>(words);
    EXPECT_THAT(child->read_line(), HasSubstr("attached"));
    return child;
  }
  static std::string ask(ChildProcess& child, const std::string& line) {
    child.write_line(line);
    return child.read_line();
  }
  static size_t descriptors_of(pid_t pid) {
    size_t count = 0;
    for ([[maybe_unused]] const auto& fd :
         std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd"))
      ++count;
    return count;
  }

  // A request that the broker dies over before it has read it.
  template <typename Answer, typename Body>
  auto across(RawClient& client, uint16_t type, Body body, std::string_view payload = {},
              Fd descriptor = {}) {
    stop_broker();
    client.post(type, body, payload, std::move(descriptor));
    succeed();
    return client.answer<Answer>(type);
  }
};

TEST_F(Takeover, AFaultThatWaitsIsAnsweredByTheSuccessor) {
  answered_as_usual();
  const Conn conn = connect();
  create(conn, "heap");
  auto client = toucher("heap");
  EXPECT_THAT(ask(*client, "write 4 44"), HasSubstr("value=44"));
  for (int i = 0; i < 3; ++i) {
    const std::string page = std::to_string(10 + i);
    stop_broker();
    client->write_line("write " + page + " 77");
    ASSERT_TRUE(
        wait_until([&] { return first_line(client->pid(), "wchan").find("userfault") != npos; }));
    succeed();
    EXPECT_THAT(client->read_line(), HasSubstr("ok page=" + page));
    EXPECT_THAT(ask(*client, "read " + page), HasSubstr("value=77"));
  }
  EXPECT_THAT(ask(*client, "read 4"), HasSubstr("value=44"));
}

// Guards go on meaning what they mean; what is allocated and freed under the successor is the
// client's at once, too, also where its predecessor had asked for a guard and died.
TEST_F(Takeover, AnExactAttachment) {
  const Conn conn = connect();
  const uarena_arena_info arena = create(conn, "heap", 64, kBpfFSegvOnFault);
  ChildProcess client(
      {UARENA_BIN_DIR "/toucher", "--socket", socket(), "--handler", "--exact", "heap", "--hold"});
  EXPECT_THAT(client.read_line(), HasSubstr("attached"));
  const auto pages = [&](uint16_t type, uint64_t page, uint32_t count) {
    const auto done = conn->page_op(type, arena.id, arena.user_vm_start + page * kPageSize, count,
                                    type == UARENA_MSG_PAGE_ALLOC ? -1 : 0);
    EXPECT_TRUE(done) << done.error().message;
  };
  pages(UARENA_MSG_PAGE_ALLOC, 0, 8);
  EXPECT_THAT(ask(client, "write 3 33"), HasSubstr("ok"));
  pages(UARENA_MSG_PAGE_FREE, 4, 4);
  stop_broker();
  EXPECT_THAT(ask(client, "read 20"), HasSubstr("si_code=1")) << "without a broker";
  EXPECT_THAT(ask(client, "read 3"), HasSubstr("value=33"));
  succeed();
  pages(UARENA_MSG_PAGE_ALLOC, 4, 1);
  pages(UARENA_MSG_PAGE_ALLOC, 20, 1);
  EXPECT_THAT(ask(client, "write 4 44"), HasSubstr("ok"));
  EXPECT_THAT(ask(client, "write 20 1"), HasSubstr("ok"));
  pages(UARENA_MSG_PAGE_FREE, 20, 1);
  EXPECT_TRUE(wait_until([&] { return ask(client, "read 20").find("si_code=1") != npos; }))
      << "its helper works for the successor";
  succeed();
  EXPECT_THAT(ask(client, "read 4"), HasSubstr("value=44"));
  EXPECT_THAT(ask(client, "read 20"), HasSubstr("si_code=1"));
  const auto found = conn->clients(arena.id);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->size(), 1u);
}

// Nobody answers its faults, so it does not notice; the successor knows that it is there.
TEST_F(Takeover, AnAttachmentWithDirectFaults) {
  const Conn conn = connect();
  ipc::ArenaSpec spec;
  spec.max_entries = 64;
  spec.map_flags = kBpfFMmapable;
  spec.faults = {UARENA_FAULT_DIRECT, 0};
  const uint64_t id = conn->create_arena("heap", spec)->id;
  auto client = toucher("heap");
  EXPECT_THAT(ask(*client, "write 3 33"), HasSubstr("ok"));
  stop_broker();
  EXPECT_THAT(ask(*client, "write 5 55"), HasSubstr("ok page=5")) << "without a broker";
  succeed();
  EXPECT_THAT(ask(*client, "write 7 77"), HasSubstr("ok"));
  const auto info = conn->arena(id);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->fault, uint32_t{UARENA_FAULT_DIRECT});
  EXPECT_EQ(info->pages_allocated, 3u);
  EXPECT_EQ(info->clients, 1u);
  EXPECT_EQ(conn->delete_arena(id).error().code, EBUSY);
  EXPECT_EQ(conn->page_extents(id)->size(), 3u);
  EXPECT_THAT(ask(*client, "read 5"), HasSubstr("value=55"));
  client->kill(SIGKILL);
  client->wait();
  EXPECT_TRUE(wait_until([&] { return conn->delete_arena(id).has_value(); }));
}

// What its predecessor had counted, it does not know; who follows the trace goes on with it.
TEST_F(Takeover, FaultsAreCountedAndTracedAnew) {
  answered_as_usual();
  const Conn conn = connect();
  const uint64_t id = create(conn, "heap").id;
  auto client = toucher("heap");
  ChildProcess follower(
      {UARENA_BIN_DIR "/uarena", "-s", socket(), "arena", "trace", "heap", "--follow"});
  EXPECT_THAT(follower.read_line(), StartsWith("TIME (UTC)"));
  for (const char* page : {"1", "2", "3"}) {
    EXPECT_THAT(ask(*client, std::string("write ") + page + " 1"), HasSubstr("ok"));
    EXPECT_THAT(follower.read_line(), HasSubstr("installed"));
  }
  succeed();
  EXPECT_THAT(ask(*client, "write 4 1"), HasSubstr("ok"));
  EXPECT_EQ(follower.read_line(), "... another broker goes on; what was not shown is lost");
  EXPECT_THAT(follower.read_line(), HasSubstr("installed"));
  ASSERT_TRUE(wait_until([&] { return conn->arena_stats(id)->faults.installed == 1; }));
  const auto stats = conn->arena_stats(id);
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->pages_fault, 4u) << "pages are what they were";
  const auto trace = conn->trace(id, 0);
  ASSERT_TRUE(trace);
  ASSERT_EQ(trace->faults.size(), 1u);
  EXPECT_EQ(trace->faults[0].number, 1u);
}

TEST_F(Takeover, ASystemCallThatWaitsIsAnsweredByTheSuccessor) {
  answered_as_usual();
  const Conn conn = connect();
  const uint64_t id = create(conn, "heap").id;
  auto attachment = attach(conn, id);
  ASSERT_TRUE(attachment);
  if (!attachment->syscalls_served()) GTEST_SKIP() << "no full userfaultfd here";
  const Fd zero(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  stop_broker();
  std::promise<pid_t> thread;
  auto reading = std::async(std::launch::async, [&] {
    thread.set_value(::gettid());
    return ::read(zero.get(), static_cast<char*>(attachment->base()) + 5 * kPageSize, kPageSize);
  });
  const pid_t tid = thread.get_future().get();
  EXPECT_TRUE(wait_until([&] { return first_line(tid, "wchan").find("userfault") != npos; }));
  succeed();
  EXPECT_EQ(reading.get(), static_cast<ssize_t>(kPageSize));
}

TEST_F(Takeover, SignalsComeFromTheSuccessorToo) {
  const Conn conn = connect();
  char expected[64];
  std::snprintf(expected, sizeof expected, "segv si_addr=%#llx si_code=",
                static_cast<unsigned long long>(
                    create(conn, "strict", 64, kBpfFSegvOnFault).user_vm_start + 7 * kPageSize));
  auto client = toucher("strict", {"--handler"});
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(ask(*client, "read 7"), StartsWith(expected));
    stop_broker();
    client->write_line("write 7 1");
    succeed();
    EXPECT_THAT(client->read_line(), StartsWith(expected));
  }
}

// The same calls, with deaths among them and without.
TEST_F(Takeover, PagesComeToLieAsIfNobodyHadDied) {
  BrokerProcess twin;
  const Conn conn = connect(), twin_conn = connect(twin.socket());
  const uarena_arena_info here = create(conn, "heap", 200), there = create(twin_conn, "heap", 200);
  constexpr uint16_t kTypes[] = {UARENA_MSG_PAGE_ALLOC, UARENA_MSG_PAGE_ALLOC, UARENA_MSG_PAGE_FREE,
                                 UARENA_MSG_PAGE_RESERVE, UARENA_MSG_PREFAULT};
  const auto call = [](const Conn& on, const uarena_arena_info& arena, uint16_t type, uint32_t page,
                       uint32_t pages) -> std::pair<uint64_t, int64_t> {
    const bool any = type == UARENA_MSG_PAGE_ALLOC && page % 4 != 0;
    const uint64_t where = any ? 0 : arena.user_vm_start + page * kPageSize;
    const auto reply =
        on->page_op(type, arena.id, where, pages, type == UARENA_MSG_PAGE_ALLOC ? -1 : 0);
    if (!reply) return {0, -reply.error().code};
    return {reply->addr == 0 ? 0 : reply->addr - arena.user_vm_start + 1, reply->result};
  };
  for (int i = 0; i < 300; ++i) {
    if (i % 15 == 14) succeed();
    const uint16_t type = kTypes[random_() % std::size(kTypes)];
    const auto page = static_cast<uint32_t>(random_() % 200);
    const auto pages = static_cast<uint32_t>(1 + random_() % 6);
    ASSERT_EQ(call(conn, here, type, page, pages), call(twin_conn, there, type, page, pages))
        << i << ": " << type << " of " << pages << " pages at " << page;
  }
  const auto mine = conn->page_extents(here.id), others = twin_conn->page_extents(there.id);
  ASSERT_TRUE(mine && others && mine->size() == others->size());
  EXPECT_EQ(std::memcmp(mine->data(), others->data(), mine->size() * sizeof mine->front()), 0);
}

TEST_F(Takeover, ProgramsKeepTheirNumbersAndTheirVariables) {
  const Conn conn = connect();
  const auto globals = load(conn, "globals");
  const auto lists =
      load(conn, "list", create(conn, "lists", TEST_PAGES).id, UARENA_LOAD_INTERPRET);
  ASSERT_EQ(globals.programs.size(), 1U);
  ASSERT_EQ(lists.programs.size(), 2U);
  const uint64_t program = globals.programs[0].id;
  std::array<uint64_t, 5> expected{15, 27, 0, 44, 55};
  EXPECT_EQ(count(conn, program), expected);
  ASSERT_TRUE(conn->unload(lists.programs[0].id));
  const auto before = conn->programs();
  ASSERT_TRUE(before);
  ASSERT_EQ(before->size(), 2U);

  for (int i = 0; i < 3; ++i) {
    succeed();
    for (size_t n = 0; n < expected.size(); ++n)
      expected[n] += std::array<uint64_t, 5>{0, 2, 3, 5, 4}[n];
    EXPECT_EQ(count(conn, program), expected);
    auto after = conn->programs();
    ASSERT_TRUE(after);
    ASSERT_EQ(after->size(), before->size()) << "what was unloaded stays so";
    for (size_t n = 0; n < after->size(); ++n) {
      uarena_prog_info& is = (*after)[n];
      const uarena_prog_info& was = (*before)[n];
      EXPECT_EQ(is.run_cnt, is.id == program ? 1U : 0U) << "counters begin anew";
      is.run_cnt = was.run_cnt;
      is.run_time_ns = was.run_time_ns;
      EXPECT_EQ(std::memcmp(&is, &was, sizeof is), 0) << is.name;
    }
    EXPECT_EQ(after->back().jited_bytes, 0U) << "interpreted";
  }
  EXPECT_EQ(conn->run(lists.programs[0].id, {}).error().code, ENOENT);
  const auto again = load(conn, "globals", create(conn, "another", TEST_PAGES).id);
  EXPECT_GT(again.programs.at(0).id, lists.programs[1].id);
  for (const auto* earlier : {&globals, &lists})
    for (const uarena_map_info& map : earlier->maps) EXPECT_GT(again.maps.at(0).id, map.id);
}

// Contents are what they were, and nobody holds a lock; timers are not initialised.
TEST_F(Takeover, MapsKeepTheirContents) {
  const Conn conn = connect();
  const auto loaded = load(conn, "kept_maps");
  ASSERT_EQ(loaded.programs.size(), 2U);
  const auto run = [&](size_t program, uint64_t in) {
    helpers_ctx ctx{in, {}};
    const auto answer =
        conn->run(loaded.programs.at(program).id, std::as_bytes(std::span(&ctx, 1)));
    EXPECT_TRUE(answer) << answer.error().message;
    if (answer) std::memcpy(&ctx, answer->ctx.data(), sizeof ctx);
    return std::vector<uint64_t>(std::begin(ctx.out), std::begin(ctx.out) + 6);
  };
  EXPECT_EQ(run(0, 4711)[0], 0U);
  const auto before = run(1, 0);
  EXPECT_EQ(before, (std::vector<uint64_t>{4711, 4711, 0, 4711, 16, 0}));
  succeed();
  auto expected = before;
  expected[5] = static_cast<uint64_t>(-EINVAL);
  EXPECT_EQ(run(1, 0), expected);
  EXPECT_EQ(run(0, 42)[0], 0U);
  EXPECT_EQ(run(1, 0), (std::vector<uint64_t>{42, 42, 0, 42, 32, 0}));
}

TEST_F(Takeover, ARunThatWasCutOffIsToldAndMarked) {
  const Conn conn = connect(), runner = connect();
  const auto loaded = load(conn, "long_run");
  const uint64_t program = loaded.programs.at(0).id;
  auto attachment = attach(conn, loaded.arena_id);
  ASSERT_TRUE(attachment);
  auto* const turns = static_cast<volatile uint64_t*>(attachment->base());
  volatile uint64_t* const stop = turns + 1;
  for (unsigned i = 1; i <= 2; ++i) {
    *turns = 0;
    auto running = std::async(std::launch::async, [&] { return runner->run(program, {}); });
    ASSERT_TRUE(wait_until([&] { return *turns != 0; }));
    kill_broker();
    const auto answer = running.get();
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, EOWNERDEAD);
    EXPECT_THAT(answer.error().message, HasSubstr("outcome unknown"));
    wait_ready();
    const auto info = conn->arena(loaded.arena_id);
    ASSERT_TRUE(info);
    EXPECT_EQ(info->cut_off_runs, i);
  }
  EXPECT_THAT(lines_with("run.cut_off"), HasSubstr("name=\"long_run\""));
  *stop = 1;
  const auto answer = runner->run(program, {});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->r0, 1U);
}

TEST_F(Takeover, WhatWasNotBegunIsCarriedOut) {
  RawClient client(socket());
  ASSERT_TRUE(client.hello());
  uarena_arena_create creation{};
  creation.map_type = kBpfMapTypeArena;
  creation.max_entries = TEST_PAGES;
  creation.map_flags = kBpfFMmapable;
  const auto created =
      across<uarena_arena_reply>(client, UARENA_MSG_ARENA_CREATE, creation, "heap");
  ASSERT_TRUE(created);
  const uarena_arena_info arena = created->body.info;
  uarena_arena_ref by_id{};
  by_id.id = arena.id;
  EXPECT_TRUE(across<uarena_arena_reply>(client, UARENA_MSG_ARENA_GET, by_id));
  EXPECT_EQ(across<uarena_list_reply>(client, UARENA_MSG_ARENA_LIST, uarena_list{})->body.count,
            1U);

  uarena_attach attach{};
  attach.arena_id = arena.id;
  auto attached = across<uarena_arena_reply>(client, UARENA_MSG_ATTACH, attach);
  ASSERT_TRUE(attached);
  std::optional<ArenaMapping> mapping(std::in_place, attached->fds.at(0).get(), arena);
  uarena_attach_ready ready{};
  ready.arena_id = arena.id;
  ASSERT_TRUE(
      across<uarena_empty>(client, UARENA_MSG_ATTACH_READY, ready, {}, RawClient::userfaultfd()));
  mapping->page(9)[0] = 1;

  auto channel = across<uarena_empty>(client, UARENA_MSG_RUN_CHANNEL, uarena_empty{});
  ASSERT_TRUE(channel);
  RawClient run(std::move(channel->fds.at(0)));
  uarena_page_op pages{};
  pages.arena_id = arena.id;
  pages.page_cnt = 2;
  pages.node_id = -1;
  const auto op = [&](uint16_t type) {
    const auto reply = across<uarena_page_op_reply>(run, type, pages);
    EXPECT_TRUE(reply) << type << ": " << reply.error().error.message;
    return reply ? reply->body : uarena_page_op_reply{};
  };
  pages.addr = op(UARENA_MSG_PAGE_ALLOC).addr;
  pages.node_id = 0;
  EXPECT_EQ(pages.addr, arena.user_vm_start);
  op(UARENA_MSG_PAGE_FREE);
  EXPECT_EQ(op(UARENA_MSG_PAGE_RESERVE).result, 0);
  EXPECT_EQ(op(UARENA_MSG_PREFAULT).result, 2);
  uarena_page_list list{};
  list.arena_id = arena.id;
  EXPECT_EQ(across<uarena_text_reply>(run, UARENA_MSG_PAGE_LIST, list)->body.bytes,
            2 * sizeof(uarena_page_extent));
  uarena_page_read read{};
  read.arena_id = arena.id;
  read.offset = 9 * kPageSize;
  read.length = 1;
  const auto bytes = across<uarena_empty>(run, UARENA_MSG_PAGE_READ, read);
  ASSERT_TRUE(bytes);
  EXPECT_EQ(bytes->payload, std::vector<std::byte>{std::byte{1}});

  auto object = ipc::read_object_file(UARENA_BPF_DIR "/list.bpf.o");
  ASSERT_TRUE(object);
  uarena_prog_load load{};
  load.arena_id = arena.id;
  EXPECT_EQ(
      across<uarena_prog_load_reply>(run, UARENA_MSG_PROG_LOAD, load, "list", std::move(*object))
          ->body.programs,
      2U);
  EXPECT_EQ(across<uarena_list_reply>(client, UARENA_MSG_PROG_LIST, uarena_list{})->body.count, 2U);
  uarena_prog_ref program{};
  program.prog_id = 1;
  EXPECT_TRUE(across<uarena_text_reply>(run, UARENA_MSG_PROG_DUMP, program));
  uarena_prog_run runs{};
  runs.prog_id = 1;
  runs.ctx_size = sizeof(count_ctx);
  EXPECT_EQ(across<uarena_prog_run_reply>(run, UARENA_MSG_PROG_RUN, runs,
                                          std::string(sizeof(count_ctx), '\0'))
                ->body.r0,
            0U);
  for (program.prog_id = 1; program.prog_id <= 2; ++program.prog_id)
    EXPECT_TRUE(across<uarena_empty>(run, UARENA_MSG_PROG_UNLOAD, program));

  EXPECT_EQ(across<uarena_list_reply>(client, UARENA_MSG_CLIENT_LIST, uarena_list{})->body.count,
            1U);
  EXPECT_EQ(across<uarena_status_reply>(client, UARENA_MSG_STATUS, uarena_empty{})->body.arenas,
            1U);
  uarena_detach detach{};
  detach.arena_id = arena.id;
  mapping.reset();
  EXPECT_TRUE(across<uarena_empty>(client, UARENA_MSG_DETACH, detach));
  EXPECT_TRUE(across<uarena_empty>(client, UARENA_MSG_ARENA_DELETE, by_id));
  EXPECT_EQ(lines_with("run.cut_off"), "");
}

TEST_F(Takeover, WhoDiesWhileThereIsNoBrokerLeavesNothing) {
  const Conn conn = connect();
  create(conn, "heap");
  succeed();
  const auto before = descriptors_of(broker());
  for (int i = 0; i < 3; ++i) {
    auto client = toucher("heap");
    EXPECT_THAT(ask(*client, "write 5 55"), HasSubstr("ok"));
    keeper_->pause();
    const Watched dead(broker());
    dead.kill();
    ASSERT_TRUE(dead.has_ended());
    client->kill(SIGKILL);
    client->wait();
    keeper_->go_on();
    next_broker();
    wait_ready();
    EXPECT_TRUE(wait_until([&] { return descriptors_of(broker()) <= before; }))
        << descriptors_of(broker()) << " of " << before;
    const auto info = conn->arena("heap");
    ASSERT_TRUE(info);
    EXPECT_EQ(info->clients, 0U);
    EXPECT_EQ(conn->clients()->size(), 1U);
  }
  EXPECT_THAT(lines_with("client.not_resumed"), HasSubstr("has exited"));
  succeed();
  const std::string started = lines_with("keeper.broker_started");
  EXPECT_EQ(Service::number_in(started.substr(started.rfind("kept=") - 1), " kept="), 5)
      << "the ledger, the listener, us, the arena's two";
}

}  // namespace
}  // namespace uarena::testing
