// Seeded random choices, the same on every machine (the standard's distributions are not).
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <random>

namespace uarena::fuzz {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  uint64_t bits() { return engine_(); }
  // 0..n-1; n is at least 1.
  uint64_t below(uint64_t n) { return engine_() % n; }
  unsigned pick(unsigned n) { return static_cast<unsigned>(below(n)); }
  bool one_in(unsigned n) { return pick(n) == 0; }
  // Any of these, each as often as it stands there.
  template <typename... T>
  int one_of(T... values) {
    const int all[] = {static_cast<int>(values)...};
    return all[pick(sizeof...(values))];
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace uarena::fuzz
