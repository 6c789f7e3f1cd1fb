// The fields of requests: which values pass, and which are refused before anybody acts on them.
#include "ipc/request_fields.h"

#include <gtest/gtest.h>

#include <vector>

namespace uarena::ipc {
namespace {

template <typename T>
int parse(uint16_t type, const T& body) {
  const auto parsed =
      parse_request_fields_untrusted(type, std::as_bytes(std::span<const T>(&body, 1)));
  if (!parsed) return parsed.error().code;
  EXPECT_EQ(std::memcmp(&std::get<T>(*parsed), &body, sizeof body), 0);
  return 0;
}

TEST(RequestFields, Hello) {
  uarena_hello m{};
  m.abi_min = 1;
  m.abi_max = 3;
  EXPECT_EQ(parse(UARENA_MSG_HELLO, m), 0);
  m.abi_min = 4;
  EXPECT_EQ(parse(UARENA_MSG_HELLO, m), EINVAL);
  m = {};
  m.flags = 1;
  EXPECT_EQ(parse(UARENA_MSG_HELLO, m), EINVAL);
}

TEST(RequestFields, RawAttributesPassForTheBrokerToJudge) {
  uarena_arena_create m{};
  m.map_type = m.key_size = m.value_size = m.max_entries = m.map_flags = UINT32_MAX;
  m.map_extra = UINT64_MAX;
  EXPECT_EQ(parse(UARENA_MSG_ARENA_CREATE, m), 0);
  m.fault = UARENA_FAULT_DIRECT + 1;
  EXPECT_EQ(parse(UARENA_MSG_ARENA_CREATE, m), EINVAL);
  m.fault = 0;
  m.mode = UARENA_MODE_ALL;
  EXPECT_EQ(parse(UARENA_MSG_ARENA_CREATE, m), 0);
  m.mode = UARENA_MODE_ALL + 1;
  EXPECT_EQ(parse(UARENA_MSG_ARENA_CREATE, m), EINVAL);
}

TEST(RequestFields, AnArenasAccess) {
  uarena_arena_access m{};
  m.which = UARENA_ACCESS_UID | UARENA_ACCESS_GID | UARENA_ACCESS_MODE;
  m.uid = m.gid = UINT32_MAX - 1;
  m.mode = UARENA_MODE_ALL;
  EXPECT_EQ(parse(UARENA_MSG_ARENA_ACCESS, m), 0);
  m.mode += 1;
  EXPECT_EQ(parse(UARENA_MSG_ARENA_ACCESS, m), EINVAL);
  m.mode = 0;
  m.uid = UINT32_MAX;
  EXPECT_EQ(parse(UARENA_MSG_ARENA_ACCESS, m), EINVAL);
  m.uid = 0;
  m.gid = UINT32_MAX;
  EXPECT_EQ(parse(UARENA_MSG_ARENA_ACCESS, m), EINVAL);
  m.gid = 0;
  m.which = 8;
  EXPECT_EQ(parse(UARENA_MSG_ARENA_ACCESS, m), EINVAL);
}

TEST(RequestFields, OnlyClientsAreListedByArena) {
  uarena_list m{};
  m.after = UINT64_MAX;
  for (uint16_t type : {UARENA_MSG_ARENA_LIST, UARENA_MSG_PROG_LIST, UARENA_MSG_CLIENT_LIST}) {
    m.arena_id = 0;
    EXPECT_EQ(parse(type, m), 0);
    m.arena_id = 1;
    EXPECT_EQ(parse(type, m), type == UARENA_MSG_CLIENT_LIST ? 0 : EINVAL);
  }
}

TEST(RequestFields, Attach) {
  uarena_attach m{};
  m.flags = UARENA_ATTACH_EXACT;
  m.addr = m.length = UINT64_MAX;
  EXPECT_EQ(parse(UARENA_MSG_ATTACH, m), 0);
  m.flags = UARENA_ATTACH_READONLY;
  EXPECT_EQ(parse(UARENA_MSG_ATTACH, m), 0);
  m.flags = 4;
  EXPECT_EQ(parse(UARENA_MSG_ATTACH, m), EINVAL);
  m = {};
  m.reserved = 1;
  EXPECT_EQ(parse(UARENA_MSG_ATTACH, m), EINVAL);

  uarena_attach_ready ready{};
  ready.flags = UARENA_READY_FULL;
  EXPECT_EQ(parse(UARENA_MSG_ATTACH_READY, ready), 0);
  ready.flags = 1u << 31;
  EXPECT_EQ(parse(UARENA_MSG_ATTACH_READY, ready), EINVAL);
  ready = {};
  ready.reserved = 1;
  EXPECT_EQ(parse(UARENA_MSG_ATTACH_READY, ready), EINVAL);
}

TEST(RequestFields, Programs) {
  uarena_prog_load load{};
  load.flags = UARENA_LOAD_INTERPRET;
  load.log_level = 2;
  EXPECT_EQ(parse(UARENA_MSG_PROG_LOAD, load), 0);
  load.log_level = 3;
  EXPECT_EQ(parse(UARENA_MSG_PROG_LOAD, load), EINVAL);
  load = {};
  load.flags = 2;
  EXPECT_EQ(parse(UARENA_MSG_PROG_LOAD, load), EINVAL);

  uarena_prog_run run{};
  run.repeat = UARENA_MAX_REPEAT;
  EXPECT_EQ(parse(UARENA_MSG_PROG_RUN, run), 0);
  ++run.repeat;
  EXPECT_EQ(parse(UARENA_MSG_PROG_RUN, run), EINVAL);

  uarena_prog_ref ref{};
  ref.what = UARENA_DUMP_STDERR;
  EXPECT_EQ(parse(UARENA_MSG_PROG_DUMP, ref), 0);
  EXPECT_EQ(parse(UARENA_MSG_PROG_UNLOAD, ref), EINVAL);
  ref.what = UARENA_DUMP_STDERR + 1;
  EXPECT_EQ(parse(UARENA_MSG_PROG_DUMP, ref), EINVAL);
  ref = {};
  ref.reserved = 1;
  EXPECT_EQ(parse(UARENA_MSG_PROG_DUMP, ref), EINVAL);
}

TEST(RequestFields, PageAllocTakesWhatTheKfuncJudges) {
  uarena_page_op m{};
  m.node_id = -5;
  m.flags = UINT64_MAX;
  EXPECT_EQ(parse(UARENA_MSG_PAGE_ALLOC, m), 0);
  for (uint16_t type : {UARENA_MSG_PAGE_FREE, UARENA_MSG_PAGE_RESERVE, UARENA_MSG_PREFAULT}) {
    uarena_page_op op{};
    EXPECT_EQ(parse(type, op), 0);
    op.node_id = -1;
    EXPECT_EQ(parse(type, op), EINVAL);
    op = {};
    op.flags = 1;
    EXPECT_EQ(parse(type, op), EINVAL);
  }
}

TEST(RequestFields, PageRead) {
  uarena_page_read m{};
  EXPECT_EQ(parse(UARENA_MSG_PAGE_READ, m), EINVAL);
  m.length = UARENA_MAX_PAGE_READ;
  EXPECT_EQ(parse(UARENA_MSG_PAGE_READ, m), 0);
  ++m.length;
  EXPECT_EQ(parse(UARENA_MSG_PAGE_READ, m), EINVAL);
  m.length = 1;
  m.reserved = 1;
  EXPECT_EQ(parse(UARENA_MSG_PAGE_READ, m), EINVAL);
}

TEST(RequestFields, FaultTrace) {
  uarena_fault_trace m{};
  m.from = UINT64_MAX;
  m.most = UINT32_MAX;
  EXPECT_EQ(parse(UARENA_MSG_FAULT_TRACE, m), 0);
  m.reserved = 1;
  EXPECT_EQ(parse(UARENA_MSG_FAULT_TRACE, m), EINVAL);
  uarena_client_stats stats{};
  stats.client_id = stats.after = UINT64_MAX;
  EXPECT_EQ(parse(UARENA_MSG_CLIENT_STATS, stats), 0);
}

TEST(RequestFields, MissingBytesCountAsZero) {
  uarena_attach m{};
  m.arena_id = 5;
  m.reserved = 1;  // cut off below
  const auto bytes = std::as_bytes(std::span<const uarena_attach>(&m, 1)).first(44);
  const auto parsed = parse_request_fields_untrusted(UARENA_MSG_ATTACH, bytes);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(std::get<uarena_attach>(*parsed).arena_id, 5u);
  EXPECT_EQ(std::get<uarena_attach>(*parsed).reserved, 0u);
}

TEST(RequestFields, NamesAreEscapedInSentences) {
  const auto bad = check_name("the name", "a\x1b[2J\n");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message.find('\x1b'), std::string::npos);
  EXPECT_EQ(bad.error().message.find('\n'), std::string::npos);
  EXPECT_EQ(bad.error().message.rfind("the name", 0), 0u);
}

}  // namespace
}  // namespace uarena::ipc
