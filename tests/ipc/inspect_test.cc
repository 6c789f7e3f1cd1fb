// The C++ calls against a scripted broker: what goes out, what is made of the answers, and answers
// that a broker should not give.
#include "ipc/client/inspect.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/ipc/scripted_broker.h"

namespace uarena::ipc {
namespace {

using testing::memory_file;
using testing::refuse_with;
using testing::reply_with;
using testing::ScriptedBroker;

std::vector<std::byte> copy_of(std::span<const std::byte> bytes) {
  return {bytes.begin(), bytes.end()};
}

Fd file_with(std::string_view text) {
  Fd file = memory_file();
  EXPECT_EQ(::write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return file;
}

// An answer to a list request: records with these ids, `per_answer` at a time.
template <typename T>
ScriptedBroker::Answer list_of(std::vector<uint64_t> ids, size_t per_answer) {
  return [ids, per_answer](Request& request) {
    const uint64_t after = std::get<uarena_list>(request.body).after;
    std::vector<T> records;
    uarena_list_reply reply{};
    for (const uint64_t id : ids) {
      if (id <= after) continue;
      if (records.size() == per_answer) {
        reply.more = 1;
        break;
      }
      T record{};
      record.id = id;
      records.push_back(record);
    }
    reply.count = static_cast<uint32_t>(records.size());
    reply.record_size = sizeof(T);
    return make_reply(request.type, request.seq, reply, bytes_of(records));
  };
}

class InspectTest : public ::testing::Test {
 protected:
  InspectTest() : inspector_(std::move(*Inspector::connect(broker_.path()))) {}
  ScriptedBroker broker_;
  Inspector inspector_;
};

TEST_F(InspectTest, CreateSendsTheRawAttributes) {
  broker_.on(UARENA_MSG_ARENA_CREATE, [](Request& request) {
    const auto& body = std::get<uarena_arena_create>(request.body);
    EXPECT_EQ(request.name(), "heap");
    EXPECT_EQ(body.map_type, 33u);
    EXPECT_EQ(body.max_entries, 5u);
    EXPECT_EQ(body.map_flags, 6u);
    EXPECT_EQ(body.map_extra, 7u);
    EXPECT_EQ(body.fault_around, 8u);
    uarena_arena_reply reply{};
    reply.info.id = 3;
    return make_reply(request.type, request.seq, reply);
  });
  ArenaSpec spec;
  spec.max_entries = 5;
  spec.map_flags = 6;
  spec.map_extra = 7;
  spec.faults = {UARENA_FAULT_SERVED, 8};
  const auto info = inspector_.create_arena("heap", spec);
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info->id, 3u);
}

TEST_F(InspectTest, BadNamesAndIdsDoNotReachTheBroker) {
  EXPECT_EQ(inspector_.create_arena("a b", {}).error().code, EINVAL);
  EXPECT_EQ(inspector_.arena("").error().code, EINVAL);
  EXPECT_EQ(inspector_.arena(uint64_t{0}).error().code, ENOENT);
  EXPECT_EQ(inspector_.delete_arena(0).error().code, ENOENT);
  EXPECT_EQ(broker_.log().size(), 1u);  // HELLO
}

TEST_F(InspectTest, ListsComeInPieces) {
  broker_.on(UARENA_MSG_ARENA_LIST, list_of<uarena_arena_info>({1, 5, 6, 9, 100}, 2));
  broker_.on(UARENA_MSG_PROG_LIST, list_of<uarena_prog_info>({4}, 10));
  broker_.on(UARENA_MSG_CLIENT_LIST, list_of<uarena_client_info>({}, 10));
  const auto arenas = inspector_.arenas();
  ASSERT_TRUE(arenas) << arenas.error().message;
  ASSERT_EQ(arenas->size(), 5u);
  EXPECT_EQ(arenas->back().id, 100u);
  EXPECT_EQ(inspector_.programs()->size(), 1u);
  EXPECT_EQ(inspector_.clients()->size(), 0u);
}

TEST_F(InspectTest, ClientsOfOneArena) {
  broker_.on(UARENA_MSG_CLIENT_LIST, [](Request& request) {
    EXPECT_EQ(std::get<uarena_list>(request.body).arena_id, 42u);
    return list_of<uarena_client_info>({3, 4, 5}, 2)(request);
  });
  const auto clients = inspector_.clients(42);
  ASSERT_TRUE(clients) << clients.error().message;
  EXPECT_EQ(clients->size(), 3u);
}

TEST_F(InspectTest, StatsOfAnArena) {
  broker_.on(UARENA_MSG_ARENA_STATS, [](Request& request) {
    EXPECT_EQ(std::get<uarena_arena_ref>(request.body).id, 5u);
    uarena_arena_stats_reply reply{};
    reply.faults.max_ns = 12;
    reply.pages_reserved = 3;
    return make_reply(request.type, request.seq, reply);
  });
  const auto stats = inspector_.arena_stats(5);
  ASSERT_TRUE(stats) << stats.error().message;
  EXPECT_EQ(stats->faults.max_ns, 12u);
  EXPECT_EQ(stats->pages_reserved, 3u);
  EXPECT_EQ(inspector_.arena_stats(0).error().code, ENOENT);
}

// The attachments of client 7 to these arenas, `per_answer` at a time.
ScriptedBroker::Answer attachments_of(std::vector<uint64_t> arenas, size_t per_answer) {
  return [arenas, per_answer](Request& request) {
    const auto& body = std::get<uarena_client_stats>(request.body);
    EXPECT_EQ(body.client_id, 7u);
    std::vector<uarena_attachment_info> records;
    for (const uint64_t arena : arenas)
      if (arena > body.after) records.emplace_back().arena_id = arena;
    uarena_client_stats_reply reply{};
    reply.more = records.size() > per_answer;
    records.resize(std::min(records.size(), per_answer));
    reply.faults.installed = 4;
    reply.count = static_cast<uint32_t>(records.size());
    reply.record_size = sizeof(uarena_attachment_info);
    return make_reply(request.type, request.seq, reply, bytes_of(records));
  };
}

TEST_F(InspectTest, StatsOfAClientComeInPieces) {
  broker_.on(UARENA_MSG_CLIENT_STATS, attachments_of({1, 2, 30, 31, 400}, 2));
  const auto stats = inspector_.client_stats(7);
  ASSERT_TRUE(stats) << stats.error().message;
  EXPECT_EQ(stats->faults.installed, 4u);
  ASSERT_EQ(stats->attachments.size(), 5u);
  EXPECT_EQ(stats->attachments.back().arena_id, 400u);
  broker_.on(UARENA_MSG_CLIENT_STATS, attachments_of({}, 2));
  EXPECT_EQ(inspector_.client_stats(7)->attachments.size(), 0u);
}

TEST_F(InspectTest, StatsWithoutEndAreCutOff) {
  broker_.on(UARENA_MSG_CLIENT_STATS, attachments_of({1, 2, 3}, 0));
  EXPECT_EQ(inspector_.client_stats(7).error().code, EPROTO);
  broker_.on(UARENA_MSG_CLIENT_STATS, attachments_of({2, 1}, 2));
  EXPECT_EQ(inspector_.client_stats(7).error().code, EPROTO);
}

TEST_F(InspectTest, ATraceGoesForward) {
  uint64_t next = 12;
  broker_.on(UARENA_MSG_FAULT_TRACE, [&next](Request& request) {
    const auto& body = std::get<uarena_fault_trace>(request.body);
    EXPECT_EQ(body.arena_id, 3u);
    EXPECT_EQ(body.from, 9u);
    std::vector<uarena_traced_fault> records(2);
    records[1].number = 11;
    uarena_fault_trace_reply reply{};
    reply.since_ns = 77;
    reply.next = next;
    reply.lost = 1;
    reply.count = 2;
    reply.record_size = sizeof(uarena_traced_fault);
    return make_reply(request.type, request.seq, reply, bytes_of(records));
  });
  const auto trace = inspector_.trace(3, 9);
  ASSERT_TRUE(trace) << trace.error().message;
  ASSERT_EQ(trace->faults.size(), 2u);
  EXPECT_EQ(trace->faults[1].number, 11u);
  EXPECT_EQ(trace->since_ns, 77u);
  EXPECT_EQ(trace->next, 12u);
  EXPECT_EQ(trace->lost, 1u);
  next = 8;
  EXPECT_EQ(inspector_.trace(3, 9).error().code, EPROTO);
}

TEST_F(InspectTest, ListsWithoutEndAreCutOff) {
  uarena_list_reply more{};
  more.more = 1;
  more.record_size = sizeof(uarena_arena_info);
  broker_.on(UARENA_MSG_ARENA_LIST, reply_with(more));
  EXPECT_EQ(inspector_.arenas().error().code, EPROTO);

  // The same record for ever.
  more.count = 1;
  std::vector<uarena_arena_info> same(1);
  same[0].id = 4;
  broker_.on(UARENA_MSG_ARENA_LIST, reply_with(more, copy_of(bytes_of(same))));
  EXPECT_EQ(inspector_.arenas().error().code, EPROTO);

  more.count = 2;
  broker_.on(UARENA_MSG_ARENA_LIST, reply_with(more, copy_of(bytes_of(same))));
  EXPECT_EQ(inspector_.arenas().error().code, EPROTO);
}

TEST_F(InspectTest, ExtentsComeInAFile) {
  std::vector<uarena_page_extent> extents(2);
  extents[1] = {7, 3, UARENA_ORIGIN_FAULT, 0};
  uint64_t announced = 32;
  broker_.on(UARENA_MSG_PAGE_LIST, [&](Request& request) {
    uarena_text_reply reply{};
    reply.bytes = announced;
    Record record = make_reply(request.type, request.seq, reply);
    const auto bytes = bytes_of(extents);
    record.fds.push_back(file_with({reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
    return record;
  });
  const auto got = inspector_.page_extents(1);
  ASSERT_TRUE(got) << got.error().message;
  ASSERT_EQ(got->size(), 2u);
  EXPECT_EQ(got->at(1).page, 7u);
  for (const uint64_t wrong : {uint64_t{33}, uint64_t{48}, UINT64_MAX - 15}) {
    announced = wrong;
    EXPECT_EQ(inspector_.page_extents(1).error().code, EPROTO) << wrong;
  }
}

TEST_F(InspectTest, PagesAreReadAsLongAsAskedFor) {
  broker_.on(UARENA_MSG_PAGE_READ, reply_with(uarena_empty{}, std::vector<std::byte>(8)));
  EXPECT_EQ(inspector_.page_read(1, 0, 8)->size(), 8u);
  EXPECT_EQ(inspector_.page_read(1, 0, 9).error().code, EPROTO);
  EXPECT_EQ(inspector_.page_read(1, 0, 0).error().code, EINVAL);
}

class InspectLoadTest : public InspectTest {
 protected:
  InspectLoadTest() {
    char name[] = "/tmp/uarena-inspect-XXXXXX";
    directory_ = ::mkdtemp(name);
    object_ = directory_ / "list.bpf.o";
    std::ofstream(object_) << "an object";
  }
  ~InspectLoadTest() override { std::filesystem::remove_all(directory_); }
  std::filesystem::path directory_;
  std::filesystem::path object_;
};

TEST_F(InspectLoadTest, ProgramsMapsAndLogComeBack) {
  broker_.on(UARENA_MSG_PROG_LOAD, [](Request& request) {
    EXPECT_EQ(request.name(), "list");
    char text[16] = {};
    EXPECT_EQ(::pread(request.fds.at(0).get(), text, sizeof text, 0), 9);
    EXPECT_EQ(std::get<uarena_prog_load>(request.body).log_level, 2u);
    uarena_prog_load_reply reply{};
    reply.arena_id = 5;
    reply.programs = 2;
    reply.maps = 1;
    reply.program_record_size = sizeof(uarena_prog_info);
    reply.map_record_size = sizeof(uarena_map_info);
    std::vector<uarena_prog_info> programs(2);
    programs[1].id = 9;
    std::vector<uarena_map_info> maps(1);
    maps[0].id = 11;
    auto payload = copy_of(bytes_of(programs));
    const auto map_bytes = bytes_of(maps);
    payload.insert(payload.end(), map_bytes.begin(), map_bytes.end());
    Record record = make_reply(request.type, request.seq, reply, payload);
    record.fds.push_back(file_with("the log"));
    return record;
  });
  LoadSpec spec;
  spec.log_level = 2;
  std::string log = "old";
  const auto answer = inspector_.load(object_, spec, &log);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->arena_id, 5u);
  EXPECT_EQ(answer->programs.at(1).id, 9u);
  EXPECT_EQ(answer->maps.at(0).id, 11u);
  EXPECT_EQ(log, "the log");
}

TEST_F(InspectLoadTest, ARejectedObjectBringsItsLog) {
  broker_.on(UARENA_MSG_PROG_LOAD, [](Request& request) {
    Record record = make_error(request.seq, {EACCES, "insn 3: R1 is no pointer", Why::rejected});
    record.fds.push_back(file_with("0: ...\n3: ...\n"));
    return record;
  });
  std::string log;
  const auto answer = inspector_.load(object_, {}, &log);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, EACCES);
  EXPECT_EQ(answer.error().why, Why::rejected);
  EXPECT_EQ(log, "0: ...\n3: ...\n");
}

TEST_F(InspectLoadTest, AnnouncedRecordsThatAreNotThereAreRefused) {
  uarena_prog_load_reply reply{};
  reply.programs = 1000000;
  reply.program_record_size = sizeof(uarena_prog_info);
  broker_.on(UARENA_MSG_PROG_LOAD, reply_with(reply));
  EXPECT_EQ(inspector_.load(object_, {}, nullptr).error().code, EPROTO);
}

TEST_F(InspectLoadTest, AMissingFileDoesNotReachTheBroker) {
  std::string log = "old";
  EXPECT_EQ(inspector_.load(directory_ / "x.o", {}, &log).error().code, ENOENT);
  EXPECT_EQ(log, "");
  EXPECT_EQ(broker_.log().size(), 1u);
}

TEST_F(InspectTest, RunsReturnTheContext) {
  broker_.on(UARENA_MSG_PROG_RUN, [](Request& request) {
    const auto& body = std::get<uarena_prog_run>(request.body);
    EXPECT_EQ(body.prog_id, 4u);
    EXPECT_EQ(body.repeat, 10u);
    uarena_prog_run_reply reply{};
    reply.r0 = 0xffffffff'00000001;
    reply.duration_ns = 12;
    reply.repeat = body.repeat;
    reply.ctx_size = body.ctx_size;
    std::reverse(request.payload.begin(), request.payload.end());
    return make_reply(request.type, request.seq, reply, request.payload);
  });
  const std::vector<std::byte> ctx{std::byte{1}, std::byte{2}};
  const auto answer = inspector_.run(4, ctx, 10);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->r0, 0xffffffff'00000001);
  EXPECT_EQ(answer->ctx, (std::vector<std::byte>{std::byte{2}, std::byte{1}}));

  broker_.on(UARENA_MSG_PROG_RUN, reply_with(uarena_prog_run_reply{}));
  EXPECT_EQ(inspector_.run(4, ctx, 10).error().code, EPROTO);
  EXPECT_EQ(inspector_.run(4, std::vector<std::byte>(UARENA_MAX_CTX + 1)).error().code, EINVAL);
}

TEST_F(InspectTest, DumpsAreText) {
  broker_.on(UARENA_MSG_PROG_DUMP, [](Request& request) {
    EXPECT_EQ(std::get<uarena_prog_ref>(request.body).what, UARENA_DUMP_JITED);
    Record record = make_reply(request.type, request.seq, uarena_text_reply{});
    record.fds.push_back(file_with("ret\n"));
    return record;
  });
  EXPECT_EQ(inspector_.dump(1, UARENA_DUMP_JITED), "ret\n");
}

TEST_F(InspectTest, StatusAndErrors) {
  uarena_status_reply status{};
  status.clients = 2;
  broker_.on(UARENA_MSG_STATUS, reply_with(status));
  EXPECT_EQ(inspector_.status()->clients, 2u);
  broker_.on(UARENA_MSG_PROG_UNLOAD, refuse_with({ENOENT, "no program 3", Why::not_found}));
  EXPECT_EQ(inspector_.unload(3).error().why, Why::not_found);
}

}  // namespace
}  // namespace uarena::ipc
