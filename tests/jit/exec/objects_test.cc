// Objects that clang made, through the whole room: load, verify, fix up, then run the same sequence
// of programs in two worlds, one interpreted and one compiled. Results, contexts, map values, arena
// bytes and fault counts must agree. What the results should be is held against the live kernel
// elsewhere (tests/parity); here the two executors are each other's witness.
#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "jit/catalogue.h"
#include "jit/engine.h"
#include "jit/fault_safe.h"
#include "tests/bpf/contexts.h"
#include "tests/jit/exec/program_builder.h"
#include "tests/jit/exec/test_arena.h"

namespace uarena::jit {
namespace {

constexpr uint64_t kUserVmStart = 0x7e9300000000;

// An arena for one run: pages are handed out from the bottom and are present by mprotect.
class Pages {
 public:
  Pages() {
    reservation_ =
        *MemoryMap::create(nullptr, kMaxArenaSize + kGuardSize, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, "test arena");
    view_ = {reservation_.address() + kGuardSize / 2, kUserVmStart, TEST_PAGES * kPageSize, false};
  }

  const ArenaView& view() const { return view_; }
  uint64_t allocate(uint64_t count) {
    if (count == 0 || next_ + count > TEST_PAGES) return 0;
    const uint64_t page = next_;
    next_ += count;
    EXPECT_EQ(::mprotect(at(page), count * kPageSize, PROT_READ | PROT_WRITE), 0);
    return kUserVmStart + page * kPageSize;
  }
  void free(uint64_t ptr, uint64_t count) {
    std::byte* first = at(static_cast<uint32_t>(ptr) / kPageSize);
    ::madvise(first, count * kPageSize, MADV_DONTNEED);
    ::mprotect(first, count * kPageSize, PROT_NONE);
  }
  // All bytes up to the last page that was ever allocated; absent ones are left out.
  std::vector<std::byte> bytes() const {
    std::vector<std::byte> all(next_ * kPageSize);
    for (uint64_t page = 0; page < next_; ++page) {
      copy_from_arena(&all[page * kPageSize], view_, page * kPageSize, kPageSize);
    }
    return all;
  }
  void write(std::span<const std::byte> initial) {
    if (initial.empty()) return;
    const uint64_t ptr = allocate(round_up_to_page(initial.size()) / kPageSize);
    EXPECT_EQ(copy_to_arena(view_, ptr, initial.data(), initial.size()), initial.size());
  }

 private:
  std::byte* at(uint64_t page) const {
    return reinterpret_cast<std::byte*>(view_.kern_vm_start + page * kPageSize);
  }
  MemoryMap reservation_;
  ArenaView view_;
  uint64_t next_ = 0;
};

Pages& pages_of(uint64_t map) {
  return *static_cast<Pages*>(reinterpret_cast<const BoundMap*>(map)->owner);
}
uint64_t alloc_pages(uint64_t map, uint64_t, uint64_t count, uint64_t, uint64_t, RunContext*) {
  return pages_of(map).allocate(static_cast<uint32_t>(count));
}
uint64_t free_pages(uint64_t map, uint64_t ptr, uint64_t count, uint64_t, uint64_t, RunContext*) {
  pages_of(map).free(ptr, static_cast<uint32_t>(count));
  return 0;
}
uint64_t reserve_pages(uint64_t map, uint64_t, uint64_t count, uint64_t, uint64_t, RunContext*) {
  return pages_of(map).allocate(static_cast<uint32_t>(count)) != 0 ? 0 : ~uint64_t{0};
}

FunctionDesc row(std::string_view name, HelperFn function) {
  FunctionDesc desc = *find_kfunc(name);
  desc.function = function;
  return desc;
}
const FunctionDesc kKfuncs[] = {row("bpf_arena_alloc_pages", alloc_pages),
                                row("bpf_arena_free_pages", free_pages),
                                row("bpf_arena_reserve_pages", reserve_pages)};

// One object with its maps, arena and programs.
class World {
 public:
  World(const Object& object, Mode mode) {
    for (const KfuncRef& wanted : object.kfuncs) {
      const auto found = std::ranges::find(kKfuncs, wanted.name, &FunctionDesc::name);
      functions_.kfuncs.push_back(found != std::end(kKfuncs) ? &*found : nullptr);
    }
    for (const MapDef& def : object.maps) bind(def);
    for (size_t n = 0; n < object.programs.size(); ++n) make(object, n, mode);
  }

  Outcome run(const std::string& name, std::span<std::byte> ctx) const {
    for (const auto& [program, runnable] : programs_) {
      if (program == name) return run_once(*runnable, ctx, &arena_.view());
    }
    ADD_FAILURE() << "no program " << name;
    return {};
  }
  std::vector<std::vector<std::byte>> memory() const {
    std::vector<std::vector<std::byte>> all(values_.begin(), values_.end());
    all.push_back(arena_.bytes());
    return all;
  }
  const Executable& first() const { return *programs_.front().second; }

 private:
  void bind(const MapDef& def) {
    BoundMap& map = maps_.emplace_back();
    map.kind = def.kind;
    map.name = def.name;
    map.value_size = def.value_size;
    map.max_entries = def.max_entries;
    map.read_only = def.kind == MapKind::rodata;
    if (def.kind == MapKind::arena) {
      map.owner = &arena_;
      arena_.write(def.initial);
    } else {
      auto& value = values_.emplace_back(size_t{def.value_size} * std::max(def.max_entries, 1U));
      std::ranges::copy(def.initial, value.begin());
      map.value = value.data();
    }
    binding_.maps.push_back(&map);
  }

  void make(const Object& object, size_t index, Mode mode) {
    const VerifierInput input{.object = &object,
                              .program = index,
                              .functions = &functions_,
                              .user_vm_start = kUserVmStart,
                              .arena_size = object.arena ? arena_.view().size : 0};
    auto verified = verify(input);
    ASSERT_TRUE(verified) << verified.error().error.message << "\n" << verified.error().log;
    binding_.functions = &functions_;
    if (object.arena) binding_.arena = arena_.view();
    programs_.emplace_back(object.programs[index].name,
                           executable(fix_up(*verified, binding_), mode));
  }

  Pages arena_;
  CallTable functions_;
  std::deque<BoundMap> maps_;  // bound maps don't move
  std::deque<std::vector<std::byte>> values_;
  Binding binding_;
  std::vector<std::pair<std::string, std::unique_ptr<Executable>>> programs_;
};

Object load(const std::string& name) {
  std::ifstream file(std::string(UARENA_BPF_DIR) + "/" + name + ".bpf.o", std::ios::binary);
  EXPECT_TRUE(file.good()) << name;
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  auto object = load_object(std::as_bytes(std::span(text)));
  EXPECT_TRUE(object) << object.error().message;
  return std::move(*object);
}

class Objects : public testing::Test {
 protected:
  void open(const std::string& name) {
    ASSERT_TRUE(install_fault_handler());
    const Object object = load(name);
    interpreted_ = std::make_unique<World>(object, Mode::interpret);
    compiled_ = std::make_unique<World>(object, Mode::compile);
  }

  // Runs it in both worlds and gives the context afterwards.
  template <typename Context>
  Context run(const std::string& program, Context context, Outcome* outcome = nullptr) {
    SCOPED_TRACE(program);
    Context other = context;
    const Outcome expected =
        interpreted_->run(program, std::as_writable_bytes(std::span(&context, 1)));
    const Outcome got = compiled_->run(program, std::as_writable_bytes(std::span(&other, 1)));
    EXPECT_EQ(got, expected);
    EXPECT_EQ(std::memcmp(&context, &other, sizeof context), 0);
    EXPECT_EQ(compiled_->memory(), interpreted_->memory());
    if (outcome != nullptr) *outcome = got;
    return other;
  }

  std::unique_ptr<World> interpreted_;
  std::unique_ptr<World> compiled_;
};

TEST_F(Objects, List) {
  open("list");
  run("build", count_ctx{1000, 0, 0});
  const auto walked = run("walk", count_ctx{});
  EXPECT_EQ(walked.found, 1000U);
  EXPECT_EQ(walked.sum, 500500U);
}

TEST_F(Objects, HashTable) {
  open("htab");
  run("insert", count_ctx{2000, 0, 0});
  const auto found = run("lookup", count_ctx{3000, 0, 0});
  EXPECT_EQ(found.found, 2000U);
  EXPECT_EQ(found.sum, 7U * 2000 * 2001 / 2);
}

TEST_F(Objects, AtomicsInBothWidths) {
  open("atomics");
  EXPECT_EQ(run("atomics64", atomic_ctx{}).memory[5], 77U);
  EXPECT_EQ(run("atomics32", atomic_ctx{}).memory[5], 0x10000004dU);
}

TEST_F(Objects, AcquireAndRelease) {
  open("acquire_release");
  const auto done = run("acquire_release", acquire_ctx{});
  EXPECT_EQ(done.loaded[2], 0xffffffffU);
  EXPECT_EQ(done.stored[1], 0x7788U);
}

TEST_F(Objects, SignExtension) {
  open("sign_extend");
  const auto done = run("sign_extend", extend_ctx{});
  EXPECT_EQ(done.s16, -1);
  EXPECT_EQ(done.u32, 0xffffffffU);
  EXPECT_EQ(done.positive, 0x7f);
}

TEST_F(Objects, Casts) {
  open("casts");
  const auto done = run("cast", cast_ctx{0x123456789abcdef0, 0, 0});
  EXPECT_EQ(done.kern, 0x9abcdef0U);
  EXPECT_EQ(done.user, 0x7e939abcdef0U);
}

TEST_F(Objects, AbsentPages) {
  open("absent");
  absent_ctx context;
  std::memset(&context, 0xee, sizeof context);
  context.addr = kUserVmStart + 5 * kPageSize;
  Outcome outcome;
  const auto loaded = run("loads", context, &outcome);
  EXPECT_GE(outcome.faults, 7U);
  for (const uint64_t value : loaded.loads) EXPECT_EQ(value, 0U);
  EXPECT_EQ(run("stores", context).after_store, 0U);
  const auto atomics = run("atomics", context);
  EXPECT_EQ(atomics.fetch_add, 0U);  // K51, as of 7.2
  EXPECT_EQ(atomics.xchg, 0U);
  EXPECT_EQ(atomics.cmpxchg, 0U);
  EXPECT_EQ(atomics.acquire, 0U);
  EXPECT_EQ(atomics.done, 1U);
}

TEST_F(Objects, CallsAndFrames) {
  open("calls");
  const auto done = run("calls", calls_ctx{.n = 10});
  EXPECT_EQ(done.by_static, 55U);
  EXPECT_EQ(done.scalar, 100U);
}

TEST_F(Objects, GlobalsOfEverySection) {
  open("globals");
  const auto first = run("globals", globals_ctx{});
  EXPECT_EQ(first.custom, 55U);
  run("globals", globals_ctx{});
}

TEST_F(Objects, PagesByKfunc) {
  open("kfuncs");
  const auto got = run("alloc_pages", kfunc_ctx{0, 2, -1, 0, 0});
  EXPECT_EQ(got.result & ~uint64_t{0xffffffff}, kUserVmStart);
  run("poke", kfunc_ctx{got.result, 0, 0, 0x1122334455667788, 0});
  EXPECT_EQ(run("peek", kfunc_ctx{got.result, 0, 0, 0, 0}).result, 0x1122334455667788U);
  run("free_pages", kfunc_ctx{got.result, 2, 0, 0, 0});
  Outcome outcome;
  EXPECT_EQ(run("peek", kfunc_ctx{got.result, 0, 0, 0, 0}, &outcome).result, 0U);
  EXPECT_EQ(outcome.faults, 1U);
}

// What the kernel refuses for its length runs as it was written.
TEST_F(Objects, LongLoops) {
  open("long_loops");
  EXPECT_EQ(run("search", count_ctx{}).found, 60000U - 8);  // all of it is zero
  const auto listed = run("skip_list", count_ctx{});
  EXPECT_EQ(listed.found, 100U);
  EXPECT_GT(listed.sum, 0U);
}

TEST_F(Objects, DumpsNameTheSource) {
  open("list");
  EXPECT_NE(compiled_->first().dump_xlated().find("list.bpf.c:"), std::string::npos);
  EXPECT_NE(compiled_->first().dump_jited().find("list.bpf.c:"), std::string::npos);
  EXPECT_EQ(compiled_->first().dump_jited().find("(bad)"), std::string::npos);
}

}  // namespace
}  // namespace uarena::jit
