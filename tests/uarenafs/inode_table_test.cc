// Numbers last as long as the kernel holds them, and are never used for anything else after.
#include "tools/uarenafs/inode_table.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace uarena::inspectfs {
namespace {

const Node kHeap{Kind::arena, 1, 1, 0};

TEST(InodeTable, OneNumberWhileHeld) {
  InodeTable table;
  const uint64_t number = table.hold(kHeap);
  EXPECT_NE(number, InodeTable::kRoot);
  EXPECT_EQ(table.hold(kHeap), number);
  EXPECT_EQ(table.find(number), kHeap);
  table.forget(number, 1);
  EXPECT_EQ(table.find(number), kHeap);
  table.forget(number, 1);
  EXPECT_EQ(table.find(number), std::nullopt);
  EXPECT_EQ(table.size(), 0u);
  EXPECT_NE(table.hold(kHeap), number);
}

TEST(InodeTable, AnotherBrokersArenaIsAnotherNode) {
  InodeTable table;
  Node later = kHeap;
  later.epoch = 2;
  EXPECT_NE(table.hold(kHeap), table.hold(later));
  EXPECT_EQ(table.size(), 2u);
}

TEST(InodeTable, TheRootIsAlwaysThere) {
  InodeTable table;
  EXPECT_EQ(table.hold(Node{}), InodeTable::kRoot);
  table.forget(InodeTable::kRoot, 1000);
  EXPECT_EQ(table.find(InodeTable::kRoot), Node{});
  EXPECT_EQ(table.size(), 0u);
}

TEST(InodeTable, ForgettingTooMuchForgetsAll) {
  InodeTable table;
  const uint64_t number = table.hold(kHeap);
  table.forget(number, UINT64_MAX);
  table.forget(number, 1);
  table.forget(12345, 1);
  EXPECT_EQ(table.size(), 0u);
}

TEST(InodeTable, ManyThreads) {
  InodeTable table;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&table] {
        for (uint64_t i = 0; i < 5000; ++i) {
          const Node node{Kind::client, 1, 1, i % 7};
          const uint64_t number = table.hold(node);
          EXPECT_EQ(table.find(number), node);
          table.forget(number, 1);
        }
      });
  }
  EXPECT_EQ(table.size(), 0u);
}

}  // namespace
}  // namespace uarena::inspectfs
