// The tree against a scripted broker: answers that a real one does not give.
#include "tools/uarenafs/tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/ipc/scripted_broker.h"

namespace uarena::inspectfs {
namespace {

using ipc::testing::refuse_with;
using ipc::testing::reply_with;
using ipc::testing::ScriptedBroker;

class TreeTest : public ::testing::Test {
 protected:
  TreeTest() : pool_(broker_.path()), tree_(pool_) {
    uarena_status_reply status{};
    status.started_ns = kEpoch;
    broker_.on(UARENA_MSG_STATUS, reply_with(status));
    uarena_arena_reply reply{};
    reply.info.id = 5;
    reply.info.max_entries = 3;
    reply.info.blocks = 2;
    reply.info.owner_uid = 1234;
    reply.info.owner_gid = 55;
    reply.info.mode = 0xf80;
    broker_.on(UARENA_MSG_ARENA_GET, reply_with(reply));
  }
  template <typename T>
  void answer_list(uint16_t type, const std::vector<T>& records) {
    uarena_list_reply list{};
    list.count = static_cast<uint32_t>(records.size());
    list.record_size = sizeof(T);
    const auto bytes = ipc::bytes_of(records);
    broker_.on(type, reply_with(list, {bytes.begin(), bytes.end()}));
  }

  static constexpr uint64_t kEpoch = 77;
  const Node heap_{Kind::arena, kEpoch, 5, 0};
  ScriptedBroker broker_;
  BrokerPool pool_;
  Tree tree_;
};

// Names that would be another directory, or none at all, are not shown and not asked for.
TEST_F(TreeTest, OnlyNamesAreNames) {
  std::vector<uarena_arena_info> arenas(6);
  const char* names[] = {"ok", ".", "..", "a/b", "", "x\n"};
  for (size_t i = 0; i < arenas.size(); ++i) {
    arenas[i].id = i + 1;
    ipc::set_text(arenas[i].name, names[i]);
  }
  answer_list(UARENA_MSG_ARENA_LIST, arenas);
  const auto entries = tree_.entries(Node{});
  ASSERT_TRUE(entries) << entries.error().message;
  ASSERT_EQ(entries->size(), 1u);
  EXPECT_EQ(entries->front().name, "ok");
  EXPECT_EQ(entries->front().node, (Node{Kind::arena, kEpoch, 1, 0}));
  const size_t asked = broker_.log().size();
  EXPECT_EQ(tree_.child(Node{}, "a b").error().code, ENOENT);
  EXPECT_EQ(tree_.child(Node{}, std::string(64, 'x')).error().code, ENOENT);
  EXPECT_EQ(broker_.log().size(), asked);
}

TEST_F(TreeTest, PathsOfOneArena) {
  EXPECT_EQ(*tree_.child(Node{}, "heap"), heap_);
  const auto memory = tree_.child(heap_, "mem");
  ASSERT_TRUE(memory);
  const auto st = tree_.attributes(*memory);
  ASSERT_TRUE(st) << st.error().message;
  EXPECT_EQ(st->st_size, 3 * 4096);
  EXPECT_EQ(st->st_blocks, 2 * 8);
  EXPECT_EQ(st->st_uid, 1234u);
  EXPECT_EQ(st->st_gid, 55u);
  EXPECT_EQ(st->st_mode, S_IFREG | 0440u) << "as the arena's mode, rwxl r--- ----";
  EXPECT_EQ(tree_.attributes(*tree_.child(heap_, "info"))->st_mode, S_IFREG | 0444u);
  EXPECT_EQ(tree_.child(heap_, "memory").error().code, ENOENT);
  EXPECT_EQ(tree_.child(*memory, "x").error().code, ENOTDIR);
  const Node clients = *tree_.child(heap_, "clients");
  EXPECT_EQ(*tree_.child(clients, "12"), (Node{Kind::client, kEpoch, 5, 12}));
  EXPECT_EQ(tree_.child(clients, "012").error().code, ENOENT);
}

TEST_F(TreeTest, ProgramsOfOtherArenasAreNotShown) {
  std::vector<uarena_prog_info> programs(3);
  for (size_t i = 0; i < programs.size(); ++i) programs[i].id = i + 1;
  programs[1].arena_id = 5;
  programs[2].arena_id = 6;
  answer_list(UARENA_MSG_PROG_LIST, programs);
  const Node directory = *tree_.child(heap_, "programs");
  const auto entries = tree_.entries(directory);
  ASSERT_TRUE(entries) << entries.error().message;
  ASSERT_EQ(entries->size(), 1u);
  EXPECT_EQ(entries->front().name, "2");
  EXPECT_TRUE(tree_.attributes(entries->front().node));
  EXPECT_EQ(tree_.attributes(*tree_.child(directory, "3")).error().code, ENOENT);
  EXPECT_EQ(tree_.entries(*tree_.child(directory, "3")).error().code, ENOENT);
}

// The same id in a broker that started later is not the same arena.
TEST_F(TreeTest, NodesOfAnEndedBrokerAreStale) {
  Node old = heap_;
  old.epoch = kEpoch - 1;
  EXPECT_EQ(tree_.attributes(old).error().code, ESTALE);
  EXPECT_EQ(tree_.entries(old).error().code, ESTALE);
  old.kind = Kind::memory;
  EXPECT_EQ(tree_.open_memory(old).error().code, ESTALE);
  old.kind = Kind::info;
  EXPECT_EQ(tree_.text(old).error().code, ESTALE);
}

TEST_F(TreeTest, AnArenaThatGoesWhileItIsOpen) {
  Node node = heap_;
  node.kind = Kind::memory;
  const auto memory = tree_.open_memory(node);
  ASSERT_TRUE(memory) << memory.error().message;
  const Error gone{ENOENT, "there is no arena", Why::not_found};
  broker_.on(UARENA_MSG_PAGE_READ, refuse_with(gone));
  broker_.on(UARENA_MSG_PAGE_LIST, refuse_with(gone));
  broker_.on(UARENA_MSG_ARENA_GET, refuse_with(gone));
  EXPECT_EQ((*memory)->read(0, 1).error().code, ESTALE);
  EXPECT_EQ((*memory)->seek_data(0).error().code, ESTALE);
  EXPECT_EQ(tree_.attributes(node).error().code, ENOENT);
  EXPECT_EQ(tree_.entries(heap_).error().code, ENOENT);
}

TEST_F(TreeTest, TheRootNeedsNoBroker) {
  broker_.die();
  const auto st = tree_.attributes(Node{});
  ASSERT_TRUE(st);
  EXPECT_EQ(st->st_mode, S_IFDIR | 0555u);
  EXPECT_EQ(tree_.entries(Node{}).error().why, Why::unreachable);
}

}  // namespace
}  // namespace uarena::inspectfs
