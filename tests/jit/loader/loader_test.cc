// What load_object makes of real objects: maps, sections of variables, references, calls, kernel
// functions, subprograms, source lines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>

#include <algorithm>

#include "ipc/base/page.h"
#include "jit/object.h"
#include "tests/support/bpf_objects.h"

namespace uarena::jit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::uarena::testing::load_bpf_object;

const ProgramDef& program(const Object& object, std::string_view name) {
  const auto found = std::ranges::find(object.programs, name, &ProgramDef::name);
  EXPECT_NE(found, object.programs.end()) << name;
  return found == object.programs.end() ? object.programs.front() : *found;
}

const MapDef& map(const Object& object, std::string_view name) {
  const auto found = std::ranges::find(object.maps, name, &MapDef::name);
  EXPECT_NE(found, object.maps.end()) << name;
  return found == object.maps.end() ? object.maps.front() : *found;
}

std::vector<std::string> subprogs(const ProgramDef& def) {
  std::vector<std::string> names;
  for (const Subprog& subprog : def.subprogs) names.push_back(subprog.name);
  return names;
}

// Name of the function that each pseudo call of the program lands on, in order of the calls.
std::vector<std::string> callees(const ProgramDef& def) {
  std::vector<std::string> names;
  for (size_t i = 0; i < def.insns.size(); i++) {
    if (is_ld_imm64(def.insns[i])) {
      i++;
    } else if (is_pseudo_call(def.insns[i])) {
      const auto target = static_cast<int64_t>(i) + 1 + def.insns[i].imm;
      const auto found = std::ranges::find(def.subprogs, target, &Subprog::start);
      names.push_back(found == def.subprogs.end() ? "(nothing)" : found->name);
    }
  }
  return names;
}

uint64_t word_of(const MapDef& def, size_t at) {
  uint64_t value = 0;
  EXPECT_LE(at + sizeof value, def.initial.size());
  std::memcpy(&value, def.initial.data() + at, sizeof value);
  return value;
}

TEST(Loader, DeclaredMaps) {
  const Object object = load_bpf_object("loader_features");
  const MapDef& arena = map(object, "arena");
  EXPECT_EQ(arena.kind, MapKind::arena);
  EXPECT_EQ(arena.type, kBpfMapTypeArena);
  EXPECT_EQ(arena.max_entries, 100u);
  EXPECT_EQ(arena.map_flags, kBpfFMmapable | kBpfFNoUserConv);
  EXPECT_EQ(arena.map_extra, 0x7e9500000000u);
  ASSERT_TRUE(object.arena.has_value());
  EXPECT_EQ(&object.maps[*object.arena], &arena);

  const MapDef& typed = map(object, "typed");
  EXPECT_EQ(typed.kind, MapKind::array);
  EXPECT_EQ(typed.key_size, 4u);
  EXPECT_EQ(typed.value_size, 32u);
  EXPECT_EQ(typed.max_entries, 7u);
  EXPECT_EQ(map(object, "sized").value_size, 24u);
}

TEST(Loader, SectionsOfVariables) {
  const Object object = load_bpf_object("globals");
  const MapDef& rodata = map(object, ".rodata");
  EXPECT_EQ(rodata.kind, MapKind::rodata);
  EXPECT_EQ(rodata.map_flags, BPF_F_MMAPABLE | BPF_F_RDONLY_PROG);
  EXPECT_EQ(rodata.max_entries, 1u);
  EXPECT_EQ(rodata.value_size, 40u);
  EXPECT_EQ(word_of(rodata, 0), 11u);
  const MapDef& bss = map(object, ".bss");
  EXPECT_EQ(bss.kind, MapKind::bss);
  EXPECT_EQ(bss.initial, std::vector<std::byte>(128));
  const MapDef& data = map(object, ".data");
  EXPECT_EQ(data.kind, MapKind::data);
  EXPECT_EQ(word_of(data, 0), 22u);
  EXPECT_EQ(word_of(data, 8), 5u);
  EXPECT_EQ(word_of(map(object, ".data.custom"), 0), 55u);
  const MapDef& arena = map(object, "arena");
  EXPECT_EQ(arena.initial.size(), 8u);
  EXPECT_EQ(word_of(arena, 0), 44u);
}

// K81: every reference is an index and an offset that exist.
TEST(Loader, ReferencesToVariables) {
  const Object object = load_bpf_object("globals");
  std::vector<std::pair<std::string, int>> seen;
  const auto& insns = program(object, "globals").insns;
  for (size_t i = 0; i < insns.size(); i++) {
    if (!is_ld_imm64(insns[i])) continue;
    ASSERT_EQ(insns[i].src, kPseudoMapValue);
    seen.emplace_back(object.maps[static_cast<size_t>(insns[i].imm)].name, insns[i + 1].imm);
    i++;
  }
  using Reference = std::pair<std::string, int>;
  EXPECT_THAT(seen, ::testing::IsSupersetOf({Reference{".rodata", 0}, Reference{".rodata", 8},
                                             Reference{".data", 0}, Reference{".data", 8},
                                             Reference{".bss", 0}, Reference{".data.custom", 0},
                                             Reference{"arena", 0}}));
}

TEST(Loader, ReferencesToMaps) {
  const Object object = load_bpf_object("loader_features");
  std::vector<std::string> seen;
  const auto& insns = program(object, "first_program").insns;
  for (size_t i = 0; i < insns.size(); i++) {
    if (!is_ld_imm64(insns[i])) continue;
    if (insns[i].src == kPseudoMapFd) {
      seen.push_back(object.maps[static_cast<size_t>(insns[i].imm)].name);
      EXPECT_EQ(insns[i + 1].imm, 0);
    }
    i++;
  }
  EXPECT_THAT(seen, ElementsAre("arena", "typed", "sized"));
}

TEST(Loader, FunctionsComeOncePerProgramInTheOrderOfTheirCalls) {
  const Object object = load_bpf_object("loader_features");
  const ProgramDef& first = program(object, "first_program");
  EXPECT_THAT(subprogs(first), ElementsAre("first_program", "neighbour", "global_function", "leaf",
                                           "hidden_function"));
  EXPECT_THAT(callees(first), ElementsAre("neighbour", "global_function", "leaf", "hidden_function",
                                          "leaf", "leaf"));
  EXPECT_THAT(subprogs(program(object, "optional_program")),
              ElementsAre("optional_program", "leaf"));
  EXPECT_THAT(callees(program(object, "optional_program")), ElementsAre("leaf"));
}

TEST(Loader, SubprogramsTileTheProgram) {
  const Object object = load_bpf_object("calls");
  for (const ProgramDef& def : object.programs) {
    uint32_t at = 0;
    for (const Subprog& subprog : def.subprogs) {
      EXPECT_EQ(subprog.start, at) << subprog.name;
      EXPECT_NE(subprog.btf_func_id, 0u) << subprog.name;
      at += subprog.count;
    }
    EXPECT_EQ(at, def.insns.size());
  }
}

TEST(Loader, Linkage) {
  const Object object = load_bpf_object("loader_features");
  const ProgramDef& first = program(object, "first_program");
  const auto global = [&](std::string_view name) {
    return std::ranges::find(first.subprogs, name, &Subprog::name)->global;
  };
  EXPECT_TRUE(global("first_program"));
  EXPECT_TRUE(global("global_function"));
  EXPECT_FALSE(global("leaf"));
  EXPECT_FALSE(global("hidden_function"));  // hidden is static to the verifier
  EXPECT_FALSE(global("neighbour"));
}

TEST(Loader, ProgramsAndTheirSections) {
  const Object object = load_bpf_object("loader_features");
  ASSERT_EQ(object.programs.size(), 3u);  // "neighbour" is static: not a program
  EXPECT_EQ(program(object, "first_program").section, "syscall");
  EXPECT_FALSE(program(object, "first_program").optional);
  EXPECT_EQ(program(object, "optional_program").section, "syscall");
  EXPECT_TRUE(program(object, "optional_program").optional);
  EXPECT_EQ(program(object, "other_section").section, "socket");
}

TEST(Loader, KernelFunctionsThatAreCalled) {
  const Object object = load_bpf_object("loader_features");
  // The one that only an unreached function calls is not there.
  ASSERT_EQ(object.kfuncs.size(), 1u);
  EXPECT_EQ(object.kfuncs[0].name, "bpf_arena_free_pages");
  EXPECT_TRUE(object.kfuncs[0].weak);

  const Object kfuncs = load_bpf_object("kfuncs");
  ASSERT_EQ(kfuncs.kfuncs.size(), 3u);
  const auto& insns = program(kfuncs, "reserve_pages").insns;
  const auto call = std::ranges::find_if(insns, is_kfunc_call);
  ASSERT_NE(call, insns.end());
  EXPECT_EQ(kfuncs.kfuncs[static_cast<size_t>(call->imm)].name, "bpf_arena_reserve_pages");
  EXPECT_EQ(call->off, 0);
}

TEST(Loader, LinesFollowTheFunctions) {
  const Object object = load_bpf_object("loader_features");
  const ProgramDef& first = program(object, "first_program");
  EXPECT_TRUE(std::ranges::is_sorted(first.lines, {}, &LineInfo::insn));
  for (const Subprog& subprog : first.subprogs) {
    const LineInfo* line = line_of(first, subprog.start);
    ASSERT_NE(line, nullptr) << subprog.name;
    EXPECT_EQ(line->insn, subprog.start);
    EXPECT_THAT(line->file, HasSubstr("loader_features.bpf.c"));
    EXPECT_GT(line->line, 0u);
  }
  const auto leaf = std::ranges::find(first.subprogs, "leaf", &Subprog::name);
  EXPECT_THAT(line_of(first, leaf->start + 2)->text, HasSubstr("counters[3] += x"));
  EXPECT_EQ(line_of(first, first.insns.size()), nullptr);
}

TEST(Loader, LineOfAFunctionWithoutLines) {
  ProgramDef def;
  def.insns.resize(4);
  def.subprogs = {{"with", 0, 2, true, 0}, {"without", 2, 2, false, 0}};
  def.lines = {{1, 10, 2, "f.c", "text"}};
  EXPECT_EQ(line_of(def, 0), nullptr);
  EXPECT_EQ(line_of(def, 1)->line, 10u);
  EXPECT_EQ(line_of(def, 2), nullptr);
}

TEST(Loader, LicenseAndTypes) {
  const Object object = load_bpf_object("demo");
  EXPECT_EQ(object.license, "Dual MIT/GPL");
  EXPECT_GT(object.btf.size(), 100u);
  EXPECT_EQ(load_bpf_object("segv").maps.size(), 1u);
}

TEST(Loader, ObjectWithoutMaps) {
  const Object object = load_bpf_object("may_goto");
  EXPECT_TRUE(object.maps.empty());
  EXPECT_FALSE(object.arena.has_value());
  EXPECT_TRUE(std::ranges::any_of(object.programs[0].insns, is_may_goto));
}

}  // namespace
}  // namespace uarena::jit
