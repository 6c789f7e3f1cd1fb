// One line per event on standard error, as key=value pairs that a script can split and a person
// can read:  2026-11-22T17:40:01.123Z level=info event=arena.created id=3 name="heap" pages=1048576
// Strings are quoted and escaped, so that what a client chose as a name can't forge a line.
// Thread-safe: one write(2) per line, which never blocks: lines that nobody reads are dropped, and
// the next one that goes out counts them (lines_dropped_before=N).
#pragma once

#include <fmt/format.h>

#include <array>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace uarena {

enum class LogLevel { debug, info, warning, error };
// What lines call them, in this order.
inline constexpr std::array<std::string_view, 4> kLogLevelNames = {"debug", "info", "warning",
                                                                   "error"};
// Empty: none is called so.
std::optional<LogLevel> log_level_of(std::string_view name);

struct LogField {
  template <typename T>
  LogField(std::string_view k, const T& v) : key(k) {
    if constexpr (std::is_convertible_v<T, std::string_view>)
      value = quoted(v);
    else
      value = fmt::format("{}", v);
  }
  std::string_view key;
  std::string value;  // strings in quotation marks

  // Without them; still escaped.
  std::string_view plain() const {
    const std::string_view text = value;
    return text.starts_with('"') ? text.substr(1, text.size() - 2) : text;
  }

 private:
  static std::string quoted(std::string_view text);
};

// Lines below this level are dropped. Starts at info.
void set_log_level(LogLevel level);

// Another place for lines than standard error. May be called by several threads at a time, and must
// not wait for anybody.
struct LogLine {
  LogLevel level = LogLevel::info;
  std::string_view event;
  std::span<const LogField> fields;
  std::string_view text;  // event and fields, key=value
};
class LogSink {
 public:
  virtual ~LogSink() = default;
  // False: it was not taken, and goes to standard error.
  virtual bool write(const LogLine& line) = 0;
};
// Borrowed; null: none. Before the first line.
void set_log_sink(LogSink* sink);

void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});

// Printable form of text that came from a peer: control bytes, quotes and backslashes as escapes.
std::string escaped(std::string_view untrusted);

}  // namespace uarena
