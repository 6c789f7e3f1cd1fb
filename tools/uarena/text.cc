// Numbers and text: see the header. Numbers are parsed with from_chars: no locale, no sign, no
// surrounding blanks, nothing left over.
#include "tools/uarena/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "ipc/abi.h"
#include "ipc/base/log.h"

namespace uarena::cli {
namespace {

std::optional<uint64_t> number_of(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    text.remove_prefix(2);
    base = 16;
  }
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, value, base);
  if (error != std::errc() || rest != end) return std::nullopt;
  return value;
}

// Bounds read best as hex when they are addresses.
std::string bound(uint64_t value) {
  return value > UINT32_MAX ? hex(value) : fmt::format("{}", value);
}

bool name_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
         c == '.' || c == '-';
}

}  // namespace

Result<uint64_t> parse_number(std::string_view what, std::string_view text, uint64_t min,
                              uint64_t max) {
  std::optional<uint64_t> value = number_of(text);
  if (!value || *value < min || *value > max)
    return fail(Why::usage, EINVAL, "{} {}: allowed are {}..{}", what,
                text.empty() ? "\"\"" : escaped(text), bound(min), bound(max));
  return *value;
}

Result<ByteRange> parse_range(std::string_view what, std::string_view text, uint64_t size) {
  auto colon = text.find(':');
  std::optional<uint64_t> offset, length;
  if (colon != std::string_view::npos) {
    offset = number_of(text.substr(0, colon));
    length = number_of(text.substr(colon + 1));
  }
  if (!offset || !length || *offset >= size || *length == 0 || *length > size - *offset)
    return fail(Why::usage, EINVAL,
                "{} {}: allowed are OFF:LEN in bytes with OFF below {} and LEN 1..{}-OFF", what,
                escaped(text), hex(size), hex(size));
  return ByteRange{*offset, *length};
}

Result<std::string> parse_name(std::string_view what, std::string_view text) {
  if (text.empty() || text.size() >= UARENA_NAME_SIZE || !std::ranges::all_of(text, name_char))
    return fail(Why::usage, EINVAL, "{} \"{}\": allowed are 1..{} characters of A-Z a-z 0-9 _ . -",
                what, escaped(text), UARENA_NAME_SIZE - 1);
  return std::string(text);
}

std::string grouped(uint64_t number) {
  std::string digits = fmt::format("{}", number);
  std::string out;
  for (size_t i = 0; i < digits.size(); i++) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

std::string with_unit(uint64_t bytes) {
  static constexpr std::array kUnits = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  auto value = static_cast<double>(bytes);
  for (; value >= 1024 && unit + 1 < kUnits.size(); unit++) value /= 1024;
  bool whole = value == static_cast<double>(static_cast<uint64_t>(value));
  return fmt::format("{:.{}f} {}", value, whole ? 0 : 1, kUnits[unit]);
}

std::string duration(uint64_t nanoseconds) {
  static constexpr std::array kUnits = {"ns", "us", "ms", "s"};
  size_t unit = 0;
  auto value = static_cast<double>(nanoseconds);
  for (; value >= 1000 && unit + 1 < kUnits.size(); unit++) value /= 1000;
  return fmt::format("{:.{}f} {}", value, unit == 0 ? 0 : 2, kUnits[unit]);
}

std::string hex(uint64_t number) { return fmt::format("{:#x}", number); }

std::string counted(uint64_t n, std::string_view noun) {
  return fmt::format("{} {}{}", grouped(n), noun, n == 1 ? "" : "s");
}

std::string printable(std::string_view untrusted) {
  std::string out;
  out.reserve(untrusted.size());
  for (unsigned char c : untrusted) {
    if ((c >= 0x20 && c < 0x7f) || c == '\n' || c == '\t')
      out += static_cast<char>(c);
    else
      out += fmt::format("\\x{:02x}", c);
  }
  return out;
}

}  // namespace uarena::cli
