// What load_object reads from the object's types: kinds and limits of maps, locks and timers inside
// values, parameters of global functions, and the addresses of functions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>

#include <algorithm>
#include <tuple>

#include "jit/kernel_config.h"
#include "jit/loader/map_limits.h"
#include "jit/object.h"
#include "tests/support/bpf_objects.h"
#include "tests/support/map_limit_rows.h"

namespace uarena::jit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::uarena::testing::load_bpf_object;

template <typename Items>
const auto& named(const Items& items, std::string_view name) {
  const auto found = std::ranges::find(items, name, [](const auto& item) { return item.name; });
  if (found == items.end()) throw std::runtime_error("nothing is called " + std::string(name));
  return *found;
}

using Place = std::tuple<MapField::Kind, uint32_t, uint32_t>;
std::vector<Place> fields(const Object& object, std::string_view map) {
  std::vector<Place> places;
  for (const MapField& field : named(object.maps, map).fields)
    places.emplace_back(field.kind, field.offset, field.size);
  return places;
}

TEST(MapKinds, AreThoseOfTheDeclaration) {
  const Object object = load_bpf_object("loader_maps");
  EXPECT_EQ(named(object.maps, "array").kind, MapKind::array);
  EXPECT_EQ(named(object.maps, "per_cpu").kind, MapKind::percpu_array);
  EXPECT_EQ(named(object.maps, "hash").kind, MapKind::hash);
  EXPECT_EQ(named(object.maps, "lru").kind, MapKind::lru_hash);
  EXPECT_EQ(named(object.maps, "ring").kind, MapKind::ringbuf);
  EXPECT_EQ(named(object.maps, "ring").max_entries, 8192u);
  EXPECT_EQ(named(object.maps, "queue").kind, MapKind::other);
  EXPECT_EQ(named(object.maps, "queue").type, BPF_MAP_TYPE_QUEUE);
}

TEST(MapFields, AreFoundByTheNamesOfTheirTypes) {
  const Object object = load_bpf_object("loader_maps");
  using K = MapField::Kind;
  EXPECT_THAT(fields(object, "array"),
              ElementsAre(Place{K::spin_lock, 8, 4}, Place{K::timer, 16, 16}));
  EXPECT_THAT(fields(object, "hash"), ElementsAre(Place{K::res_spin_lock, 20, 4}));
  EXPECT_THAT(fields(object, "lru"), ElementsAre(Place{K::timer, 0, 16}));
  EXPECT_THAT(fields(object, "per_cpu"), IsEmpty());
  EXPECT_THAT(fields(object, "queue"), IsEmpty());
  EXPECT_NE(named(object.maps, "array").value_type, 0u);
}

TEST(MapFields, OfSectionsOfVariables) {
  const Object object = load_bpf_object("loader_maps");
  const MapDef& a = named(object.maps, ".data.A");
  ASSERT_EQ(a.fields.size(), 1u);
  EXPECT_EQ(a.fields[0].kind, MapField::Kind::spin_lock);
  EXPECT_EQ(a.fields[0].size, 4u);
  EXPECT_LT(a.fields[0].offset, a.value_size);
  EXPECT_EQ(a.map_flags & BPF_F_MMAPABLE, 0u);
  EXPECT_NE(a.value_type, 0u);
  // A global variable's place comes from its symbol: before_b has the first eight bytes.
  EXPECT_THAT(fields(object, ".bss.B"), ElementsAre(Place{MapField::Kind::spin_lock, 8, 4}));
}

MapKind kind_of(uint32_t type) {
  switch (type) {
    case BPF_MAP_TYPE_ARRAY:
      return MapKind::array;
    case BPF_MAP_TYPE_PERCPU_ARRAY:
      return MapKind::percpu_array;
    case BPF_MAP_TYPE_HASH:
      return MapKind::hash;
    case BPF_MAP_TYPE_LRU_HASH:
      return MapKind::lru_hash;
    default:
      return MapKind::ringbuf;
  }
}

// tests/parity/map_limits_test holds the kernel against the same rows.
TEST(MapLimits, AreTheKernels) {
  for (const auto& row : testing::kMapLimitRows) {
    MapDef def;
    def.name = "row";
    def.kind = kind_of(row.type);
    def.key_size = row.key_size;
    def.value_size = row.value_size;
    def.max_entries = row.max_entries;
    def.map_flags = row.map_flags;
    const auto checked = check_map_limits(def);
    EXPECT_EQ(checked ? 0 : checked.error().code, row.answer)
        << "type " << row.type << ", key " << row.key_size << ", value " << row.value_size
        << ", entries " << row.max_entries << ", flags " << row.map_flags;
    if (!checked) {
      EXPECT_THAT(checked.error().message, HasSubstr("map 'row' "));
    }
  }
}

TEST(MapLimits, RingBuffersAreRoundedUp) {
  MapDef def;
  def.kind = MapKind::ringbuf;
  def.max_entries = 1;
  ASSERT_TRUE(check_map_limits(def).has_value());
  EXPECT_EQ(def.max_entries, 4096u);
  def.max_entries = 3 * 4096;
  ASSERT_TRUE(check_map_limits(def).has_value());
  EXPECT_EQ(def.max_entries, 4 * 4096u);
  def.max_entries = UINT32_MAX;
  EXPECT_EQ(check_map_limits(def).error().code, E2BIG);
}

std::vector<Param::Kind> kinds(const Object& object, std::string_view in,
                               std::string_view function) {
  std::vector<Param::Kind> all;
  for (const Param& param : named(named(object.programs, in).subprogs, function).params)
    all.push_back(param.kind);
  return all;
}

using P = Param::Kind;

TEST(Parameters, NumbersAndMemory) {
  const Object object = load_bpf_object("loader_functions");
  EXPECT_THAT(kinds(object, "in_syscall", "numbers"),
              ElementsAre(P::scalar, P::scalar, P::scalar, P::scalar, P::scalar));
  EXPECT_THAT(kinds(object, "in_syscall", "memory"),
              ElementsAre(P::memory_or_null, P::memory, P::memory_or_null));
  const Subprog& memory = named(named(object.programs, "in_syscall").subprogs, "memory");
  EXPECT_EQ(memory.params[0].size, 16u);
  EXPECT_EQ(memory.params[0].type, "pair_t *");
  EXPECT_EQ(memory.params[1].type, "struct pair *");
  EXPECT_EQ(memory.params[2].size, 100u);
  EXPECT_THAT(kinds(object, "in_syscall", "other_tag"), ElementsAre(P::memory_or_null));
}

TEST(Parameters, Tags) {
  const Object object = load_bpf_object("loader_functions");
  EXPECT_THAT(kinds(object, "in_syscall", "arena_tag"), ElementsAre(P::arena, P::arena));
  EXPECT_THAT(
      kinds(object, "in_syscall", "strange"),
      ElementsAre(P::unsupported, P::unsupported, P::unsupported, P::unsupported, P::unsupported));
  EXPECT_THAT(kinds(object, "in_syscall", "two_tags"), ElementsAre(P::unsupported, P::unsupported));
}

TEST(Parameters, TheContextIsAMatterOfTheProgram) {
  const Object object = load_bpf_object("loader_functions");
  EXPECT_THAT(kinds(object, "in_syscall", "ctx_tag"), ElementsAre(P::ctx));
  EXPECT_THAT(kinds(object, "in_tc", "ctx_tag"), ElementsAre(P::unsupported));
  EXPECT_THAT(kinds(object, "in_syscall", "skb"),
              ElementsAre(P::memory_or_null, P::memory_or_null));
  EXPECT_THAT(kinds(object, "in_tc", "skb"), ElementsAre(P::ctx, P::memory_or_null));
  EXPECT_THAT(kinds(object, "in_xdp", "skb"), ElementsAre(P::memory_or_null, P::ctx));
  EXPECT_THAT(kinds(object, "in_raw_tp", "words"), ElementsAre(P::ctx));
  EXPECT_THAT(kinds(object, "in_tc", "words"), ElementsAre(P::unsupported));
}

TEST(Parameters, Results) {
  const Object object = load_bpf_object("loader_functions");
  const auto& functions = named(object.programs, "in_syscall").subprogs;
  EXPECT_TRUE(named(functions, "numbers").returns_scalar);
  EXPECT_FALSE(named(functions, "no_result").returns_scalar);
  EXPECT_FALSE(named(functions, "pointer_result").returns_scalar);
  EXPECT_THAT(named(functions, "local").params, IsEmpty());  // only of global functions
}

TEST(KernelConfig, IsAReadOnlyMap) {
  const Object object = load_bpf_object("kconfig");
  const MapDef& map = named(object.maps, ".kconfig");
  EXPECT_EQ(map.kind, MapKind::kconfig);
  ASSERT_EQ(map.initial.size(), map.value_size);
  std::vector<uint64_t> values;  // in the order of the instructions
  const auto& insns = object.programs[0].insns;
  for (size_t i = 0; i + 2 < insns.size(); i++) {
    if (!is_ld_imm64(insns[i])) continue;
    ASSERT_EQ(insns[i].src, kPseudoMapValue);
    const auto at = static_cast<uint32_t>(insns[i + 1].imm);
    const auto load =
        std::ranges::find_if(insns.begin() + static_cast<ptrdiff_t>(i) + 2, insns.end(),
                             [](const Insn& insn) { return insn_class(insn.code) == kLdx; });
    uint64_t value = 0;
    std::memcpy(&value, map.initial.data() + at, access_bytes(load->code));
    values.push_back(value);
  }
  const uint64_t version = kernel_config("LINUX_KERNEL_VERSION")->number;
  const uint64_t cpus = kernel_config("CONFIG_NR_CPUS")->number;
  EXPECT_GT(version, 0x050000u);
  EXPECT_GT(cpus, 0u);
  EXPECT_THAT(values, ElementsAre(kJiffiesPerSecond, version, cpus, 1, 'y', 2, 0));
}

// The functions whose address is taken, in the order of the instructions.
std::vector<std::string> callbacks(const ProgramDef& def) {
  std::vector<std::string> names;
  for (size_t i = 0; i < def.insns.size(); i++) {
    if (!is_ld_imm64(def.insns[i])) continue;
    if (def.insns[i].src == kPseudoFunc) {
      EXPECT_EQ(def.insns[i + 1].imm, 0);
      const auto target = static_cast<int64_t>(i) + 1 + def.insns[i].imm;
      const auto found = std::ranges::find(def.subprogs, target, &Subprog::start);
      names.push_back(found == def.subprogs.end() ? "(nothing)" : found->name);
    }
    i++;
  }
  return names;
}

TEST(FunctionAddresses, AreDistancesInsideTheProgram) {
  const Object object = load_bpf_object("loader_functions");
  EXPECT_THAT(callbacks(named(object.programs, "in_syscall")),
              ElementsAre("callback", "callback_too"));
  EXPECT_THAT(callbacks(named(object.programs, "in_socket")), ElementsAre("neighbour"));
  EXPECT_THAT(callbacks(named(object.programs, "in_tc")), IsEmpty());
}

}  // namespace
}  // namespace uarena::jit
