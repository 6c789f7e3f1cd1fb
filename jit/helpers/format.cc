// One pass over the format: text is copied, each % is parsed into a Conversion, and that is
// printed.
#include "jit/helpers/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <random>
#include <string>

#include "jit/helpers/program_memory.h"

namespace uarena::jit {
namespace {

constexpr size_t kMaxString = 512;                       // of one %s (MAX_BPRINTF_BIN_ARGS)
constexpr uint32_t kMaxWidth = (uint32_t{1} << 23) - 1;  // FIELD_WIDTH_MAX

// Text that may be longer than the room for it.
class Sink {
 public:
  explicit Sink(std::span<char> room) : room_(room) {}
  void put(std::string_view text) {
    if (!text.empty() && length_ < room_.size())
      std::memcpy(room_.data() + length_, text.data(),
                  std::min(text.size(), room_.size() - length_));
    length_ += text.size();
  }
  void fill(char c, size_t count) {
    if (length_ < room_.size())
      std::memset(room_.data() + length_, c, std::min(count, room_.size() - length_));
    length_ += count;
  }
  size_t finish() {
    if (!room_.empty()) room_[std::min(length_, room_.size() - 1)] = '\0';
    return length_;
  }

 private:
  std::span<char> room_;
  size_t length_ = 0;
};

struct Conversion {
  bool zero = false, plus = false, minus = false, space = false;
  uint32_t width = 0;
  unsigned bytes = 4;       // of an integer
  char kind = 0;            // d u x X c s, p: a pointer as such
  std::string_view suffix;  // of p
};

bool is_one_of(char c, std::string_view set) { return c != 0 && set.find(c) != set.npos; }

class Parser {
 public:
  explicit Parser(std::string_view format) : format_(format) {}

  bool done() const { return at_ >= format_.size(); }
  // Up to the next %.
  std::string_view text() {
    const size_t from = at_;
    at_ = std::min(format_.find('%', at_), format_.size());
    return format_.substr(from, at_ - from);
  }
  // At a %. None: not allowed.
  std::optional<Conversion> conversion() {
    Conversion found;
    ++at_;
    if (peek() == '%') {
      ++at_;
      found.kind = '%';
      return found;
    }
    flags(&found);
    if (peek() == 'p') return pointer(found);
    if (peek() == 's' || peek() == 'c') {
      found.kind = format_[at_++];
      return found;
    }
    return integer(found);
  }

 private:
  char peek(size_t ahead = 0) const {
    return at_ + ahead < format_.size() ? format_[at_ + ahead] : '\0';
  }

  void flags(Conversion* found) {
    for (; is_one_of(peek(), "0+- "); ++at_) {
      found->zero |= peek() == '0';
      found->plus |= peek() == '+';
      found->minus |= peek() == '-';
      found->space |= peek() == ' ';
    }
    for (; std::isdigit(static_cast<unsigned char>(peek())); ++at_)
      found->width = std::min(kMaxWidth, found->width * 10 + static_cast<uint32_t>(peek() - '0'));
  }

  std::optional<Conversion> pointer(Conversion found) {
    found.kind = 'p';
    const size_t from = ++at_;
    if (is_one_of(peek(), "ku") && peek(1) == 's') {
      found.kind = 's';
      at_ += 2;
    } else if (is_one_of(peek(), "iI")) {
      if (!is_one_of(peek(1), "46")) return std::nullopt;
      at_ += 2;
    } else if (is_one_of(peek(), "xKsSB")) {
      ++at_;
    } else if (!done() && !std::isspace(static_cast<unsigned char>(peek())) &&
               !std::ispunct(static_cast<unsigned char>(peek()))) {
      return std::nullopt;
    }
    found.suffix = format_.substr(from, at_ - from);
    return found;
  }

  std::optional<Conversion> integer(Conversion found) {
    if (peek() == 'l') {
      found.bytes = 8;
      at_ += peek(1) == 'l' ? 2 : 1;
    }
    if (!is_one_of(peek(), "diuxX")) return std::nullopt;
    found.kind = format_[at_++];
    return found;
  }

  std::string_view format_;
  size_t at_ = 0;
};

void pad(Sink& out, const Conversion& how, std::string_view sign, std::string_view text) {
  const size_t length = sign.size() + text.size();
  const size_t missing = how.width > length ? how.width - length : 0;
  if (!how.minus && !how.zero) out.fill(' ', missing);
  out.put(sign);
  if (!how.minus && how.zero) out.fill('0', missing);
  out.put(text);
  if (how.minus) out.fill(' ', missing);
}

void print_integer(Sink& out, const Conversion& how, uint64_t value) {
  char digits[24];
  std::string_view sign;
  const bool is_signed = how.kind == 'd' || how.kind == 'i';
  if (how.bytes == 4)
    value = is_signed ? static_cast<uint64_t>(int64_t{static_cast<int32_t>(value)})
                      : static_cast<uint32_t>(value);
  if (is_signed && static_cast<int64_t>(value) < 0) {
    sign = "-";
    value = 0 - value;
  } else if (is_signed && (how.plus || how.space)) {
    sign = how.plus ? "+" : " ";
  }
  const int base = how.kind == 'x' || how.kind == 'X' ? 16 : 10;
  char* const end = std::to_chars(digits, digits + sizeof digits, value, base).ptr;
  if (how.kind == 'X')
    std::transform(digits, end, digits, [](char c) { return static_cast<char>(std::toupper(c)); });
  pad(out, how, sign, {digits, static_cast<size_t>(end - digits)});
}

// Addresses of the broker's own are not for everybody who may read a log: a number that stands for
// them as long as this process lives. Those of the arena are the program's.
uint64_t disguised(const Handed& handed, const RunContext* run) {
  const uint64_t address = handed.value;
  static const uint64_t secret = uint64_t{std::random_device()()} << 32 | std::random_device()();
  if (address == 0 || (!handed.own && is_arena_address(run->arena, address))) return address;
  uint64_t mixed = (address ^ secret) * 0x9e3779b97f4a7c15;
  mixed ^= mixed >> 32;
  return static_cast<uint32_t>(mixed * 0xd6e8feb86659fd93 >> 32);
}

void print_network_address(Sink& out, const Conversion& how, const Handed& address,
                           const RunContext* run) {
  std::array<uint8_t, 16> bytes = {};
  const size_t size = how.suffix[1] == '4' ? 4 : 16;
  if (read_program_memory(run, bytes.data(), address, size) != size) bytes = {};
  std::string text;
  for (size_t n = 0; n < size; n += size == 4 ? 1 : 2) {
    const bool colons = how.suffix[0] == 'I';
    if (size == 4)
      text += fmt::format(fmt::runtime(colons ? "{}{}" : "{}{:03}"), n == 0 ? "" : ".", bytes[n]);
    else
      text += fmt::format("{}{:02x}{:02x}", n != 0 && colons ? ":" : "", bytes[n], bytes[n + 1]);
  }
  pad(out, how, "", text);
}

void print_pointer(Sink& out, Conversion how, const Handed& value, const RunContext* run) {
  if (!how.suffix.empty() && is_one_of(how.suffix[0], "iI"))
    return print_network_address(out, how, value, run);
  const uint64_t shown = disguised(value, run);
  // Symbols are the kernel's; an address that is none is printed like this there, too.
  const bool symbol = !how.suffix.empty() && is_one_of(how.suffix[0], "sSB");
  pad(out, how, "", symbol ? fmt::format("{:#x}", shown) : fmt::format("{:016x}", shown));
}

void print(Sink& out, const Conversion& how, const Handed& value, const RunContext* run) {
  switch (how.kind) {
    case 's': {
      std::array<char, kMaxString> text;
      if (read_program_string(run, text.data(), value, text.size()) < 0) text[0] = '\0';
      Conversion plain = how;
      plain.zero = false;
      return pad(out, plain, "", text.data());
    }
    case 'c': {
      const char c = static_cast<char>(value.own ? 0 : value.value);
      return pad(out, how, "", {&c, 1});
    }
    case 'p':
      return print_pointer(out, how, value, run);
    default:
      return print_integer(out, how, value.own ? disguised(value, run) : value.value);
  }
}

bool is_plain(char c) {
  const auto u = static_cast<unsigned char>(c);
  return u < 0x80 && (std::isprint(u) || std::isspace(u));
}

}  // namespace

std::optional<size_t> format_arguments(std::string_view format) {
  if (!std::ranges::all_of(format, is_plain)) return std::nullopt;
  Parser parser(format);
  size_t wanted = 0;
  while (parser.text(), !parser.done()) {
    const auto conversion = parser.conversion();
    if (!conversion) return std::nullopt;
    wanted += conversion->kind != '%';
  }
  return wanted;
}

int64_t format_text(std::span<char> room, std::string_view format,
                    std::span<const Handed> arguments, const RunContext* run) {
  if (!std::ranges::all_of(format, is_plain)) return -EINVAL;
  Sink out(room);
  Parser parser(format);
  size_t used = 0;
  while (!parser.done()) {
    out.put(parser.text());
    if (parser.done()) break;
    const auto conversion = parser.conversion();
    if (!conversion) return -EINVAL;
    if (conversion->kind == '%') {
      out.put("%");
      continue;
    }
    if (used == arguments.size()) return -EINVAL;
    print(out, *conversion, arguments[used++], run);
  }
  return static_cast<int64_t>(out.finish());
}

}  // namespace uarena::jit
