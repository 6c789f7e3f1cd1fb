// Programs: the same object file, verified and compiled by us and by the live kernel, doing the
// same work. Times are of the run as the caller sees it from one request to its answer, divided by
// many units of work, so that the way there does not count.
#include <uarena.h>

#include <cstring>
#include <fstream>

#include "tests/support/kernel_loader.h"
#include "tools/bench/bench.h"
#include "tools/bench/contexts.h"

namespace uarena::bench {
namespace {

constexpr uint64_t kPairs = 1000;
constexpr uint64_t kNodes = 1000;
constexpr uint64_t kRounds = 1000;

Result<jit::Object> read_object(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  if (!file) return fail(ENOENT, "cannot read {}", path);
  return jit::load_object(std::as_bytes(std::span(bytes)));
}

// One object in the broker and in the kernel.
class BothSides {
 public:
  static Result<std::shared_ptr<BothSides>> load(const std::string& socket,
                                                 const std::string& path) {
    auto both = std::make_shared<BothSides>();
    auto object = read_object(path);
    if (!object) return std::unexpected(object.error());
    auto kernel = testing::KernelObject::load(*object);
    if (!kernel) return std::unexpected(kernel.error());
    both->kernel_.emplace(std::move(*kernel));
    if (int error = uarena_connect(socket.c_str(), &both->conn_); error != 0)
      return fail(-error, "{}", uarena_error());
    both->programs_.resize(16);
    const int count = uarena_prog_load(both->conn_, path.c_str(), 0, both->programs_.data(), 16);
    if (count < 0) return fail(-count, "{}", uarena_error());
    both->programs_.resize(static_cast<size_t>(count));
    return both;
  }
  ~BothSides() {
    const uint64_t arena = programs_.empty() ? 0 : programs_[0].arena_id;
    for (const uarena_prog& program : programs_)
      if (program.id != 0) uarena_prog_unload(conn_, program.id);
    if (arena != 0) uarena_delete(conn_, arena);
    uarena_close(conn_);
  }

  // What one of `units` took in the run of a program that must return 0.
  template <typename Context>
  Result<double> ours(const char* name, Context context, uint64_t units) {
    for (const uarena_prog& program : programs_) {
      if (std::strcmp(program.name, name) != 0) continue;
      int32_t retval = 0;
      const uint64_t start = now_ns();
      const int error =
          uarena_prog_run(conn_, program.id, &context, sizeof(context), &retval, nullptr);
      const uint64_t ns = now_ns() - start;
      if (error != 0) return fail(-error, "{}", uarena_error());
      if (retval != 0) return fail(EINVAL, "{} returned {}", name, retval);
      return static_cast<double>(ns) / static_cast<double>(units);
    }
    return fail(ENOENT, "there is no program {}", name);
  }
  template <typename Context>
  Result<double> kernel(const char* name, Context context, uint64_t units) {
    const testing::KernelProgram* program = kernel_->program(name);
    if (program == nullptr) return fail(ENOENT, "there is no program {}", name);
    const uint64_t start = now_ns();
    auto retval = program->run(context);
    const uint64_t ns = now_ns() - start;
    if (!retval) return std::unexpected(retval.error());
    if (*retval != 0) return fail(EINVAL, "{} returned {} in the kernel", name, *retval);
    return static_cast<double>(ns) / static_cast<double>(units);
  }

 private:
  std::optional<testing::KernelObject> kernel_;
  uarena_conn* conn_ = nullptr;
  std::vector<uarena_prog> programs_;
};

// The steps one after the other; `units` is what all of them do.
template <typename Context>
Pair pair_of(std::shared_ptr<BothSides> both, std::vector<const char*> steps, Context context,
             uint64_t units) {
  const auto sum = [=](auto side) -> Result<double> {
    double total = 0;
    for (const char* step : steps) {
      Result<double> ns = ((*both).*side)(step, context, units);
      if (!ns) return ns;
      total += *ns;
    }
    return total;
  };
  return {[=] { return sum(&BothSides::ours<Context>); },
          [=] { return sum(&BothSides::kernel<Context>); }};
}

}  // namespace

std::vector<Work> program_works(const std::string& socket, const std::string& bpf_directory) {
  // Pages and list are there before the clock starts.
  const auto list = [=](std::vector<const char*> steps, uint64_t units) {
    return [=]() -> Result<Pair> {
      auto both = BothSides::load(socket, bpf_directory + "/bench_list.bpf.o");
      if (!both) return std::unexpected(both.error());
      bench_list_ctx context{};
      context.nodes = kNodes;
      context.rounds = kRounds;
      for (const char* first : {"prepare", "build"}) {
        if (auto done = (*both)->ours(first, context, 1); !done)
          return std::unexpected(done.error());
        if (auto done = (*both)->kernel(first, context, 1); !done)
          return std::unexpected(done.error());
      }
      return pair_of(*both, steps, context, units);
    };
  };
  return {
      {"alloc_free.1", "a program allocates one page and frees it", "ns/pair", "lower", "bpf_arena",
       [=]() -> Result<Pair> {
         auto both = BothSides::load(socket, bpf_directory + "/bench_alloc_free.bpf.o");
         if (!both) return std::unexpected(both.error());
         bench_pairs_ctx context{};
         context.pairs = kPairs;
         return pair_of(*both, {"alloc_free"}, context, kPairs);
       }},
      {"prog.list", "a program links 1,000 nodes and walks them 1,000 times", "ns/node", "lower",
       "bpf_arena", list({"build", "walk"}, kNodes * (kRounds + 1))},
      {"prog.list.build", "the first half of it", "ns/node", "lower", "bpf_arena",
       list({"build"}, kNodes)},
      {"prog.list.walk", "the second half", "ns/node", "lower", "bpf_arena",
       list({"walk"}, kNodes * kRounds)},
  };
}

}  // namespace uarena::bench
