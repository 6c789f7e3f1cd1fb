#include "jit/trace_log.h"

#include <new>

namespace uarena::jit {

void TraceLog::add(std::string_view line) noexcept {
  if (line.ends_with('\n')) line.remove_suffix(1);
  put(line, true);
}

void TraceLog::write(std::string_view text) noexcept {
  if (!text.empty()) put(text, false);
}

void TraceLog::put(std::string_view text, bool line) noexcept {
  const std::scoped_lock guard(lock_);
  try {
    lines_.emplace_back(text);
    if (line) lines_.back() += '\n';
  } catch (const std::bad_alloc&) {
    ++dropped_;
    return;
  }
  bytes_ += lines_.back().size();
  end_ += lines_.back().size();
  while (bytes_ > kMostBytes) {
    bytes_ -= lines_.front().size();
    lines_.pop_front();
    ++dropped_;
  }
}

TraceLog::Content TraceLog::content() const {
  const std::scoped_lock guard(lock_);
  Content all{.text = {}, .dropped = dropped_, .end = end_};
  for (const std::string& line : lines_) all.text += line;
  return all;
}

}  // namespace uarena::jit
