// The handshake as a table: every message in every state, and the deadlines.
#include "ipc/handshake.h"

#include <gtest/gtest.h>

#include "tests/ipc/sample_requests.h"

namespace uarena::ipc {
namespace {

using namespace std::chrono_literals;

constexpr Handshake::Time kStart{1000s};

// A request about arena 0 (as the samples are) or another.
Request request(uint16_t type, uint64_t arena_id = 0) {
  Record record = testing::sample_request(type);
  // arena_id is the first field of ATTACH, ATTACH_READY and DETACH.
  if (arena_id != 0) testing::poke(record, sizeof(uarena_msg), arena_id);
  return std::move(*decode_request_untrusted(std::move(record)));
}

int outcome(const Handshake& handshake, uint16_t type, uint64_t arena_id = 0) {
  const auto admitted = handshake.admit(request(type, arena_id));
  if (admitted) return 0;
  EXPECT_FALSE(admitted.error().message.empty());
  return admitted.error().code;
}

bool is_attach_step(uint16_t type) {
  return type == UARENA_MSG_ATTACH || type == UARENA_MSG_ATTACH_READY || type == UARENA_MSG_DETACH;
}

TEST(Handshake, FreshTakesOnlyHello) {
  const Handshake handshake(kStart);
  for (uint16_t type = 1; type < UARENA_MSG_TYPES; ++type)
    EXPECT_EQ(outcome(handshake, type), type == UARENA_MSG_HELLO ? 0 : EPROTO) << type;
}

TEST(Handshake, GreetedTakesControlMessagesButNoSecondHello) {
  Handshake handshake(kStart);
  handshake.greeted();
  for (uint16_t type = 1; type < UARENA_MSG_TYPES; ++type) {
    const bool legal = message_rule(type)->place == Place::control && type != UARENA_MSG_HELLO &&
                       type != UARENA_MSG_ATTACH_READY && type != UARENA_MSG_DETACH;
    EXPECT_EQ(outcome(handshake, type), legal ? 0 : EPROTO) << type;
  }
}

TEST(Handshake, TheRunChannelTakesRunMessages) {
  const Handshake handshake = Handshake::run_channel();
  for (uint16_t type = 1; type < UARENA_MSG_TYPES; ++type)
    EXPECT_EQ(outcome(handshake, type), message_rule(type)->place == Place::run ? 0 : EPROTO)
        << type;
  EXPECT_EQ(handshake.deadline(), std::nullopt);
}

TEST(Handshake, AnArenaGoesThroughItsStates) {
  Handshake handshake(kStart);
  handshake.greeted();
  const auto expect = [&](int attach, int ready, int detach) {
    EXPECT_EQ(outcome(handshake, UARENA_MSG_ATTACH), attach);
    EXPECT_EQ(outcome(handshake, UARENA_MSG_ATTACH_READY), ready);
    EXPECT_EQ(outcome(handshake, UARENA_MSG_DETACH), detach);
  };
  expect(0, EPROTO, EPROTO);
  handshake.attaching(0, kStart);
  expect(EALREADY, 0, 0);
  handshake.arming(0);
  expect(EALREADY, EBUSY, EBUSY);
  handshake.attaching(0, kStart);  // it failed: the client may try again
  expect(EALREADY, 0, 0);
  handshake.arming(0);
  handshake.armed(0);
  expect(EALREADY, EPROTO, 0);
  handshake.detached(0);
  expect(0, EPROTO, EPROTO);
  handshake.attaching(0, kStart);
  handshake.detached(0);
  expect(0, EPROTO, EPROTO);
}

TEST(Handshake, ArenasAreIndependent) {
  Handshake handshake(kStart);
  handshake.greeted();
  handshake.attaching(1, kStart);
  handshake.armed(1);
  handshake.attaching(2, kStart);
  EXPECT_EQ(outcome(handshake, UARENA_MSG_ATTACH, 1), EALREADY);
  EXPECT_EQ(outcome(handshake, UARENA_MSG_ATTACH_READY, 1), EPROTO);
  EXPECT_EQ(outcome(handshake, UARENA_MSG_ATTACH_READY, 2), 0);
  EXPECT_EQ(outcome(handshake, UARENA_MSG_ATTACH, 3), 0);
  EXPECT_EQ(outcome(handshake, UARENA_MSG_DETACH, 3), EPROTO);
}

TEST(Handshake, AttachingHoldsUpNothingElse) {
  Handshake handshake(kStart);
  handshake.greeted();
  handshake.attaching(1, kStart);
  for (uint16_t type = UARENA_MSG_ARENA_CREATE; type < UARENA_MSG_TYPES; ++type)
    if (message_rule(type)->place == Place::control && !is_attach_step(type)) {
      EXPECT_EQ(outcome(handshake, type), 0) << type;
    }
}

TEST(Handshake, DeadlinesBelongToStates) {
  Handshake handshake(kStart);
  EXPECT_EQ(handshake.deadline(), kStart + Handshake::kHelloLimit);
  EXPECT_NE(handshake.overdue().message.find("HELLO"), std::string::npos);
  EXPECT_EQ(handshake.overdue().code, ETIMEDOUT);

  handshake.greeted();
  EXPECT_EQ(handshake.deadline(), std::nullopt);

  handshake.attaching(1, kStart + 100s);
  handshake.attaching(2, kStart + 50s);
  EXPECT_EQ(handshake.deadline(), kStart + 50s + Handshake::kReadyLimit);
  EXPECT_NE(handshake.overdue().message.find("ATTACH_READY"), std::string::npos);
  handshake.armed(2);
  EXPECT_EQ(handshake.deadline(), kStart + 100s + Handshake::kReadyLimit);
  handshake.detached(1);
  EXPECT_EQ(handshake.deadline(), std::nullopt);
}

TEST(Handshake, VersionsMeet) {
  EXPECT_EQ(negotiate_abi(1, 1), 1u);
  EXPECT_EQ(negotiate_abi(0, 9), 1u);
  for (auto [min, max] : {std::pair{2u, 9u}, std::pair{0u, 0u}}) {
    const auto none = negotiate_abi(min, max);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, EPROTONOSUPPORT);
    EXPECT_EQ(none.error().why, Why::version);
  }
}

}  // namespace
}  // namespace uarena::ipc
