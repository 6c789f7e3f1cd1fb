// Damaged objects must give an error or a valid Object, whatever the damage. Real objects are
// changed at thousands of seeded places; the image ends at an inaccessible page, so that a read
// past it is a crash even inside libelf and libbpf, which no sanitizer sees.
#include <elf.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <stdexcept>

#include "ipc/base/memory_map.h"
#include "ipc/base/page.h"
#include "tests/jit/loader/object_image.h"

namespace uarena::jit {
namespace {

constexpr int kMutationsPerCase = 2000;

// A copy of some bytes whose end is the end of accessible memory.
class GuardedCopy {
 public:
  explicit GuardedCopy(size_t capacity) : room_(round_up_to_page(capacity)) {
    auto map = MemoryMap::create(nullptr, room_ + kPageSize, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, "an object and its guard");
    if (!map) throw std::runtime_error(map.error().message);
    map_ = std::move(*map);
    if (::mprotect(map_.data() + room_, kPageSize, PROT_NONE) != 0)
      throw std::runtime_error("mprotect");
  }
  std::span<std::byte> hold(std::span<const std::byte> bytes) {
    std::byte* at = map_.data() + room_ - bytes.size();
    std::ranges::copy(bytes, at);
    return {at, bytes.size()};
  }

 private:
  size_t room_;
  MemoryMap map_;
};

// What everybody behind the loader relies on.
void expect_valid(const Object& object) {
  ASSERT_FALSE(object.programs.empty());
  if (object.arena) {
    ASSERT_LT(*object.arena, object.maps.size());
    ASSERT_EQ(object.maps[*object.arena].kind, MapKind::arena);
  }
  for (const ProgramDef& program : object.programs) {
    uint32_t at = 0;
    for (const Subprog& subprog : program.subprogs) {
      ASSERT_EQ(subprog.start, at);
      ASSERT_GT(subprog.count, 0u);
      at += subprog.count;
    }
    ASSERT_EQ(at, program.insns.size());
    ASSERT_TRUE(std::ranges::is_sorted(program.lines, {}, &LineInfo::insn));
    for (const LineInfo& line : program.lines) ASSERT_LT(line.insn, program.insns.size());
    for (size_t i = 0; i < program.insns.size(); i++) {
      const Insn& insn = program.insns[i];
      const auto imm = static_cast<uint32_t>(insn.imm);
      if (is_kfunc_call(insn)) {
        ASSERT_LT(imm, object.kfuncs.size());
      }
      if (is_pseudo_call(insn)) {
        const auto target = static_cast<int64_t>(i) + 1 + insn.imm;
        ASSERT_TRUE(std::ranges::any_of(program.subprogs,
                                        [&](const Subprog& s) { return s.start == target; }));
      }
      if (!is_ld_imm64(insn)) continue;
      ASSERT_LT(i + 1, program.insns.size());
      if (insn.src == kPseudoFunc) {
        const auto target = static_cast<int64_t>(i) + 1 + insn.imm;
        ASSERT_TRUE(std::ranges::any_of(program.subprogs,
                                        [&](const Subprog& s) { return s.start == target; }));
        i++;
        continue;
      }
      ASSERT_LE(insn.src, kPseudoMapValue);
      if (insn.src != 0) {
        ASSERT_LT(imm, object.maps.size());
      }
      if (insn.src == kPseudoMapValue) {
        const MapDef& map = object.maps[imm];
        const uint64_t limit = map.kind == MapKind::arena ? uint64_t{map.max_entries} * kPageSize
                                                          : uint64_t{map.value_size};
        ASSERT_LT(static_cast<uint32_t>(program.insns[i + 1].imm), limit);
      }
      i++;
    }
  }
}

// Where damage is worth most: everything that the loader reads, not the debug information.
std::vector<std::pair<size_t, size_t>> interesting(const ObjectImage& image, size_t size) {
  const auto header = image.get<Elf64_Ehdr>(0);
  std::vector<std::pair<size_t, size_t>> ranges = {{0, sizeof header}, {header.e_shoff, size}};
  for (const ElfSection& section : image.elf().sections)
    if (!section.bytes.empty() && section.name.find("debug") == std::string_view::npos) {
      const size_t at = image.offset_of(section.name);
      ranges.emplace_back(at, at + section.size);
    }
  return ranges;
}

class Corruption : public ::testing::TestWithParam<std::tuple<const char*, int>> {};

TEST_P(Corruption, NeverCrashes) {
  const auto [name, seed] = GetParam();
  ObjectImage image(name);
  const std::vector<std::byte> intact = image.bytes();
  const auto ranges = interesting(image, intact.size());
  GuardedCopy copy(intact.size());
  std::mt19937 random(static_cast<unsigned>(seed));
  const auto below = [&](size_t n) { return random() % n; };
  constexpr std::array<uint32_t, 8> kEdges = {0, 1, 7, 0x7f, 0xffff, 0x7fffffff, 0x80000000, ~0u};
  int refused = 0;
  for (int i = 0; i < kMutationsPerCase; i++) {
    std::span<std::byte> bytes = copy.hold(intact);
    if (below(16) == 0) bytes = copy.hold(std::span(intact).first(below(intact.size())));
    for (size_t changes = 1 + below(3); changes > 0 && bytes.size() > 4; changes--) {
      const auto [from, to] = ranges[below(ranges.size())];
      const size_t at = std::min(from + below(to - from), bytes.size() - 4);
      if (below(2) == 0) {
        bytes[at] ^= static_cast<std::byte>(1u << below(8));
      } else {
        const uint32_t edge = kEdges[below(kEdges.size())];
        std::memcpy(bytes.data() + at, &edge, below(2) == 0 ? 1 : 4);
      }
    }
    const auto object = load_object(bytes);
    if (object) {
      ASSERT_NO_FATAL_FAILURE(expect_valid(*object)) << name << ", mutation " << i;
    } else {
      refused++;
      ASSERT_FALSE(object.error().message.empty());
      ASSERT_EQ(object.error().message.find('\n'), std::string::npos) << object.error().message;
      ASSERT_LT(object.error().message.size(), 8192u);
    }
  }
  // Otherwise the damage was not worth the name.
  EXPECT_GT(refused, kMutationsPerCase / 10);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Corruption,
                         ::testing::Combine(::testing::Values("loader_features", "globals"),
                                            ::testing::Range(1, 6)),
                         [](const auto& named) {
                           return std::string(std::get<0>(named.param)) + "_" +
                                  std::to_string(std::get<1>(named.param));
                         });

// Every length of a file that is cut off.
TEST(Truncation, EveryLength) {
  const auto intact = testing::read_bpf_object("loader_features");
  GuardedCopy copy(intact.size());
  for (size_t length = 0; length < intact.size(); length++)
    ASSERT_FALSE(load_object(copy.hold(std::span(intact).first(length))).has_value()) << length;
  EXPECT_TRUE(load_object(copy.hold(intact)).has_value());
}

}  // namespace
}  // namespace uarena::jit
