// The C functions against a scripted broker: arguments, results, errno, errors per thread, and that
// long runs hold up nothing else.
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "ipc/client/connection_handle.h"
#include "tests/ipc/scripted_broker.h"

namespace uarena::ipc {
namespace {

using testing::refuse_with;
using testing::reply_with;
using testing::ScriptedBroker;

class UarenaTest : public ::testing::Test {
 protected:
  UarenaTest() { EXPECT_EQ(uarena_connect(broker_.path().c_str(), &conn_), 0) << uarena_error(); }
  ~UarenaTest() override { uarena_close(conn_); }
  // Answers a page request; what came is kept in op_.
  void answer_pages(uint16_t type, uint64_t addr, int64_t result) {
    broker_.on(type, [this, addr, result](Request& request) {
      op_ = std::get<uarena_page_op>(request.body);
      uarena_page_op_reply reply{};
      reply.addr = addr;
      reply.result = result;
      return make_reply(request.type, request.seq, reply);
    });
  }
  static void* at(uint64_t address) { return reinterpret_cast<void*>(address); }
  ScriptedBroker broker_;
  uarena_conn* conn_ = nullptr;
  uarena_page_op op_{};
};

TEST_F(UarenaTest, NullPointersAreErrors) {
  uarena_info info{};
  const uarena_attr attr{};
  EXPECT_EQ(uarena_connect(nullptr, nullptr), -EINVAL);
  EXPECT_EQ(uarena_connect("", &conn_), -EINVAL);
  EXPECT_EQ(uarena_create(nullptr, "a", &attr, nullptr), -EINVAL);
  EXPECT_EQ(uarena_create(conn_, nullptr, &attr, nullptr), -EINVAL);
  EXPECT_EQ(uarena_create(conn_, "a", nullptr, nullptr), -EINVAL);
  EXPECT_EQ(uarena_find(nullptr, "a", &info), -EINVAL);
  EXPECT_EQ(uarena_find(conn_, nullptr, &info), -EINVAL);
  EXPECT_EQ(uarena_stat(nullptr, 1, &info), -EINVAL);
  EXPECT_EQ(uarena_delete(nullptr, 1), -EINVAL);
  EXPECT_EQ(uarena_detach(nullptr, 1), -EINVAL);
  EXPECT_EQ(uarena_syscalls_served(nullptr, 1), -EINVAL);
  EXPECT_EQ(uarena_prefault(nullptr, 1, nullptr, 1), -EINVAL);
  EXPECT_EQ(uarena_alloc(nullptr, 1, nullptr, 1, -1, 0), nullptr);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(uarena_free(nullptr, 1, nullptr, 1), -EINVAL);
  EXPECT_EQ(uarena_reserve(nullptr, 1, nullptr, 1), -EINVAL);
  EXPECT_EQ(uarena_prog_load(nullptr, "x", 0, nullptr, 0), -EINVAL);
  EXPECT_EQ(uarena_prog_load(conn_, nullptr, 0, nullptr, 0), -EINVAL);
  EXPECT_EQ(uarena_prog_load(conn_, "x", 0, nullptr, 3), -EINVAL);
  EXPECT_EQ(uarena_prog_run(nullptr, 1, nullptr, 0, nullptr, nullptr), -EINVAL);
  EXPECT_EQ(uarena_prog_run(conn_, 1, nullptr, 3, nullptr, nullptr), -EINVAL);
  EXPECT_EQ(uarena_prog_unload(nullptr, 1), -EINVAL);
  uarena_close(nullptr);
}

TEST_F(UarenaTest, InfoIsFilledIn) {
  uarena_arena_reply reply{};
  reply.info.id = 1;
  reply.info.user_vm_start = 2;
  reply.info.map_extra = 3;
  reply.info.max_entries = 4;
  reply.info.map_flags = 5;
  reply.info.pages_allocated = 6;
  reply.info.pages_reserved = 7;
  reply.info.clients = 8;
  reply.info.programs = 9;
  reply.info.faults = 10;
  reply.info.blocks = 11;
  std::memset(reply.info.name, 'n', sizeof reply.info.name);  // not terminated
  broker_.on(UARENA_MSG_ARENA_GET, reply_with(reply));
  uarena_info info{};
  ASSERT_EQ(uarena_find(conn_, "heap", &info), 0) << uarena_error();
  EXPECT_EQ(info.id, 1u);
  EXPECT_EQ(info.user_vm_start, 2u);
  EXPECT_EQ(info.map_extra, 3u);
  EXPECT_EQ(info.max_entries, 4u);
  EXPECT_EQ(info.map_flags, 5u);
  EXPECT_EQ(info.pages_allocated, 6u);
  EXPECT_EQ(info.pages_reserved, 7u);
  EXPECT_EQ(info.clients, 8u);
  EXPECT_EQ(info.programs, 9u);
  EXPECT_EQ(info.faults, 10u);
  EXPECT_EQ(info.blocks, 11u);
  EXPECT_EQ(std::string(info.name), std::string(63, 'n'));
  EXPECT_EQ(uarena_stat(conn_, 1, nullptr), 0);
}

TEST_F(UarenaTest, ErrorsBelongToTheThread) {
  broker_.on(UARENA_MSG_ARENA_DELETE, refuse_with({EBUSY, "arena 1 is in use", Why::quota}));
  EXPECT_EQ(uarena_delete(conn_, 1), -EBUSY);
  EXPECT_STREQ(uarena_error(), "arena 1 is in use");
  EXPECT_EQ(uarena_why(), 7);
  std::thread([&] {
    EXPECT_STREQ(uarena_error(), "");
    EXPECT_EQ(uarena_find(conn_, "?", nullptr), -EINVAL);
    EXPECT_STRNE(uarena_error(), "");
  }).join();
  EXPECT_STREQ(uarena_error(), "arena 1 is in use");
}

TEST_F(UarenaTest, PrefaultRoundsToPages) {
  answer_pages(UARENA_MSG_PREFAULT, 0, 2);
  EXPECT_EQ(uarena_prefault(conn_, 1, at(0x10fff), 2), 2);
  EXPECT_EQ(op_.addr, 0x10000u);
  EXPECT_EQ(op_.page_cnt, 2u);
  EXPECT_EQ(uarena_prefault(conn_, 1, at(0x10000), 4096), 2);
  EXPECT_EQ(op_.page_cnt, 1u);
  EXPECT_EQ(uarena_prefault(conn_, 1, at(0x10000), uint64_t{1} << 32), 2);
  EXPECT_EQ(op_.page_cnt, UARENA_MAX_PAGES);
  op_ = {};
  EXPECT_EQ(uarena_prefault(conn_, 1, at(0x10000), 0), 0);
  EXPECT_EQ(uarena_prefault(conn_, 1, at(0x10000), (uint64_t{1} << 32) + 1), -EINVAL);
  EXPECT_EQ(uarena_prefault(conn_, 1, at(0x10000), SIZE_MAX), -EINVAL);
  EXPECT_EQ(op_.page_cnt, 0u);  // none of these was sent
}

TEST_F(UarenaTest, AllocPassesTheKfuncsArguments) {
  answer_pages(UARENA_MSG_PAGE_ALLOC, 0x7e9000002000, 0);
  EXPECT_EQ(uarena_alloc(conn_, 5, at(0x7e9000002000), 3, -1, 0), at(0x7e9000002000));
  EXPECT_EQ(op_.arena_id, 5u);
  EXPECT_EQ(op_.addr, 0x7e9000002000u);
  EXPECT_EQ(op_.page_cnt, 3u);
  EXPECT_EQ(op_.node_id, -1);
}

TEST_F(UarenaTest, AllocTellsWhyThereIsNothing) {
  answer_pages(UARENA_MSG_PAGE_ALLOC, 0, 0);
  const auto code = [&](void* addr, uint32_t pages, uint64_t flags) {
    errno = 0;
    EXPECT_EQ(uarena_alloc(conn_, 1, addr, pages, -1, flags), nullptr);
    EXPECT_STRNE(uarena_error(), "");
    return errno;
  };
  EXPECT_EQ(code(nullptr, 1, 0), ENOMEM);
  EXPECT_EQ(code(at(0x1000), 1, 0), ENOMEM);
  EXPECT_EQ(code(at(0x1001), 1, 0), EINVAL);
  EXPECT_EQ(code(nullptr, 0, 0), EINVAL);
  EXPECT_EQ(code(nullptr, UARENA_MAX_PAGES + 1, 0), EINVAL);
  EXPECT_EQ(code(nullptr, 1, 1), EINVAL);
  answer_pages(UARENA_MSG_PAGE_ALLOC, uint64_t{1} << 63, 0);
  EXPECT_EQ(code(nullptr, 1, 0), EPROTO);
  broker_.on(UARENA_MSG_PAGE_ALLOC, refuse_with({ENOENT, "no arena", Why::not_found}));
  EXPECT_EQ(code(nullptr, 1, 0), ENOENT);
}

TEST_F(UarenaTest, FreeAndReserve) {
  answer_pages(UARENA_MSG_PAGE_FREE, 0, 0);
  EXPECT_EQ(uarena_free(conn_, 1, at(0x1000), 2), 0);
  EXPECT_EQ(op_.page_cnt, 2u);
  for (const int64_t result : {0, -EBUSY, -EINVAL}) {
    answer_pages(UARENA_MSG_PAGE_RESERVE, 0, result);
    EXPECT_EQ(uarena_reserve(conn_, 1, at(0x1000), 2), result);
  }
}

TEST_F(UarenaTest, RunWritesTheContextBack) {
  broker_.on(UARENA_MSG_PROG_RUN, [](Request& request) {
    uarena_prog_run_reply reply{};
    reply.r0 = 0x1'ffff'fffe;
    reply.duration_ns = 55;
    reply.ctx_size = static_cast<uint32_t>(request.payload.size());
    for (std::byte& byte : request.payload) byte ^= std::byte{0xff};
    return make_reply(request.type, request.seq, reply, request.payload);
  });
  unsigned char ctx[3] = {1, 2, 3};
  int32_t retval = 0;
  uint64_t duration = 0;
  ASSERT_EQ(uarena_prog_run(conn_, 1, ctx, sizeof ctx, &retval, &duration), 0) << uarena_error();
  EXPECT_EQ(ctx[0], 0xfe);
  EXPECT_EQ(ctx[2], 0xfc);
  EXPECT_EQ(retval, -2);
  EXPECT_EQ(duration, 55u);
  EXPECT_EQ(uarena_prog_run(conn_, 1, nullptr, 0, nullptr, nullptr), 0);
}

TEST_F(UarenaTest, ATestRunHasAPacketAndRepetitions) {
  uint32_t repeat = 0;
  broker_.on(UARENA_MSG_PROG_RUN, [&](Request& request) {
    const auto& body = std::get<struct uarena_prog_run>(request.body);
    repeat = body.repeat;
    uarena_prog_run_reply reply{};
    reply.r0 = 7;
    reply.duration_ns = 3;
    reply.ctx_size = body.ctx_size;
    reply.data_size = body.data_size;
    for (std::byte& byte : request.payload) byte ^= std::byte{0xff};
    return make_reply(request.type, request.seq, reply, request.payload);
  });
  unsigned char ctx[2] = {1, 2}, data[3] = {3, 4, 5};
  uarena_test_run run{};
  run.ctx = ctx;
  run.ctx_size = sizeof ctx;
  run.data = data;
  run.data_size = sizeof data;
  run.repeat = 9;
  ASSERT_EQ(uarena_prog_test_run(conn_, 1, &run), 0) << uarena_error();
  EXPECT_EQ(repeat, 9u);
  EXPECT_EQ(ctx[1], 0xfd);
  EXPECT_EQ(data[0], 0xfc);
  EXPECT_EQ(data[2], 0xfa);
  EXPECT_EQ(run.retval, 7);
  EXPECT_EQ(run.duration_ns, 3u);
  run.data = nullptr;
  EXPECT_EQ(uarena_prog_test_run(conn_, 1, &run), -EINVAL);
  EXPECT_STREQ(uarena_error(), "data is NULL, but data_size is 3");
  EXPECT_EQ(uarena_prog_test_run(conn_, 1, nullptr), -EINVAL);
}

TEST_F(UarenaTest, ALongRunHoldsUpNothingElse) {
  std::promise<void> started, finish;
  broker_.on(UARENA_MSG_PROG_RUN, [&](Request& request) {
    started.set_value();
    finish.get_future().wait();
    return make_reply(request.type, request.seq, uarena_prog_run_reply{});
  });
  broker_.on(UARENA_MSG_ARENA_GET, reply_with(uarena_arena_reply{}));
  std::thread runner([&] {
    EXPECT_EQ(uarena_prog_run(conn_, 1, nullptr, 0, nullptr, nullptr), 0) << uarena_error();
  });
  started.get_future().wait();
  EXPECT_EQ(uarena_find(conn_, "heap", nullptr), 0) << uarena_error();
  finish.set_value();
  runner.join();
}

TEST_F(UarenaTest, ARunThatLosesItsBrokerHasAnUnknownOutcome) {
  broker_.on(UARENA_MSG_PROG_RUN, [](Request&) { return std::nullopt; });
  EXPECT_EQ(uarena_prog_run(conn_, 1, nullptr, 0, nullptr, nullptr), -ECONNRESET);
  EXPECT_NE(std::string(uarena_error()).find("outcome unknown"), std::string::npos);
  EXPECT_EQ(uarena_why(), 4);
}

TEST_F(UarenaTest, LoadErrorsNameThePath) {
  EXPECT_EQ(uarena_prog_load(conn_, "/nonexistent/x.bpf.o", 0, nullptr, 0), -ENOENT);
  EXPECT_NE(std::string(uarena_error()).find("/nonexistent/x.bpf.o"), std::string::npos);
  EXPECT_STREQ(uarena_log(), "");
}

}  // namespace
}  // namespace uarena::ipc
