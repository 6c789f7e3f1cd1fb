// The kernel speaks of files by numbers that we choose, and says how many of them it still holds.
// This table keeps a node for every number until the kernel has forgotten it. A number is never
// used twice, so that the kernel can't take a new node for an old one.
//
// Thread-safe.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "tools/uarenafs/node.h"

namespace uarena::inspectfs {

class InodeTable {
 public:
  static constexpr uint64_t kRoot = 1;  // always there

  // The node's number, held once more than before.
  uint64_t hold(const Node& node);
  // Held `times` less. More than it was held is the kernel's mistake, and taken as all of it.
  void forget(uint64_t number, uint64_t times);
  std::optional<Node> find(uint64_t number) const;
  size_t size() const;

 private:
  struct Held {
    Node node;
    uint64_t times = 0;
  };
  mutable std::mutex mutex_;
  uint64_t next_ = kRoot + 1;
  std::map<Node, uint64_t> numbers_;
  std::unordered_map<uint64_t, Held> held_;
};

}  // namespace uarena::inspectfs
