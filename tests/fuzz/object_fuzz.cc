// Damaged objects through the loader, and what the loader lets through, through the verifier: an
// error or a verdict, in bounded time and memory, and never anything else.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "ipc/base/page.h"
#include "jit/object.h"
#include "jit/program.h"
#include "jit/program_type.h"
#include "tests/fuzz/driver.h"
#include "tests/fuzz/object/mutate.h"
#include "tests/support/functions.h"

namespace uarena::fuzz {
namespace {

// A damaged object is seldom worth a long walk.
constexpr uint64_t kInsnLimit = 20'000;
constexpr std::chrono::seconds kVerifyLimit{2};
constexpr uint64_t kUserVmStart = 0x7e9000000000;

std::vector<std::byte> read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

class ObjectTarget final : public Target {
 public:
  ObjectTarget() {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(UARENA_BPF_DIR))
      if (entry.path().extension() == ".o") files.push_back(entry.path());
    std::ranges::sort(files);
    for (const auto& file : files) specimens_.emplace_back(read_file(file));
  }

  std::vector<std::byte> make(Random& random) override {
    return specimens_[random.pick(static_cast<unsigned>(specimens_.size()))].damaged(random);
  }

  std::string run(std::span<const std::byte> input, Progress& progress) override {
    const auto object = jit::load_object(input);
    if (!object) return check(object.error().message, "the loader");
    uint64_t insns = 0;
    const jit::CallTable functions = test::all_functions(*object);
    for (size_t n = 0; n < object->programs.size(); ++n) {
      jit::VerifierInput wanted;
      wanted.object = &*object;
      wanted.program = n;
      wanted.functions = &functions;
      wanted.user_vm_start = kUserVmStart;
      wanted.arena_size = object->arena ? object->maps[*object->arena].max_entries * kPageSize : 0;
      wanted.insn_limit = kInsnLimit;
      wanted.log_level = 1;
      wanted.deadline = std::chrono::steady_clock::now() + kVerifyLimit;
      std::string log;
      const auto verified = jit::verify(wanted, &log);
      if (verified)
        insns += verified->insns_processed();
      else if (auto wrong = check(verified.error().error.message, "the verifier"); !wrong.empty())
        return wrong;
    }
    progress.accepted(insns);
    return {};
  }

 private:
  // Messages go to terminals and logs.
  static std::string check(const std::string& message, const char* who) {
    if (message.empty()) return std::string(who) + " refuses without a word";
    for (const char c : message)
      if (static_cast<unsigned char>(c) < ' ' || c == '\x7f')
        return std::string(who) + " says something unprintable";
    return {};
  }

  std::vector<Specimen> specimens_;
};

}  // namespace
}  // namespace uarena::fuzz

int main(int argc, char** argv) {
  uarena::fuzz::ObjectTarget target;
  return uarena::fuzz::fuzz_main(argc, argv, "object", target);
}
