// Loading is all or nothing, running is what the caller sees of it, and unloading lets go of what
// the object held.
#include "broker/program_registry.h"

#include <gtest/gtest.h>

#include <thread>

#include "jit/engine.h"
#include "tests/bpf/contexts.h"
#include "tests/support/bpf_objects.h"

namespace uarena::broker {
namespace {

using testing::read_bpf_object;

class ProgramRegistryTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { ASSERT_TRUE(jit::install_fault_handler()); }

  std::expected<LoadOutcome, LoadFailure> load(const std::string& name, LoadRequest request = {}) {
    request.object_name = name;
    return programs_.load(read_bpf_object(name), request, account_);
  }
  template <typename Context>
  Result<RunResult> run(const LoadOutcome& loaded, std::string_view name, Context& context,
                        uint32_t repeat = 1) {
    for (const auto& program : loaded.programs)
      if (program->name == name)
        return run_program(*program, std::as_writable_bytes(std::span(&context, 1)), repeat,
                           never_);
    return fail(ENOENT, "no program {}", name);
  }

  Account account_{1000};
  ArenaRegistry arenas_;
  ProgramRegistry programs_{arenas_};
  std::atomic<bool> never_{false};
};

TEST_F(ProgramRegistryTest, LoadsRunsAndLetsGo) {
  auto loaded = load("list");
  ASSERT_TRUE(loaded) << loaded.error().error.message;
  ASSERT_TRUE(loaded->object->arena);
  EXPECT_EQ(loaded->object->arena->name(), "arena");
  EXPECT_EQ(arenas_.standing(loaded->object->arena->id()).programs, loaded->programs.size());
  EXPECT_EQ(account_.used(Resource::programs), loaded->programs.size());
  EXPECT_EQ(programs_.list(0).size(), loaded->programs.size());
  const uint64_t arena = loaded->object->arena->id();
  EXPECT_EQ(arenas_.remove(arena).error().code, EBUSY);
  std::vector<uint64_t> ids;
  for (const auto& program : loaded->programs) ids.push_back(program->id);
  *loaded = LoadOutcome{};
  for (uint64_t id : ids) EXPECT_TRUE(programs_.unload(id));
  EXPECT_FALSE(programs_.unload(ids[0]));
  EXPECT_EQ(account_.used(Resource::programs), 0u);
  EXPECT_TRUE(arenas_.remove(arena));
}

// Root and the broker's own uid are trusted with the constants of their code, others are not.
TEST_F(ProgramRegistryTest, BlindsTheConstantsOfOthers) {
  const auto code_bytes = [](uint32_t uid) {
    Account account{uid};
    ArenaRegistry arenas;
    ProgramRegistry programs{arenas};
    LoadRequest request;
    request.object_name = "list.bpf.o";
    auto loaded = programs.load(read_bpf_object("list"), request, account);
    EXPECT_TRUE(loaded);
    return loaded->programs[0]->executable->code_bytes();
  };
  EXPECT_EQ(code_bytes(0), code_bytes(::geteuid()));
  EXPECT_LT(code_bytes(0), code_bytes(::geteuid() + 1000));
}

// Who dies with the globals half installed must not be repeated: their pages are taken by then.
TEST_F(ProgramRegistryTest, NothingIsChangedBeforeTheCommit) {
  ArenaAttr attr;
  attr.max_entries = TEST_PAGES;
  attr.map_flags = kBpfFMmapable;
  auto arena = arenas_.create("arena", attr, account_);
  ASSERT_TRUE(arena);
  uint32_t pages = 1, calls = 0;
  LoadRequest request;
  request.arena_id = (*arena)->id();
  request.before_commit = [&] {
    ++calls;
    pages = (*arena)->counts().pages_allocated;
    EXPECT_TRUE(programs_.list(0).empty());
  };
  ASSERT_TRUE(load("globals", request));
  EXPECT_EQ(calls, 1u);
  EXPECT_EQ(pages, 0u);
  EXPECT_EQ((*arena)->counts().pages_allocated, 1u);
  EXPECT_FALSE(load("refused_no_program", request));
  EXPECT_EQ(calls, 1u) << "nothing was committed";
}

TEST_F(ProgramRegistryTest, CompiledAndInterpretedAgree) {
  std::vector<uint64_t> results;
  for (jit::Mode mode : {jit::Mode::compile, jit::Mode::interpret}) {
    LoadRequest request;
    request.mode = mode;
    ArenaAttr attr;
    attr.max_entries = TEST_PAGES;
    attr.map_flags = kBpfFMmapable;
    auto arena = arenas_.create(mode == jit::Mode::compile ? "one" : "two", attr, account_);
    ASSERT_TRUE(arena);
    request.arena_id = (*arena)->id();
    auto loaded = load("kfuncs", request);
    ASSERT_TRUE(loaded) << loaded.error().error.message;
    kfunc_ctx context{};
    context.cnt = 3;
    context.node = -1;
    ASSERT_TRUE(run(*loaded, "alloc_pages", context));
    results.push_back(context.result - (*arena)->user_vm_start());
    EXPECT_EQ((*arena)->counts().pages_allocated, 3u);
    context.addr = context.result;
    context.flags = 4711;
    ASSERT_TRUE(run(*loaded, "poke", context));
    context.flags = context.result = 0;
    ASSERT_TRUE(run(*loaded, "peek", context));
    EXPECT_EQ(context.result, 4711u);
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST_F(ProgramRegistryTest, ARejectedObjectLeavesNothing) {
  for (const char* name : {"refused_no_program", "refused_two_arenas"}) {
    auto loaded = load(name);
    ASSERT_FALSE(loaded) << name;
    EXPECT_EQ(loaded.error().error.why, Why::rejected) << name;
  }
  // The arena of this one had been made when the verifier said no.
  auto late = load("kfuncs_wrong_map");
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().error.why, Why::rejected);
  EXPECT_EQ(arenas_.size(), 0u);
  EXPECT_EQ(programs_.size(), 0u);
  EXPECT_EQ(account_.used(Resource::programs), 0u);
  EXPECT_EQ(account_.used(Resource::arenas), 0u);
  const std::byte junk[] = {std::byte{1}, std::byte{2}};
  EXPECT_FALSE(programs_.load(junk, {}, account_));
}

TEST_F(ProgramRegistryTest, ArenaOfTheSameNameAsksForASharedOne) {
  auto first = load("list");
  ASSERT_TRUE(first);
  auto second = load("list");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().error.code, EEXIST);
  EXPECT_NE(second.error().error.message.find("--arena"), std::string::npos);
  LoadRequest shared;
  shared.arena_id = first->object->arena->id();
  EXPECT_TRUE(load("list", shared));
  shared.arena_id = 12345;
  EXPECT_EQ(load("list", shared).error().error.why, Why::not_found);
}

// Globals go to the arena's start, and into a shared arena only where nobody has been (K83).
TEST_F(ProgramRegistryTest, ArenaGlobalsAreInstalledOnce) {
  auto first = load("globals");
  ASSERT_TRUE(first) << first.error().error.message;
  globals_ctx context{};
  ASSERT_TRUE(run(*first, first->programs[0]->name, context));
  const uint64_t initial = context.arena;
  globals_ctx changed{};
  ASSERT_TRUE(run(*first, first->programs[0]->name, changed));
  EXPECT_NE(changed.arena, initial);  // the program changes them
  LoadRequest shared;
  shared.arena_id = first->object->arena->id();
  auto second = load("globals", shared);
  ASSERT_TRUE(second);
  EXPECT_NE(second->log.find("left as it is"), std::string::npos) << second->log;
  globals_ctx seen{};
  ASSERT_TRUE(run(*second, second->programs[0]->name, seen));
  EXPECT_NE(seen.arena, initial);      // shared with the first
  EXPECT_EQ(seen.data, context.data);  // its own, as at the first run
}

TEST_F(ProgramRegistryTest, RunChecksItsContextAndItsRepetitions) {
  auto loaded = load("kfuncs");
  ASSERT_TRUE(loaded);
  const auto& program = *loaded->programs[0];
  std::vector<std::byte> small(program.ctx_size - 1);
  auto refused = run_program(program, small, 1, never_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EINVAL);
  kfunc_ctx context{};
  auto repeated = run(*loaded, "free_pages", context, 1000);
  ASSERT_TRUE(repeated);
  EXPECT_EQ(repeated->repeat, 1000u);
  EXPECT_EQ(run(*loaded, "free_pages", context, 0)->repeat, 1u);
  std::atomic<bool> gone{true};
  std::vector<std::byte> bytes(sizeof(context));
  EXPECT_EQ(run_program(program, bytes, 1000, gone).error().code, ECANCELED);
}

TEST_F(ProgramRegistryTest, UnloadedWhileItRunsElsewhereEndsItsRun) {
  auto loaded = load("may_goto");
  ASSERT_TRUE(loaded) << loaded.error().error.message;
  std::shared_ptr<const Program> program = loaded->programs[0];
  std::weak_ptr<const Program> watched = program;
  const uint64_t id = program->id;
  std::atomic<bool> done{false};
  std::thread runner([&, held = std::move(program)]() mutable {
    loop_ctx context{};
    EXPECT_TRUE(run_program(*held, std::as_writable_bytes(std::span(&context, 1)), 1, never_));
    EXPECT_GT(context.turns, 0u);
    done = true;
    held.reset();
  });
  *loaded = LoadOutcome{};
  EXPECT_TRUE(programs_.unload(id));
  EXPECT_EQ(programs_.find(id), nullptr);
  runner.join();
  EXPECT_TRUE(done);
  EXPECT_TRUE(watched.expired());
}

}  // namespace
}  // namespace uarena::broker
