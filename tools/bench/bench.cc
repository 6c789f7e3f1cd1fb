#include "tools/bench/bench.h"

#include <algorithm>

#include "ipc/base/clock.h"

namespace uarena::bench {

uint64_t now_ns() { return clock_ns(CLOCK_MONOTONIC); }

double median(std::vector<double> values) {
  UARENA_ASSERT(!values.empty(), "no values");
  std::ranges::sort(values);
  const size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

Result<Measured> measure(const Work& work, unsigned rounds) {
  auto pair = work.set_up();
  if (!pair) return std::unexpected(pair.error());
  std::vector<double> ours, peer, ratios, native;
  // The first pair warms up and does not count.
  for (unsigned i = 0; i <= rounds; ++i) {
    Result<double> a = 0, b = 0;
    if (i % 2 == 0) {
      a = pair->ours();
      b = pair->peer();
    } else {
      b = pair->peer();
      a = pair->ours();
    }
    if (!a) return std::unexpected(a.error());
    if (!b) return std::unexpected(b.error());
    if (i == 0) continue;
    if (pair->native) {
      const Result<double> c = pair->native();
      if (!c) return std::unexpected(c.error());
      native.push_back(*c);
    }
    ours.push_back(*a);
    peer.push_back(*b);
    ratios.push_back(*a / *b);
  }
  const auto [low, high] = std::ranges::minmax(ratios);
  return Measured{work.name,      work.unit,
                  work.better,    work.peer_name,
                  median(ours),   median(peer),
                  median(ratios), low,
                  high,           native.empty() ? 0 : median(native)};
}

}  // namespace uarena::bench
