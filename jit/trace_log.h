// Text that a program has left for people, the latest of it: lines of bpf_trace_printk, or one of
// its two streams. A program may print in every turn of a loop, and nobody may be reading; who
// follows asks for what came behind the position where the text before ended.
//
// Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>

namespace uarena::jit {

class TraceLog {
 public:
  static constexpr size_t kMostBytes = size_t{64} << 10;  // of text that is kept

  // One line; a newline at its end is not needed. Without memory the line is dropped.
  void add(std::string_view line) noexcept;
  // Text as it is.
  void write(std::string_view text) noexcept;

  struct Content {
    std::string text;      // pieces as they were written, oldest first
    uint64_t dropped = 0;  // pieces before them
    uint64_t end = 0;      // bytes that were ever kept
  };
  Content content() const;

 private:
  void put(std::string_view text, bool line) noexcept;

  mutable std::mutex lock_;
  std::deque<std::string> lines_;
  size_t bytes_ = 0;
  uint64_t dropped_ = 0;
  uint64_t end_ = 0;
};

}  // namespace uarena::jit
