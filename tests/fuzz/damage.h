// What fuzzers do to a sample of any kind, and what they ask of each refusal. Damage of a form that
// a fuzzer knows is its own business; this is what needs no knowledge, and the values that are
// worth trying in every field.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/base/result.h"
#include "tests/fuzz/random.h"

namespace uarena::fuzz {

using Bytes = std::vector<std::byte>;

inline Bytes bytes_of_text(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}
inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Where comparisons, sums and casts change their minds.
inline uint64_t extreme(Random& random) {
  const uint64_t power = uint64_t{1} << random.below(64);
  switch (random.below(6)) {
    case 0:
      return random.below(4);
    case 1:
      return UINT64_MAX - random.below(3);
    case 2:
      return power - 1;
    case 3:
      return power + 1;
    case 4:
      return random.bits() >> random.below(64);
    default:
      return power;
  }
}

// One change without knowledge: a bit, a byte, a word, a piece that is doubled, gone or filled, the
// end cut off or grown.
inline void damage(Random& random, Bytes& bytes) {
  constexpr size_t kMostAdded = 64;
  if (bytes.empty()) {
    bytes.resize(random.below(kMostAdded), std::byte(random.bits()));
    return;
  }
  const size_t at = random.below(bytes.size());
  const size_t length = std::min<size_t>(bytes.size() - at, 1 + random.below(kMostAdded));
  const auto here = bytes.begin() + static_cast<ptrdiff_t>(at);
  const auto end = here + static_cast<ptrdiff_t>(length);
  switch (random.below(8)) {
    case 0:
      bytes[at] ^= std::byte(1 << random.below(8));
      break;
    case 1:
      bytes[at] = std::byte(random.bits());
      break;
    case 2: {
      const uint64_t word = extreme(random);
      std::memcpy(bytes.data() + at, &word, std::min<size_t>(length, sizeof word));
    } break;
    case 3:
      bytes.resize(at);
      break;
    case 4:
      bytes.resize(bytes.size() + 1 + random.below(kMostAdded), std::byte(random.bits()));
      break;
    case 5:
      bytes.erase(here, end);
      break;
    case 6: {
      const Bytes piece(here, end);
      bytes.insert(here, piece.begin(), piece.end());
    } break;
    default:
      std::fill(here, end, std::byte(random.bits()));
      break;
  }
}

// Empty: an error as people can use it, with an errno and one sentence that a terminal or a log can
// show. `who` refused.
inline std::string wrong_refusal(const Error& error, std::string_view who) {
  constexpr int kMostErrno = 4095;  // as the kernel has them
  if (error.code <= 0 || error.code > kMostErrno)
    return fmt::format("{} refuses with errno {}", who, error.code);
  if (error.message.empty()) return fmt::format("{} refuses without a word", who);
  for (const char c : error.message)
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f')
      return fmt::format("{} says something unprintable", who);
  return {};
}

}  // namespace uarena::fuzz
