// Names, numbers and places of nodes.
#include "tools/uarenafs/node.h"

#include <gtest/gtest.h>

#include <set>

namespace uarena::inspectfs {
namespace {

constexpr Kind kKinds[] = {Kind::root,    Kind::arena,       Kind::info,   Kind::pages,
                           Kind::memory,  Kind::clients,     Kind::client, Kind::programs,
                           Kind::program, Kind::program_info};

TEST(Node, IdsHaveOneName) {
  EXPECT_EQ(id_of_name("1"), 1u);
  EXPECT_EQ(id_of_name("18446744073709551615"), UINT64_MAX);
  for (const char* wrong : {"", "0", "01", "+1", "-1", " 1", "1 ", "0x1", "1a",
                            "18446744073709551616", "99999999999999999999", "."})
    EXPECT_EQ(id_of_name(wrong), std::nullopt) << wrong;
}

TEST(Node, EveryNodeHasANumberOfItsOwn) {
  std::set<uint64_t> numbers;
  int nodes = 0;
  for (Kind kind : kKinds)
    for (uint64_t epoch : {1u, 2u})
      for (uint64_t arena = 0; arena < 20; ++arena)
        for (uint64_t object = 0; object < 20; ++object) {
          if (kind == Kind::root) continue;
          ++nodes;
          numbers.insert(inode_number({kind, epoch, arena, object}));
        }
  EXPECT_EQ(numbers.size(), static_cast<size_t>(nodes));
  EXPECT_FALSE(numbers.contains(0));
  EXPECT_FALSE(numbers.contains(1));
  EXPECT_EQ(inode_number(Node{}), 1u);
}

TEST(Node, EveryNodeIsInADirectory) {
  for (Kind kind : kKinds) {
    const Node node{kind, 7, 8, kind == Kind::client ? 9u : 0u};
    const Node parent = parent_of(node);
    EXPECT_TRUE(is_directory(parent.kind));
    if (parent.kind == Kind::root) continue;
    EXPECT_EQ(parent.arena, 8u);
    EXPECT_EQ(parent.epoch, 7u);
  }
  EXPECT_EQ(parent_of({Kind::program_info, 1, 2, 3}), (Node{Kind::program, 1, 2, 3}));
  EXPECT_EQ(parent_of({Kind::program, 1, 2, 3}), (Node{Kind::programs, 1, 2, 0}));
  for (Kind directory : {Kind::arena, Kind::program})
    for (const FixedEntry& entry : fixed_entries(directory))
      EXPECT_EQ(parent_of({entry.kind, 1, 2, 0}).kind, directory) << entry.name;
}

}  // namespace
}  // namespace uarena::inspectfs
