// Answers, from the broker's encoder to the client's decoder, which trusts no more than the
// broker's.
#include <gtest/gtest.h>

#include <cstddef>
#include <random>

#include "ipc/codec.h"
#include "tests/ipc/sample_requests.h"

namespace uarena::ipc {
namespace {

using testing::memory_file;
using testing::open_fds;
using testing::poke;
using testing::resize_struct;

constexpr uint64_t kSeq = 77;

Record status_reply() {
  uarena_status_reply body{};
  body.pages_allocated = 5;
  return make_reply(UARENA_MSG_STATUS, kSeq, body);
}

auto decode_status(Record&& record) {
  return decode_reply_untrusted<uarena_status_reply>(std::move(record), UARENA_MSG_STATUS, kSeq);
}

TEST(ReplyCodec, RoundTrip) {
  const auto reply = decode_status(status_reply());
  ASSERT_TRUE(reply) << reply.error().error.message;
  EXPECT_EQ(reply->body.pages_allocated, 5u);
  EXPECT_EQ(reply->body.msg.type, UARENA_MSG_STATUS | UARENA_REPLY);
}

TEST(ReplyCodec, PayloadAndDescriptors) {
  Record record = make_reply(UARENA_MSG_PROG_LOAD, kSeq, uarena_prog_load_reply{}, bytes_of("abc"));
  record.fds.push_back(memory_file());
  const auto reply =
      decode_reply_untrusted<uarena_prog_load_reply>(std::move(record), UARENA_MSG_PROG_LOAD, kSeq);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->payload.size(), 3u);
  EXPECT_EQ(reply->fds.size(), 1u);
}

TEST(ReplyCodec, AnErrorArrivesWhole) {
  Record record = make_error(kSeq, Error{ENOENT, "there is no arena \"x\"", Why::not_found});
  record.fds.push_back(memory_file());
  const auto reply = decode_status(std::move(record));
  ASSERT_FALSE(reply);
  EXPECT_TRUE(reply.error().answered);
  EXPECT_EQ(reply.error().error.code, ENOENT);
  EXPECT_EQ(reply.error().error.message, "there is no arena \"x\"");
  EXPECT_EQ(reply.error().error.why, Why::not_found);
  EXPECT_TRUE(reply.error().text);
}

TEST(ReplyCodec, ALongErrorIsCutNotRefused) {
  const auto reply = decode_status(make_error(kSeq, Error{EINVAL, std::string(200000, 'x')}));
  ASSERT_FALSE(reply);
  EXPECT_TRUE(reply.error().answered);
  EXPECT_EQ(reply.error().error.message.size(), 4096u);
}

TEST(ReplyCodec, WhatIsNoAnswerIsRefused) {
  const auto refused = [](auto&& change) {
    Record record = status_reply();
    change(record);
    const int before = open_fds() - static_cast<int>(record.fds.size());
    const auto reply = decode_status(std::move(record));
    EXPECT_EQ(open_fds(), before);
    return !reply && !reply.error().answered && !reply.error().error.message.empty();
  };
  EXPECT_TRUE(refused([](Record& r) { r.bytes.resize(15); }));
  EXPECT_TRUE(refused([](Record& r) { r.bytes.resize(r.bytes.size() - 1); }));
  EXPECT_TRUE(refused([](Record& r) { r.bytes.push_back(std::byte{0}); }));
  EXPECT_TRUE(refused([](Record& r) { r.fds.push_back(memory_file()); }));
  EXPECT_TRUE(refused([](Record& r) { poke(r, offsetof(uarena_msg, seq), uint64_t{78}); }));
  EXPECT_TRUE(refused([](Record& r) { poke(r, offsetof(uarena_msg, version), uint16_t{2}); }));
  EXPECT_TRUE(refused([](Record& r) {
    poke(r, offsetof(uarena_msg, type), uint16_t{UARENA_MSG_HELLO | UARENA_REPLY});
  }));
  EXPECT_TRUE(
      refused([](Record& r) { poke(r, offsetof(uarena_msg, type), uint16_t{UARENA_MSG_STATUS}); }));
  EXPECT_TRUE(refused([](Record& r) { resize_struct(r, 200, std::byte{1}); }));
  EXPECT_TRUE(refused([](Record& r) { resize_struct(r, UARENA_STATUS_REPLY_SIZE_V1 - 8); }));
  EXPECT_FALSE(refused([](Record& r) { resize_struct(r, 200); }));
}

TEST(ReplyCodec, ErrorsWithoutAnErrnoAreRefused) {
  for (uint32_t code : {0u, 4096u, 0x80000000u}) {
    Record record = make_error(kSeq, Error{EINVAL, "x"});
    poke(record, offsetof(uarena_error, error), code);
    const auto reply = decode_status(std::move(record));
    ASSERT_FALSE(reply);
    EXPECT_FALSE(reply.error().answered);
    EXPECT_EQ(reply.error().error.code, EPROTO);
  }
  Record record = make_error(kSeq, Error{EINVAL, "x"});
  poke(record, offsetof(uarena_error, why), uint32_t{99});
  EXPECT_EQ(decode_status(std::move(record)).error().error.why, Why::general);
}

TEST(ReplyCodec, AMissingDescriptorIsRefused) {
  const auto reply = decode_reply_untrusted<uarena_arena_reply>(
      make_reply(UARENA_MSG_ATTACH, kSeq, uarena_arena_reply{}), UARENA_MSG_ATTACH, kSeq);
  ASSERT_FALSE(reply);
  EXPECT_FALSE(reply.error().answered);
}

TEST(ReplyCodec, RandomAnswersAreRefusedQuietly) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20000; ++i) {
    Record record = i % 2 ? status_reply() : make_error(kSeq, Error{EIO, "a sentence"});
    for (int flips = 0; flips < 4; ++flips)
      record.bytes[random() % 32 % record.bytes.size()] = std::byte(random());
    record.bytes.resize(random() % (record.bytes.size() + 1));
    const auto reply = decode_status(std::move(record));
    if (!reply) {
      EXPECT_GT(reply.error().error.code, 0);
    }
  }
}

TEST(ReplyCodec, RecordsOfOtherSizes) {
  std::vector<uarena_page_extent> extents(3);
  extents[2].page = 9;
  auto bytes = bytes_of(extents);
  auto decoded = decode_records_untrusted<uarena_page_extent>(bytes, 3, sizeof(extents[0]));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->at(2).page, 9u);
  EXPECT_TRUE(bytes.empty());

  // Records that have grown by 8 bytes.
  std::vector<std::byte> grown(3 * 24);
  for (size_t i = 0; i < 3; ++i) std::memcpy(grown.data() + i * 24, &extents[i], 16);
  bytes = grown;
  decoded = decode_records_untrusted<uarena_page_extent>(bytes, 3, 24);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->at(2).page, 9u);
  grown[24 + 20] = std::byte{1};
  bytes = grown;
  EXPECT_EQ(decode_records_untrusted<uarena_page_extent>(bytes, 3, 24).error().code, E2BIG);

  for (auto [count, size] : std::initializer_list<std::pair<uint32_t, uint32_t>>{
           {5, 16}, {UINT32_MAX, 16}, {1, 0}, {1, 15}, {1, 73}, {1, UINT32_MAX}}) {
    bytes = grown;
    EXPECT_EQ(decode_records_untrusted<uarena_page_extent>(bytes, count, size).error().code, EPROTO)
        << count << " " << size;
  }
}

TEST(ReplyCodec, TextFields) {
  char field[8];
  set_text(field, "abc");
  EXPECT_EQ(get_text(field), "abc");
  set_text(field, "abcdefghij");
  EXPECT_EQ(get_text(field), "abcdefg");
  std::memset(field, 'x', sizeof field);
  EXPECT_EQ(get_text(field), "xxxxxxxx");
}

}  // namespace
}  // namespace uarena::ipc
