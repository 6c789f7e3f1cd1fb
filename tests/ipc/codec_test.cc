// Decoding of requests: every message type through every rule of abi.h, then random bytes.
#include "ipc/codec.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <random>

#include "tests/ipc/sample_requests.h"

namespace uarena::ipc {
namespace {

using testing::kSampleSeq;
using testing::memory_file;
using testing::open_fds;
using testing::poke;
using testing::resize_struct;
using testing::sample_request;

// errno of the refusal, 0 if accepted; a refusal must name the request's seq and say something.
int outcome(Record&& record) {
  const auto request = decode_request_untrusted(std::move(record));
  if (request) return 0;
  EXPECT_EQ(request.error().seq, kSampleSeq);
  EXPECT_FALSE(request.error().error.message.empty());
  return request.error().error.code;
}

class EveryRequest : public ::testing::TestWithParam<uint16_t> {
 protected:
  const MessageRule& rule() const { return *message_rule(GetParam()); }
};

TEST_P(EveryRequest, IsDecodedAtItsKnownSize) {
  Record record = sample_request(GetParam());
  const size_t payload = record.bytes.size() - rule().size;
  const auto request = decode_request_untrusted(std::move(record));
  ASSERT_TRUE(request) << request.error().error.message;
  EXPECT_EQ(request->seq, kSampleSeq);
  EXPECT_EQ(request->type, GetParam());
  EXPECT_EQ(request->payload.size(), payload);
  EXPECT_EQ(request->fds.size(), rule().fds);
}

TEST_P(EveryRequest, IsTakenAtItsFirstVersionsSizeAndNoShorter) {
  for (uint32_t size = 0; size <= rule().size; ++size) {
    Record record = sample_request(GetParam());
    resize_struct(record, size);
    if (size < sizeof(uarena_msg) && record.bytes.size() < sizeof(uarena_msg)) {
      const auto request = decode_request_untrusted(std::move(record));
      ASSERT_FALSE(request);
      EXPECT_EQ(request.error().seq, std::nullopt);
      EXPECT_EQ(request.error().error.code, EINVAL);
    } else if (size >= sizeof(uarena_msg)) {
      EXPECT_EQ(outcome(std::move(record)), size < rule().size_v1 ? EINVAL : 0) << size;
    }
  }
}

TEST_P(EveryRequest, MayBeLargerIfWhatWeDoNotKnowIsZero) {
  for (uint32_t more : {1u, 8u, 1000u}) {
    Record record = sample_request(GetParam());
    resize_struct(record, rule().size + more);
    EXPECT_EQ(outcome(std::move(record)), 0) << more;

    for (uint32_t at : {0u, more - 1}) {
      record = sample_request(GetParam());
      resize_struct(record, rule().size + more);
      record.bytes[rule().size + at] = std::byte{1};
      EXPECT_EQ(outcome(std::move(record)), E2BIG) << more << " " << at;
    }
  }
}

TEST_P(EveryRequest, CutAnywhereIsRefused) {
  const size_t whole = sample_request(GetParam()).bytes.size();
  for (size_t size = 0; size < whole; ++size) {
    // A shorter name is a name.
    if (size > rule().size && rule().payload != PayloadRule::context) continue;
    Record record = sample_request(GetParam());
    record.bytes.resize(size);
    const auto request = decode_request_untrusted(std::move(record));
    ASSERT_FALSE(request) << size;
    EXPECT_EQ(request.error().seq.has_value(), size >= sizeof(uarena_msg));
    EXPECT_EQ(request.error().error.code, EINVAL);
  }
}

TEST_P(EveryRequest, AStructLargerThanTheRecordIsRefused) {
  for (uint32_t size : {sample_request(GetParam()).bytes.size() + 1, size_t{UINT32_MAX}}) {
    Record record = sample_request(GetParam());
    poke(record, offsetof(uarena_msg, size), size);
    EXPECT_EQ(outcome(std::move(record)), EINVAL);
  }
}

TEST_P(EveryRequest, WrongNumbersOfDescriptorsAreRefusedAndClosed) {
  for (unsigned count = 0; count <= UARENA_MAX_FDS; ++count) {
    if (count == rule().fds || (count == 0 && rule().fds_optional)) continue;
    const int before = open_fds();
    Record record = sample_request(GetParam());
    record.fds.clear();
    for (unsigned i = 0; i < count; ++i) record.fds.push_back(memory_file());
    EXPECT_EQ(outcome(std::move(record)), EINVAL) << count;
    EXPECT_EQ(open_fds(), before);
  }
}

TEST_P(EveryRequest, AnotherVersionIsRefused) {
  for (uint16_t version : {0, 2, 0xffff}) {
    Record record = sample_request(GetParam());
    poke(record, offsetof(uarena_msg, version), version);
    const auto request = decode_request_untrusted(std::move(record));
    ASSERT_FALSE(request);
    EXPECT_EQ(request.error().error.code, EPROTONOSUPPORT);
    EXPECT_EQ(request.error().error.why, Why::version);
  }
}

TEST_P(EveryRequest, APayloadWhereNoneBelongsIsRefused) {
  if (rule().payload == PayloadRule::name || rule().payload == PayloadRule::name_unless_id) return;
  Record record = sample_request(GetParam());
  record.bytes.push_back(std::byte{0});
  EXPECT_EQ(outcome(std::move(record)), EINVAL);
}

TEST_P(EveryRequest, ChangedBytesNeverGetThroughUnchecked) {
  // Whatever is accepted has a type with the right struct in it and the announced descriptors.
  std::mt19937 random(GetParam());
  for (int i = 0; i < 1000; ++i) {
    Record record = sample_request(GetParam());
    for (int flips = 0; flips < 3; ++flips)
      record.bytes[random() % record.bytes.size()] = std::byte(random());
    const auto request = decode_request_untrusted(std::move(record));
    if (!request) continue;
    const MessageRule* decoded = message_rule(request->type);
    ASSERT_NE(decoded, nullptr);
    EXPECT_TRUE(request->fds.size() == decoded->fds ||
                (decoded->fds_optional && request->fds.empty()))
        << request->fds.size();
    EXPECT_EQ(request->body.index(),
              decode_request_untrusted(sample_request(request->type))->body.index());
  }
}

INSTANTIATE_TEST_SUITE_P(Codec, EveryRequest,
                         ::testing::Range<uint16_t>(UARENA_MSG_HELLO, UARENA_MSG_TYPES),
                         [](const auto& param) { return std::string(message_name(param.param)); });

TEST(Codec, UnknownTypesAreAnsweredSo) {
  for (uint16_t type : {0, int{UARENA_MSG_TYPES}, 0x7fff, 0x8001, 0xffff}) {
    Record record = sample_request(UARENA_MSG_STATUS);
    poke(record, offsetof(uarena_msg, type), type);
    EXPECT_EQ(outcome(std::move(record)), EOPNOTSUPP) << type;
  }
}

TEST(Codec, NamesInPayloads) {
  const auto create = [](std::string_view name) {
    return outcome(
        make_request(UARENA_MSG_ARENA_CREATE, kSampleSeq, uarena_arena_create{}, bytes_of(name)));
  };
  EXPECT_EQ(create("a"), 0);
  EXPECT_EQ(create(std::string(63, 'z')), 0);
  EXPECT_EQ(create("A-Z_a.z0123456789"), 0);
  EXPECT_EQ(create(std::string(64, 'z')), EINVAL);
  EXPECT_EQ(create(""), EINVAL);
  EXPECT_EQ(create(std::string_view("a\0", 2)), EINVAL);
  for (const char* bad : {"a b", "a/b", "\xc3\xa4", "a\n", "\x1b[31m", "a:b", "a@b", "a`", "a{"})
    EXPECT_EQ(create(bad), EINVAL) << bad;
}

TEST(Codec, AnArenaIsNamedOnlyWithoutId) {
  const auto get = [](uint64_t id, std::string_view name) {
    uarena_arena_ref ref{};
    ref.id = id;
    return outcome(make_request(UARENA_MSG_ARENA_GET, kSampleSeq, ref, bytes_of(name)));
  };
  EXPECT_EQ(get(0, "heap"), 0);
  EXPECT_EQ(get(7, ""), 0);
  EXPECT_EQ(get(0, ""), EINVAL);
  EXPECT_EQ(get(7, "heap"), EINVAL);
}

TEST(Codec, AContextHasTheSizeItSays) {
  const auto run = [](uint32_t ctx_size, size_t payload) {
    uarena_prog_run body{};
    body.ctx_size = ctx_size;
    return outcome(
        make_request(UARENA_MSG_PROG_RUN, kSampleSeq, body, std::vector<std::byte>(payload)));
  };
  EXPECT_EQ(run(0, 0), 0);
  EXPECT_EQ(run(UARENA_MAX_CTX, UARENA_MAX_CTX), 0);
  EXPECT_EQ(run(UARENA_MAX_CTX + 1, UARENA_MAX_CTX + 1), EINVAL);
  EXPECT_EQ(run(5, 4), EINVAL);
  EXPECT_EQ(run(4, 5), EINVAL);
}

TEST(Codec, RandomBytesAreRefusedQuietly) {
  std::mt19937_64 random(20251122);
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    Record record;
    record.bytes.resize(random() % 200);
    for (std::byte& byte : record.bytes) byte = std::byte(random());
    // Half of them with a plausible header, so that what lies behind it is reached.
    if (record.bytes.size() >= sizeof(uarena_msg) && i % 2 == 0) {
      poke(record, offsetof(uarena_msg, version), uint16_t{UARENA_ABI_VERSION});
      poke(record, offsetof(uarena_msg, type), static_cast<uint16_t>(random() % 24));
      poke(record, offsetof(uarena_msg, size), static_cast<uint32_t>(random() % 80));
    }
    accepted += decode_request_untrusted(std::move(record)).has_value();
  }
  EXPECT_LT(accepted, 10000);
}

}  // namespace
}  // namespace uarena::ipc
