// Checksums of the state file: they find a file that is not ours, a truncated write or a bug, not
// an attacker (nobody but the broker holds the file). Words of 64 bits, a multiply-and-shift mix.
#pragma once

#include <cstdint>
#include <span>

namespace uarena::broker {

// A bijection in which every input bit moves about half of the output bits (the finalizer of
// SplitMix64: constants from Stafford's variant 13).
inline constexpr uint64_t mix64(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

// The golden ratio's odd fraction: distinct indices start far apart.
inline constexpr uint64_t kSpread = 0x9e3779b97f4a7c15U;

// In order; the length counts, and trailing zeros do, too.
inline constexpr uint64_t checksum_words(std::span<const uint64_t> words) {
  uint64_t sum = mix64(words.size() + kSpread);
  for (const uint64_t word : words) sum = mix64(sum ^ (word + kSpread)) + kSpread;
  return sum;
}

// The share of one table entry in the table's checksum, the xor over all entries: an entry is
// exchanged by two xors. Entry 0 counts nothing, so a table of holes has checksum 0.
inline constexpr uint64_t checksum_entry(uint64_t index, uint64_t entry) {
  return entry == 0 ? 0 : mix64(entry ^ mix64((index + 1) * kSpread));
}

}  // namespace uarena::broker
