// Compiled code: each work of works/ done by us, by the live kernel and by this machine's own
// compiler, from one source. All three must come to the same figure, or there is no measurement.
//
// Where code lies in memory moves a small loop's time by a factor of up to two, so both sides have
// several copies loaded and a copy's turn comes every few pairs.
#include <fmt/format.h>

#include <array>

#include "tools/bench/bench.h"
#include "tools/bench/both_sides.h"
#include "tools/bench/works/work.h"

extern "C" {
#define UARENA_BENCH_NATIVE(work)                     \
  int bench_##work##_prepare(struct bench_work_ctx*); \
  int bench_##work##_run(struct bench_work_ctx*);
UARENA_BENCH_NATIVE(list)
UARENA_BENCH_NATIVE(htab)
UARENA_BENCH_NATIVE(strsearch)
UARENA_BENCH_NATIVE(glob)
UARENA_BENCH_NATIVE(tree)
UARENA_BENCH_NATIVE(alu)
UARENA_BENCH_NATIVE(crypto)
UARENA_BENCH_NATIVE(memcpy)
UARENA_BENCH_NATIVE(chase)
UARENA_BENCH_NATIVE(atomics)
UARENA_BENCH_NATIVE(calls)
#undef UARENA_BENCH_NATIVE
}

namespace uarena::bench {
namespace {

constexpr size_t kCopies = 5;

using NativePart = int (*)(bench_work_ctx*);

struct CodeWork {
  const char* name;  // prog.NAME, bench_NAME.bpf.o
  const char* object;
  const char* what;
  uint64_t rounds;  // a run takes some 5 to 30 ms
  NativePart prepare, run;
};

constexpr std::array kCodeWorks = {
    CodeWork{"list", "list", "1,000 nodes linked, and walked a thousand times", 1000,
             bench_list_prepare, bench_list_run},
    CodeWork{"htab", "htab", "50,000 keys inserted, found, and as many not found", 2,
             bench_htab_prepare, bench_htab_run},
    CodeWork{"strsearch", "strsearch", "a naive search in 256 KiB of text", 4,
             bench_strsearch_prepare, bench_strsearch_run},
    CodeWork{"glob", "glob", "2,000 names matched with three patterns", 4, bench_glob_prepare,
             bench_glob_run},
    CodeWork{"tree", "tree", "a search tree of 20,000 keys", 1, bench_tree_prepare, bench_tree_run},
    CodeWork{"alu", "alu", "a checksum of 256 KiB", 100, bench_alu_prepare, bench_alu_run},
    CodeWork{"crypto", "crypto", "ten double rounds of ChaCha on 64 KiB", 50, bench_crypto_prepare,
             bench_crypto_run},
    CodeWork{"memcpy", "memcpy", "16 KiB copied", 5000, bench_memcpy_prepare, bench_memcpy_run},
    CodeWork{"chase.16m", "chase", "a random walk through 16 MiB", 1, bench_chase_prepare,
             bench_chase_run},
    CodeWork{"atomics", "atomics", "add, fetch_add and cmpxchg", 50, bench_atomics_prepare,
             bench_atomics_run},
    CodeWork{"calls", "calls", "calls four deep, and a stack behind calls", 200,
             bench_calls_prepare, bench_calls_run},
};

// The copies of one work on all sides.
class Copies {
 public:
  static Result<std::shared_ptr<Copies>> load(const CodeWork& work, const std::string& socket,
                                              const std::string& path) {
    auto made = std::make_shared<Copies>(work);
    bench_work_ctx context{};
    if (work.prepare(&context) != 0) return fail(ENOMEM, "{} can't prepare natively", work.name);
    for (size_t n = 0; n < kCopies; ++n) {
      auto both = BothSides::load(socket, path);
      if (!both) return std::unexpected(both.error());
      auto ours = (*both)->ours("prepare", bytes_of(context), 1);
      if (!ours) return std::unexpected(ours.error());
      auto kernel = (*both)->kernel("prepare", bytes_of(context), 1);
      if (!kernel) return std::unexpected(kernel.error());
      made->copies_.push_back(std::move(*both));
    }
    return made;
  }
  explicit Copies(const CodeWork& work) : work_(work) {}

  Result<double> ours() {
    bench_work_ctx context{work_.rounds, 0};
    auto ns = copy(&ours_turn_).ours("run", bytes_of(context), work_.rounds);
    return ns ? checked(*ns, context.result, "uarena") : ns;
  }
  Result<double> kernel() {
    bench_work_ctx context{work_.rounds, 0};
    auto ns = copy(&kernel_turn_).kernel("run", bytes_of(context), work_.rounds);
    return ns ? checked(*ns, context.result, "the kernel") : ns;
  }
  Result<double> native() {
    bench_work_ctx context{work_.rounds, 0};
    const uint64_t start = now_ns();
    const int error = work_.run(&context);
    const uint64_t ns = now_ns() - start;
    if (error != 0) return fail(-error, "{} fails natively", work_.name);
    return checked(static_cast<double>(ns) / static_cast<double>(work_.rounds), context.result,
                   "native code");
  }

 private:
  BothSides& copy(size_t* turn) { return *copies_[(*turn)++ % copies_.size()]; }

  // The first answer is what all others have to be.
  Result<double> checked(double ns, uint64_t result, const char* whose) {
    if (!expected_) expected_ = result;
    if (*expected_ != result)
      return fail(EINVAL, "{}: {} comes to {:#x}, another one to {:#x}", work_.name, whose, result,
                  *expected_);
    return ns;
  }

  const CodeWork& work_;
  std::vector<std::shared_ptr<BothSides>> copies_;
  std::optional<uint64_t> expected_;
  size_t ours_turn_ = 0, kernel_turn_ = 0;
};

}  // namespace

std::vector<Work> code_works(const std::string& socket, const std::string& bpf_directory) {
  std::vector<Work> works;
  for (const CodeWork& work : kCodeWorks) {
    const std::string path = fmt::format("{}/bench_{}.bpf.o", bpf_directory, work.object);
    works.push_back({fmt::format("prog.{}", work.name), work.what, "ns/round", "lower", "bpf_arena",
                     [=, &work]() -> Result<Pair> {
                       auto copies = Copies::load(work, socket, path);
                       if (!copies) return std::unexpected(copies.error());
                       return Pair{[c = *copies] { return c->ours(); },
                                   [c = *copies] { return c->kernel(); },
                                   [c = *copies] { return c->native(); }};
                     }});
  }
  return works;
}

}  // namespace uarena::bench
