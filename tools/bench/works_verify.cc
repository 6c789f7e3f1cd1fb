// How long programs are judged: those of the suite, and generated ones of growing size. The peer is
// the live kernel's BPF_PROG_LOAD, which also compiles.
#include "tests/support/verify_pair.h"
#include "tools/bench/bench.h"

namespace uarena::bench {
namespace {

// Objects of tests/bpf and of this folder that both sides load.
constexpr const char* kSuite[] = {
    "acquire_release", "atomics", "calls",    "casts",  "globals",          "htab",
    "kfuncs",          "list",    "may_goto", "absent", "bench_alloc_free", "bench_list"};
constexpr uint32_t kSizes[] = {100, 1000, 10'000, 100'000};

Work work(const std::string& name, const std::string& what, const std::string& unit,
          std::function<Result<testing::VerifyPair>()> make) {
  return {name, what, unit, "lower", "kernel", [make]() -> Result<Pair> {
            auto pair = make();
            if (!pair) return std::unexpected(pair.error());
            return Pair{pair->ours, pair->kernel};
          }};
}

}  // namespace

std::vector<Work> verify_works(const std::string& bpf_directory) {
  std::vector<Work> works;
  for (const char* object : kSuite)
    works.push_back(work(
        std::string("verify.suite.") + object, "programs of the suite", "ns/program",
        [path = bpf_directory + "/" + object + ".bpf.o"] { return testing::verify_object(path); }));
  for (const uint32_t size : kSizes)
    works.push_back(work("verify.generated." + std::to_string(size), "a generated program",
                         "ns/insn", [size] { return testing::verify_generated(size); }));
  return works;
}

}  // namespace uarena::bench
