// Lines of /proc/PID/maps: start-end perms offset device inode [name]
#include "ipc/client/occupant.h"

#include <charconv>
#include <fstream>
#include <iterator>

namespace uarena::ipc {
namespace {

std::optional<Occupant> parse_line(std::string_view line) {
  Occupant mapping;
  const char* end = line.data() + line.size();
  auto [dash, start_error] = std::from_chars(line.data(), end, mapping.start, 16);
  if (start_error != std::errc() || dash == end || *dash != '-') return std::nullopt;
  auto [rest, end_error] = std::from_chars(dash + 1, end, mapping.end, 16);
  if (end_error != std::errc()) return std::nullopt;

  // Four more fields, then blanks, then the name, which may contain blanks itself.
  std::string_view name(rest, static_cast<size_t>(end - rest));
  for (int field = 0; field < 4; ++field) {
    const size_t begin = name.find_first_not_of(' ');
    const size_t blank = name.find(' ', begin == std::string_view::npos ? 0 : begin);
    name = blank == std::string_view::npos ? std::string_view() : name.substr(blank);
  }
  const size_t begin = name.find_first_not_of(' ');
  mapping.name =
      begin == std::string_view::npos ? "anonymous memory" : std::string(name.substr(begin));
  return mapping;
}

}  // namespace

std::optional<Occupant> find_occupant(std::string_view maps, uint64_t start, uint64_t end) {
  while (!maps.empty()) {
    const size_t length = std::min(maps.find('\n'), maps.size());
    const auto mapping = parse_line(maps.substr(0, length));
    if (mapping && mapping->start < end && start < mapping->end) return mapping;
    maps.remove_prefix(std::min(length + 1, maps.size()));
  }
  return std::nullopt;
}

std::optional<Occupant> find_occupant(uint64_t start, uint64_t end) {
  std::ifstream file("/proc/self/maps");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  return find_occupant(std::string_view(text), start, end);
}

}  // namespace uarena::ipc
