#include "tools/uarenafs/inode_table.h"

#include <algorithm>

namespace uarena::inspectfs {

uint64_t InodeTable::hold(const Node& node) {
  if (node.kind == Kind::root) return kRoot;
  const std::lock_guard lock(mutex_);
  const auto [at, is_new] = numbers_.try_emplace(node, next_);
  if (is_new) held_.emplace(next_++, Held{node, 0});
  ++held_.at(at->second).times;
  return at->second;
}

void InodeTable::forget(uint64_t number, uint64_t times) {
  const std::lock_guard lock(mutex_);
  const auto at = held_.find(number);
  if (at == held_.end()) return;
  at->second.times -= std::min(times, at->second.times);
  if (at->second.times != 0) return;
  numbers_.erase(at->second.node);
  held_.erase(at);
}

std::optional<Node> InodeTable::find(uint64_t number) const {
  if (number == kRoot) return Node{};
  const std::lock_guard lock(mutex_);
  const auto at = held_.find(number);
  if (at == held_.end()) return std::nullopt;
  return at->second.node;
}

size_t InodeTable::size() const {
  const std::lock_guard lock(mutex_);
  return held_.size();
}

}  // namespace uarena::inspectfs
