// Loading: verification and compilation of all programs of an object, against the live kernel's
// BPF_PROG_LOAD. Maps and types are made before, on both sides.
#include <fmt/format.h>

#include <array>
#include <deque>

#include "jit/engine.h"
#include "tests/support/functions.h"
#include "tests/support/kernel_program.h"
#include "tools/bench/bench.h"
#include "tools/bench/both_sides.h"

namespace uarena::bench {
namespace {

constexpr std::array kObjects = {"list",   "htab",   "strsearch", "glob",    "tree", "alu",
                                 "crypto", "memcpy", "chase",     "atomics", "calls"};

class Loaded {
 public:
  static Result<std::shared_ptr<Loaded>> make(const std::string& path) {
    auto object = read_object(path);
    if (!object) return std::unexpected(object.error());
    auto maps = testing::KernelObject::make_maps(*object);
    if (!maps) return std::unexpected(maps.error());
    return std::make_shared<Loaded>(std::move(*object), std::move(*maps));
  }
  Loaded(jit::Object object, testing::KernelObject maps)
      : object_(std::move(object)),
        functions_(test::all_functions(object_)),
        kernel_(std::move(maps)),
        bound_(object_.maps.size()),
        values_(object_.maps.size()) {
    for (size_t n = 0; n < bound_.size(); ++n) {
      const jit::MapDef& map = object_.maps[n];
      values_[n].resize(map.value_size + 8);
      bound_[n].kind = map.kind;
      bound_[n].name = map.name;
      bound_[n].value = values_[n].data();
      bound_[n].value_bytes = bound_[n].value_size = map.value_size;
      binding_.maps.push_back(&bound_[n]);
    }
    stand_in_for_functions();
    binding_.functions = &functions_;
    // Programs are not run, so nothing has to be there.
    binding_.arena = {uint64_t{1} << 45, kernel_.arena_address(),
                      kernel_.arena() == nullptr ? 0 : kernel_.arena()->size};
  }

  Result<double> ours() const {
    const uint64_t start = now_ns();
    for (size_t n = 0; n < object_.programs.size(); ++n) {
      jit::VerifierInput input;
      input.object = &object_;
      input.program = n;
      input.functions = &functions_;
      input.user_vm_start = binding_.arena.user_vm_start;
      input.arena_size = binding_.arena.size;
      const auto verified = jit::verify(input);
      if (!verified) return std::unexpected(verified.error().error);
      const auto made = jit::make_executable(jit::fix_up(*verified, binding_), jit::Mode::compile);
      if (!made) return std::unexpected(made.error());
    }
    return static_cast<double>(now_ns() - start);
  }

  Result<double> kernel() const {
    testing::KernelQuestion question{&object_, nullptr, kernel_.map_fds(), kernel_.btf()};
    uint64_t ns = 0;
    for (const jit::ProgramDef& program : object_.programs) {
      question.program = &program;
      const uint64_t start = now_ns();
      const auto answer = testing::ask_kernel(question);
      ns += now_ns() - start;
      if (!answer) return std::unexpected(answer.error());
      if (!answer->program) return fail_errno(answer->error, "the kernel refuses {}", program.name);
    }
    return static_cast<double>(ns);
  }

 private:
  // The arena's functions are the broker's; here they are only called by code that does not run.
  void stand_in_for_functions() {
    for (const jit::FunctionDesc*& function : functions_.kfuncs) {
      if (function == nullptr || function->function != nullptr) continue;
      function = &stand_ins_.emplace_back(*function);
      stand_ins_.back().function = [](uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                                      jit::RunContext*) { return uint64_t{0}; };
    }
  }

  jit::Object object_;
  jit::CallTable functions_;
  std::deque<jit::FunctionDesc> stand_ins_;
  testing::KernelObject kernel_;
  std::vector<jit::BoundMap> bound_;
  std::vector<std::vector<std::byte>> values_;
  jit::Binding binding_;
};

}  // namespace

std::vector<Work> load_works(const std::string& bpf_directory) {
  std::vector<Work> works;
  for (const std::string name : kObjects) {
    const std::string path = fmt::format("{}/bench_{}.bpf.o", bpf_directory, name);
    works.push_back({"prog.load." + name, "both programs verified and compiled", "ns/object",
                     "lower", "PROG_LOAD", [=]() -> Result<Pair> {
                       auto loaded = Loaded::make(path);
                       if (!loaded) return std::unexpected(loaded.error());
                       return Pair{[l = *loaded] { return l->ours(); },
                                   [l = *loaded] { return l->kernel(); }};
                     }});
  }
  return works;
}

}  // namespace uarena::bench
