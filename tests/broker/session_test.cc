// A session without a socket: records go in, records come out. The parts behind it are the real
// ones.
#include "broker/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/run_requests.h"
#include "ipc/base/memory_map.h"
#include "ipc/base/uapi.h"
#include "ipc/event_loop.h"

namespace uarena::broker {
namespace {

class SessionTest : public ::testing::Test {
 protected:
  SessionTest()
      : faults_(uffd::FaultLoop::create(1).value()),
        runners_(
            RunnerPool::create({1, 1, 1}, [](RunChannel&, Result<ipc::Record>) { return false; })
                .value()),
        services_{arenas_,
                  programs_,
                  accounts_,
                  *faults_,
                  *runners_,
                  *estate_,
                  slow_calls_,
                  true,
                  load_policy_,
                  [this](uint64_t, std::function<void(Session*)> call) {
                    loop_.post([this, call = std::move(call)] { call(current_); });
                  },
                  [](uint64_t) { return std::vector<uarena_client_info>(3); },
                  [] { return uarena_status_reply{}; }} {}

  std::unique_ptr<Session> session(uint32_t uid = ::geteuid()) {
    ipc::PeerCredentials peer;
    peer.pid = ::getpid();
    peer.uid = uid;
    peer.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
    auto made = std::make_unique<Session>(services_, 7, std::move(peer),
                                          SessionCharges::take(accounts_.of(uid)).value(), now_,
                                          socket_.get());
    made->answers_go_to([this](ipc::Record&& record) {
      answer_ = std::move(record);
      loop_.stop();
    });
    return made;
  }

  template <typename Answer, typename Body>
  std::expected<ipc::Reply<Answer>, ipc::Refusal> ask(Session& s, uint16_t type, Body body,
                                                      std::string_view payload = {}, Fd fd = {}) {
    ipc::Record record = ipc::make_request(type, 5, body, ipc::bytes_of(payload));
    if (fd) record.fds.push_back(std::move(fd));
    answer_.reset();
    current_ = &s;
    EXPECT_TRUE(s.answer(std::move(record), now_));
    loop_.run();  // an answer stops it, also one that came at once
    EXPECT_TRUE(answer_);
    return ipc::decode_reply_untrusted<Answer>(std::move(*answer_), type, 5);
  }
  void greet(Session& s) {
    uarena_hello hello{};
    hello.abi_min = hello.abi_max = UARENA_ABI_VERSION;
    auto reply = ask<uarena_hello_reply>(s, UARENA_MSG_HELLO, hello);
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->body.client_id, 7u);
    EXPECT_EQ(reply->body.features & UARENA_FEATURE_SIGNAL, UARENA_FEATURE_SIGNAL);
  }
  auto create(Session& s, std::string_view name, uint32_t pages = 16) {
    uarena_arena_create body{};
    body.map_type = kBpfMapTypeArena;
    body.max_entries = pages;
    body.map_flags = kBpfFMmapable;
    return ask<uarena_arena_reply>(s, UARENA_MSG_ARENA_CREATE, body, name);
  }

  Session::Time now_ = ipc::EventLoop::Clock::now();
  AccountTable accounts_;
  ArenaRegistry arenas_;
  ProgramRegistry programs_{arenas_};
  FdStore store_;
  std::unique_ptr<Estate> estate_ = Estate::create(store_).value();
  Fd socket_{::eventfd(0, EFD_CLOEXEC)};  // for the store that there is none of
  std::unique_ptr<uffd::FaultLoop> faults_;
  std::unique_ptr<RunnerPool> runners_;
  SlowCalls slow_calls_;
  LoadPolicy load_policy_;
  ipc::EventLoop loop_;
  Session* current_ = nullptr;
  std::optional<ipc::Record> answer_;
  Services services_;
};

TEST_F(SessionTest, HelloComesFirstAndHasADeadline) {
  auto s = session();
  ASSERT_TRUE(s->deadline());
  EXPECT_EQ(ask<uarena_status_reply>(*s, UARENA_MSG_STATUS, uarena_empty{}).error().error.code,
            EPROTO);
  greet(*s);
  EXPECT_FALSE(s->deadline());
  EXPECT_TRUE(ask<uarena_status_reply>(*s, UARENA_MSG_STATUS, uarena_empty{}));
}

TEST_F(SessionTest, BytesThatAreNoMessageHaveNoAnswer) {
  auto s = session();
  ipc::Record record;
  record.bytes.resize(3);
  EXPECT_FALSE(s->answer(std::move(record), now_));
}

TEST_F(SessionTest, ArenasByNameAndById) {
  auto s = session();
  greet(*s);
  auto made = create(*s, "heap");
  ASSERT_TRUE(made);
  EXPECT_EQ(create(*s, "heap").error().error.code, EEXIST);
  EXPECT_EQ(create(*s, "none", 0).error().error.code, EINVAL);
  uarena_arena_ref ref{};
  EXPECT_EQ(ask<uarena_arena_reply>(*s, UARENA_MSG_ARENA_GET, ref, "heap")->body.info.id,
            made->body.info.id);
  auto missing = ask<uarena_arena_reply>(*s, UARENA_MSG_ARENA_GET, ref, "other");
  EXPECT_EQ(missing.error().error.why, Why::not_found);
  auto list = ask<uarena_list_reply>(*s, UARENA_MSG_ARENA_LIST, uarena_list{});
  EXPECT_EQ(list->body.count, 1u);
  EXPECT_EQ(list->body.more, 0u);
  ref.id = made->body.info.id;
  EXPECT_TRUE(ask<uarena_empty>(*s, UARENA_MSG_ARENA_DELETE, ref));
  EXPECT_EQ(arenas_.size(), 0u);
}

TEST_F(SessionTest, OnlyTheOwnerDeletes) {
  auto owner = session(1234);
  auto other = session(4321);
  greet(*owner);
  greet(*other);
  uarena_arena_ref ref{};
  ref.id = create(*owner, "mine")->body.info.id;
  auto refused = ask<uarena_empty>(*other, UARENA_MSG_ARENA_DELETE, ref);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error.why, Why::permission);
  EXPECT_TRUE(ask<uarena_empty>(*owner, UARENA_MSG_ARENA_DELETE, ref));
}

TEST_F(SessionTest, WaysOfFaultsThatDoNotGoTogether) {
  auto s = session();
  greet(*s);
  uarena_arena_create body{};
  body.map_type = kBpfMapTypeArena;
  body.max_entries = 1;
  body.map_flags = kBpfFMmapable;
  const auto refused = [&](uint32_t flags, uint32_t fault, uint32_t around) {
    body.map_flags = kBpfFMmapable | flags;
    body.fault = fault;
    body.fault_around = around;
    const auto reply = ask<uarena_arena_reply>(*s, UARENA_MSG_ARENA_CREATE, body, "a");
    return reply ? 0 : reply.error().error.code;
  };
  EXPECT_EQ(refused(kBpfFSegvOnFault, UARENA_FAULT_DIRECT, 0), EINVAL);
  EXPECT_EQ(refused(kBpfFSegvOnFault, UARENA_FAULT_SERVED, 2), EINVAL);
  EXPECT_EQ(refused(0, UARENA_FAULT_DIRECT, UARENA_FAULT_AROUND_AUTO), EINVAL);
  EXPECT_EQ(refused(0, UARENA_FAULT_SERVED, UARENA_MAX_FAULT_AROUND + 1), EINVAL);
  EXPECT_EQ(arenas_.size(), 0u);
  EXPECT_EQ(refused(kBpfFSegvOnFault, UARENA_FAULT_SERVED, 1), 0) << "one page is no window";
}

TEST_F(SessionTest, AUserfaultfdComesWhereOneIsNeededOnly) {
  auto s = session();
  greet(*s);
  for (const bool direct : {true, false}) {
    uarena_arena_create body{};
    body.map_type = kBpfMapTypeArena;
    body.max_entries = 4;
    body.map_flags = kBpfFMmapable;
    body.fault = direct ? UARENA_FAULT_DIRECT : UARENA_FAULT_SERVED;
    const auto made =
        ask<uarena_arena_reply>(*s, UARENA_MSG_ARENA_CREATE, body, direct ? "direct" : "served");
    ASSERT_TRUE(made);
    uarena_attach attach{};
    attach.arena_id = made->body.info.id;
    ASSERT_TRUE(ask<uarena_arena_reply>(*s, UARENA_MSG_ATTACH, attach));
    uarena_attach_ready ready{};
    ready.arena_id = attach.arena_id;
    Fd wrong = direct ? Fd(::memfd_create("x", MFD_CLOEXEC)) : Fd();
    auto refused = ask<uarena_empty>(*s, UARENA_MSG_ATTACH_READY, ready, {}, std::move(wrong));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().error.code, EINVAL);
    EXPECT_THAT(refused.error().error.message, ::testing::HasSubstr(direct ? "without" : "with a"));
    ready.flags = UARENA_READY_FULL;
    if (direct) {
      EXPECT_FALSE(ask<uarena_empty>(*s, UARENA_MSG_ATTACH_READY, ready));
    }
    ready.flags = 0;
    EXPECT_EQ(ask<uarena_empty>(*s, UARENA_MSG_ATTACH_READY, ready).has_value(), direct);
  }
}

TEST_F(SessionTest, StatsOfWhatIsThereAndWhatIsNot) {
  auto s = session();
  greet(*s);
  uarena_arena_ref ref{};
  ref.id = create(*s, "heap")->body.info.id;
  const auto arena = arenas_.find(ref.id);
  ASSERT_NE(arena->alloc_pages(0, 3, -1, 0, Origin::client), 0u);
  ASSERT_EQ(arena->reserve_pages(arena->user_vm_start() + 8 * kPageSize, 2), 0);
  const auto stats = ask<uarena_arena_stats_reply>(*s, UARENA_MSG_ARENA_STATS, ref);
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->body.pages_client, 3u);
  EXPECT_EQ(stats->body.pages_reserved, 2u);
  EXPECT_EQ(stats->body.pages_program + stats->body.pages_fault, 0u);
  EXPECT_EQ(stats->body.faults.installed, 0u);
  ref.id = 99;
  EXPECT_EQ(ask<uarena_arena_stats_reply>(*s, UARENA_MSG_ARENA_STATS, ref).error().error.why,
            Why::not_found);
  uarena_client_stats client{};
  client.client_id = 99;
  EXPECT_EQ(ask<uarena_client_stats_reply>(*s, UARENA_MSG_CLIENT_STATS, client).error().error.why,
            Why::not_found);
}

// Attach, map, hand over, Armed; and the end of the session ends the use, without a word from us.
TEST_F(SessionTest, AttachEndsWithTheSession) {
  auto s = session();
  greet(*s);
  const uarena_arena_info info = create(*s, "heap")->body.info;
  uarena_attach attach{};
  attach.arena_id = info.id;
  auto attached = ask<uarena_arena_reply>(*s, UARENA_MSG_ATTACH, attach);
  ASSERT_TRUE(attached);
  EXPECT_TRUE(s->deadline());
  auto map =
      MemoryMap::create(reinterpret_cast<void*>(info.user_vm_start), info.max_entries * kPageSize,
                        PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE,
                        attached->fds.at(0).get(), 0, "the arena");
  ASSERT_TRUE(map) << map.error().message;
  Fd uffd(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | kUffdUserModeOnly)));
  uarena_attach_ready ready{};
  ready.arena_id = info.id;
  ASSERT_TRUE(ask<uarena_empty>(*s, UARENA_MSG_ATTACH_READY, ready, {}, std::move(uffd)));
  EXPECT_FALSE(s->deadline());
  map->data()[5 * kPageSize] = std::byte{1};  // served by the fault thread
  EXPECT_EQ(arenas_.find(info.id)->counts().pages_allocated, 1u);
  EXPECT_EQ(s->info().arenas, 1u);
  // The fault thread counts after it has woken us.
  const auto limit = ipc::EventLoop::Clock::now() + std::chrono::seconds(10);
  while (s->info().faults == 0 && ipc::EventLoop::Clock::now() < limit) ::sched_yield();
  EXPECT_EQ(s->info().faults, 1u);
  services_.client = [&s](uint64_t id) { return id == 7 ? s.get() : nullptr; };
  uarena_client_stats body{};
  body.client_id = 7;
  const auto stats = ask<uarena_client_stats_reply>(*s, UARENA_MSG_CLIENT_STATS, body);
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->body.faults.installed, 1u);
  EXPECT_EQ(stats->body.more, 0u);
  std::span<const std::byte> bytes(stats->payload);
  const auto records = ipc::decode_records_untrusted<uarena_attachment_info>(
      bytes, stats->body.count, stats->body.record_size);
  ASSERT_TRUE(records);
  ASSERT_EQ(records->size(), 1u);
  EXPECT_EQ(records->front().arena_id, info.id);
  EXPECT_EQ(ipc::get_text(records->front().arena_name), "heap");
  EXPECT_EQ(records->front().syscalls, uint32_t{UARENA_SYSCALLS_EFAULT});
  EXPECT_EQ(records->front().refusal, uint32_t{UARENA_REFUSAL_SIGNAL});
  EXPECT_EQ(records->front().pages_fault, 1u);
  EXPECT_EQ(records->front().faults.installed, 1u);
  body.after = info.id;
  EXPECT_EQ(ask<uarena_client_stats_reply>(*s, UARENA_MSG_CLIENT_STATS, body)->body.count, 0u);
  const auto arena = arenas_.find(info.id);
  EXPECT_EQ(arenas_.standing(info.id).clients, 1u);
  EXPECT_EQ(faults_->clients(), 1u);
  s.reset();
  EXPECT_EQ(arenas_.standing(info.id).clients, 0u);
  EXPECT_EQ(faults_->clients(), 0u);
  EXPECT_EQ(arena->faults().tally->counts().of(uffd::FaultEnd::installed), 1u) << "it remembers";
  EXPECT_EQ(faults_->summary().counts.all(), 1u);
  EXPECT_EQ(accounts_.of(::geteuid()).used(Resource::connections), 0u);
}

TEST_F(SessionTest, RunChannelsAreCounted) {
  auto s = session();
  greet(*s);
  std::vector<Fd> channels;
  for (uint32_t i = 0; i < Session::kMaxRunChannels; ++i) {
    auto reply = ask<uarena_empty>(*s, UARENA_MSG_RUN_CHANNEL, uarena_empty{});
    ASSERT_TRUE(reply);
    channels.push_back(std::move(reply->fds.at(0)));
  }
  EXPECT_EQ(ask<uarena_empty>(*s, UARENA_MSG_RUN_CHANNEL, uarena_empty{}).error().error.code,
            EMFILE);
}

TEST_F(SessionTest, ListsOfTheBrokerPassThrough) {
  auto s = session();
  greet(*s);
  EXPECT_EQ(ask<uarena_list_reply>(*s, UARENA_MSG_CLIENT_LIST, uarena_list{})->body.count, 3u);
  EXPECT_EQ(ask<uarena_list_reply>(*s, UARENA_MSG_PROG_LIST, uarena_list{})->body.count, 0u);
}

TEST_F(SessionTest, ClientsOfOneArenaAfterAnId) {
  services_.clients_of = [](uint64_t arena_id) {
    EXPECT_EQ(arena_id, 9u);
    std::vector<uarena_client_info> attached(3);
    for (size_t i = 0; i < attached.size(); ++i) attached[i].id = 4 + i;
    return attached;
  };
  auto s = session();
  greet(*s);
  uarena_list list{};
  list.arena_id = 9;
  EXPECT_EQ(ask<uarena_list_reply>(*s, UARENA_MSG_CLIENT_LIST, list)->body.count, 3u);
  list.after = 4;
  EXPECT_EQ(ask<uarena_list_reply>(*s, UARENA_MSG_CLIENT_LIST, list)->body.count, 2u);
}

}  // namespace
}  // namespace uarena::broker
