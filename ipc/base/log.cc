#include "ipc/base/log.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <ctime>
#include <mutex>

namespace uarena {
namespace {

std::atomic<LogLevel> threshold{LogLevel::info};
std::atomic<LogSink*> other_place{nullptr};

// Never blocks: if whoever reads standard error has stopped doing so, lines are dropped and
// counted, and the next line that goes out says how many. poll(2) promises room for PIPE_BUF bytes,
// so lines are kept below that; the lock keeps two threads from sharing one promise.
void write_or_drop(std::string& line) {
  static std::mutex lock;
  static uint64_t dropped = 0;
  std::lock_guard guard(lock);
  pollfd room{STDERR_FILENO, POLLOUT, 0};
  if (::poll(&room, 1, 0) != 1 || (room.revents & POLLOUT) == 0) {
    ++dropped;
    return;
  }
  if (dropped != 0) line.insert(line.size() - 1, fmt::format(" lines_dropped_before={}", dropped));
  if (line.size() > PIPE_BUF) line.replace(PIPE_BUF - 4, std::string::npos, "...\n");
  if (::write(STDERR_FILENO, line.data(), line.size()) < 0)
    ++dropped;
  else
    dropped = 0;
}

}  // namespace

std::string escaped(std::string_view untrusted) {
  std::string out;
  out.reserve(untrusted.size());
  for (unsigned char c : untrusted) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20 || c >= 0x7f) {
      out += fmt::format("\\x{:02x}", c);
    } else {
      out += static_cast<char>(c);
    }
  }
  return out;
}

std::string LogField::quoted(std::string_view text) { return '"' + escaped(text) + '"'; }

std::optional<LogLevel> log_level_of(std::string_view name) {
  const auto found = std::ranges::find(kLogLevelNames, name);
  if (found == kLogLevelNames.end()) return std::nullopt;
  return static_cast<LogLevel>(found - kLogLevelNames.begin());
}

void set_log_level(LogLevel level) { threshold = level; }

void set_log_sink(LogSink* sink) { other_place = sink; }

void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (level < threshold.load(std::memory_order_relaxed)) return;
  std::string text = fmt::format("event={}", event);
  for (const LogField& field : fields)
    fmt::format_to(std::back_inserter(text), " {}={}", field.key, field.value);
  if (LogSink* sink = other_place.load(std::memory_order_relaxed);
      sink != nullptr && sink->write({level, event, {fields.begin(), fields.end()}, text}))
    return;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm utc{};
  gmtime_r(&now.tv_sec, &utc);
  std::string line =
      fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z level={} {}\n", utc.tm_year + 1900,
                  utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                  now.tv_nsec / 1000000, kLogLevelNames[static_cast<size_t>(level)], text);
  write_or_drop(line);
}

}  // namespace uarena
