// What is open, by the number under which the kernel knows it. Whoever works with an open file
// holds it, so that it lasts until he is done, even when the answer that he has just sent made
// somebody close it; and what is still open in the end goes with the table.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace uarena::inspectfs {

template <typename T>
class HandleTable {
 public:
  uint64_t add(std::shared_ptr<T> opened) {
    const std::lock_guard lock(mutex_);
    opened_.emplace(++last_, std::move(opened));
    return last_;
  }
  // Null: there is none of this number.
  std::shared_ptr<T> find(uint64_t handle) const {
    const std::lock_guard lock(mutex_);
    const auto at = opened_.find(handle);
    return at == opened_.end() ? nullptr : at->second;
  }
  void remove(uint64_t handle) {
    std::shared_ptr<T> gone;  // its end may take its time: not under the lock
    const std::lock_guard lock(mutex_);
    const auto at = opened_.find(handle);
    if (at == opened_.end()) return;
    gone = std::move(at->second);
    opened_.erase(at);
  }

 private:
  mutable std::mutex mutex_;
  uint64_t last_ = 0;
  std::unordered_map<uint64_t, std::shared_ptr<T>> opened_;
};

}  // namespace uarena::inspectfs
