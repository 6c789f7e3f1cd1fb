// Numbers last as long as the kernel holds them, and are never used for anything else after. Open
// files last as long as anybody works with them.
#include "tools/uarenafs/inode_table.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tools/uarenafs/handle_table.h"

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

TEST(HandleTable, WhatIsClosedLastsForWhoeverHoldsIt) {
  HandleTable<int> table;
  const uint64_t one = table.add(std::make_shared<int>(1)),
                 two = table.add(std::make_shared<int>(2));
  EXPECT_NE(one, two);
  const auto held = table.find(one);
  table.remove(one);
  table.remove(one);
  EXPECT_EQ(table.find(one), nullptr);
  EXPECT_EQ(*held, 1);
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_EQ(*table.find(two), 2);
}

}  // namespace
}  // namespace uarena::inspectfs
