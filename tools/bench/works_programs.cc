// Accesses of programs to absent pages. Times are of the run as the caller sees it.
#include "tools/bench/bench.h"
#include "tools/bench/both_sides.h"
#include "tools/bench/contexts.h"

namespace uarena::bench {
namespace {

constexpr uint64_t kLoads = 2000;

Result<Pair> absent_loads(const std::string& socket, const std::string& path) {
  auto both = BothSides::load(socket, path);
  if (!both) return std::unexpected(both.error());
  return Pair{[b = *both] {
                bench_absent_ctx context{kLoads, 0};
                return b->ours("absent_load", bytes_of(context), kLoads);
              },
              [b = *both] {
                bench_absent_ctx context{kLoads, 0};
                return b->kernel("absent_load", bytes_of(context), kLoads);
              }};
}

}  // namespace

std::vector<Work> program_works(const std::string& socket, const std::string& bpf_directory) {
  const std::string small = bpf_directory + "/bench_small.bpf.o";
  return {
      {"prog.absent_load", "a program loads from a page that is not there", "ns/load", "lower",
       "bpf_arena", [=] { return absent_loads(socket, small); }},
  };
}

}  // namespace uarena::bench
