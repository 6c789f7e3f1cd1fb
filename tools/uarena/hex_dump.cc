// See the header. A fold always ends with its last line in full, so that one sees how far it went.
#include "tools/uarena/hex_dump.h"

#include <algorithm>

#include "tools/uarena/text.h"

namespace uarena::cli {
namespace {

constexpr size_t kLine = 16;

std::string format_line(uint64_t address, std::string_view bytes) {
  std::string columns, letters;
  for (size_t i = 0; i < kLine; i++) {
    if (i % 2 == 0) columns += ' ';
    if (i >= bytes.size()) {
      columns += "  ";
      continue;
    }
    auto c = static_cast<unsigned char>(bytes[i]);
    columns += fmt::format("{:02x}", c);
    letters += c >= 0x20 && c < 0x7f ? static_cast<char>(c) : '.';
  }
  return fmt::format("{:012x}:{}  {}\n", address, columns, letters);
}

}  // namespace

std::vector<Stretch> stretches(const std::vector<uarena_page_extent>& extents, uint64_t offset,
                               uint64_t length) {
  std::vector<Stretch> out;
  uint64_t at = offset, end = offset + length;
  auto add = [&](uint64_t until, bool present) {
    if (until <= at) return;
    if (!out.empty() && out.back().present == present)
      out.back().length += until - at;
    else
      out.push_back({at, until - at, present});
    at = until;
  };
  for (const auto& extent : extents) {
    if (extent.origin == UARENA_ORIGIN_RESERVED) continue;
    uint64_t first = extent.page * kPageSize;
    add(std::min(first, end), false);
    add(std::min(first + extent.count * kPageSize, end), true);
  }
  add(end, false);
  return out;
}

std::string HexDump::line(uint64_t address, std::span<const std::byte> bytes) {
  std::string now(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (now == last_) {
    last_address_ = address;
    repeats_++;
    return "";
  }
  std::string out = finish();
  out += format_line(address, now);
  last_ = std::move(now);
  return out;
}

std::string HexDump::bytes(uint64_t address, std::span<const std::byte> bytes) {
  std::string out;
  while (!bytes.empty()) {
    auto piece = bytes.first(std::min(kLine, bytes.size()));
    out += line(address, piece);
    address += piece.size();
    bytes = bytes.subspan(piece.size());
  }
  return out;
}

std::string HexDump::absent(uint64_t address, uint64_t length) {
  uint64_t pages = ((address + length - 1) >> kPageShift) - (address >> kPageShift) + 1;
  return finish() + fmt::format("{:012x}: absent, {}\n", address, counted(pages, "page"));
}

std::string HexDump::finish() {
  std::string out = repeats_ > 1 ? "*\n" : "";
  if (repeats_ > 0) out += format_line(last_address_, last_);
  repeats_ = 0;
  last_.clear();
  return out;
}

std::string hex_bytes(std::span<const std::byte> bytes) {
  std::string out;
  out.reserve(2 * bytes.size());
  for (std::byte b : bytes) fmt::format_to(std::back_inserter(out), "{:02x}", unsigned(b));
  return out;
}

}  // namespace uarena::cli
