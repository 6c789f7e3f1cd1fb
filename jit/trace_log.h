// The lines that a program has printed with bpf_trace_printk, the latest of them: a program may
// print in every turn of a loop, and nobody may be reading.
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

  struct Content {
    std::string text;      // lines with newlines, oldest first
    uint64_t dropped = 0;  // lines before them
  };
  Content content() const;

 private:
  mutable std::mutex lock_;
  std::deque<std::string> lines_;
  size_t bytes_ = 0;
  uint64_t dropped_ = 0;
};

}  // namespace uarena::jit
