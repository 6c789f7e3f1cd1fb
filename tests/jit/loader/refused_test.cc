// What load_object refuses, and in which words: objects that a compiler can make but nobody can
// run, files that are no BPF objects, and objects with one thing broken.
#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/btf.h>

#include <string>

#include "tests/jit/loader/object_image.h"

namespace uarena::jit {
namespace {

using ::testing::HasSubstr;

struct Refused {
  const char* object;
  int code;
  const char* message;
};

class RefusedObject : public ::testing::TestWithParam<Refused> {};

TEST_P(RefusedObject, SaysWhy) {
  const auto& want = GetParam();
  const auto object = load_object(testing::read_bpf_object(std::string("refused_") + want.object));
  ASSERT_FALSE(object.has_value());
  EXPECT_THAT(object.error().message, HasSubstr(want.message));
  EXPECT_EQ(object.error().code, want.code);
  EXPECT_EQ(object.error().why, Why::rejected);
  EXPECT_EQ(object.error().message.find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    All, RefusedObject,
    ::testing::Values(
        Refused{"arena_too_small", E2BIG, "8192 bytes, but arena 'arena' has only 4096"},
        Refused{"contradiction", EINVAL, "map 'map' says 4 bytes by 'value_size' and 8 elsewhere"},
        Refused{"core_relocation", ENOTSUP, "function 'program', instruction 0: a CO-RE"},
        Refused{"data_pointer", EINVAL, "'.data'+8 is initialised with an address ('target')"},
        Refused{"kconfig_type", EINVAL, "'CONFIG_SMP', a .kconfig value that is a yes or no"},
        Refused{"kconfig_unknown", EINVAL,
                "'CONFIG_OF_ANOTHER_WORLD', a .kconfig value that is not"},
        Refused{"kernel_symbol", EINVAL, "the address of 'some_variable'"},
        Refused{"other_map", EINVAL, "uses map 'queue' of type 22"},
        Refused{"two_locks", E2BIG, "the value of map 'map' has more than one bpf_spin_lock"},
        Refused{"array_of_locks", E2BIG, "has an array of 6 of 'locked'"},
        Refused{"both_locks", EINVAL, "has a bpf_spin_lock and a bpf_res_spin_lock"},
        Refused{"lock_per_cpu", EOPNOTSUPP, "the value of map 'map' has a lock, which only"},
        Refused{"lock_in_section", E2BIG, "section '.data.locks' has more than one bpf_spin_lock"},
        Refused{"no_arena", EINVAL, "no arena map is declared"},
        Refused{"no_program", EINVAL, "the object has no program"},
        Refused{"noop_cast", EINVAL, "addr_space_cast from address space 0 to 0"},
        Refused{"raw_kfunc", EINVAL, "calls a kernel function by number"},
        Refused{"raw_map", EINVAL, "ld_imm64 of kind 1 without a relocation"},
        Refused{"strange_section", EINVAL, "section 'mine' is not supported"},
        Refused{"two_arenas", EINVAL, "maps 'one' and 'two' are arenas"},
        Refused{"undefined_function", EINVAL, "calls 'nowhere', which is neither defined"},
        Refused{"unknown_attribute", EINVAL, "map 'map' has the attribute 'pinning'"}),
    [](const auto& named) { return named.param.object; });

std::string verdict_of(std::string_view text) {
  const auto object = load_object(std::as_bytes(std::span(text)));
  return object ? "accepted" : object.error().message;
}

TEST(RefusedFile, NotElf) {
  EXPECT_THAT(verdict_of(""), HasSubstr("not an ELF file"));
  EXPECT_THAT(verdict_of("#!/bin/sh\n"), HasSubstr("not an ELF file"));
  EXPECT_THAT(verdict_of(std::string(1000, 'x')), HasSubstr("not an ELF file"));
}

TEST(RefusedFile, TooLarge) {
  const std::vector<std::byte> bytes(kMaxObjectBytes + 1);
  const auto object = load_object(bytes);
  ASSERT_FALSE(object.has_value());
  EXPECT_EQ(object.error().code, EFBIG);
  EXPECT_THAT(object.error().message, HasSubstr("allowed are at most 67108864"));
}

TEST(RefusedFile, OtherKindsOfElf) {
  const auto with = [](auto change) {
    ObjectImage image("list");
    auto header = image.get<Elf64_Ehdr>(0);
    change(header);
    image.put(0, header);
    return image.verdict();
  };
  EXPECT_THAT(with([](auto& h) { h.e_machine = EM_X86_64; }), HasSubstr("for machine 62"));
  EXPECT_THAT(with([](auto& h) { h.e_ident[EI_CLASS] = ELFCLASS32; }), HasSubstr("64-bit"));
  EXPECT_THAT(with([](auto& h) { h.e_ident[EI_DATA] = ELFDATA2MSB; }), HasSubstr("big-endian"));
  EXPECT_THAT(with([](auto& h) { h.e_type = ET_EXEC; }), HasSubstr("relocatable"));
  EXPECT_THAT(with([](auto& h) { h.e_shoff = 1 << 30; }), HasSubstr("the section table"));
  EXPECT_THAT(with([](auto& h) { h.e_shnum = 0; }), HasSubstr("0 sections"));
  EXPECT_THAT(with([](auto& h) { h.e_shstrndx = 999; }), HasSubstr("section 999"));
}

// Changes the header of one section.
template <typename Change>
std::string with_section(const char* object, std::string_view name, Change change) {
  ObjectImage image(object);
  const auto header = image.get<Elf64_Ehdr>(0);
  const ElfSection* section = image.elf().find(name);
  if (section == nullptr) return "no such section";
  const size_t at = header.e_shoff + image.elf().index_of(*section) * sizeof(Elf64_Shdr);
  auto section_header = image.get<Elf64_Shdr>(at);
  change(section_header);
  image.put(at, section_header);
  return image.verdict();
}

TEST(RefusedFile, BrokenSections) {
  EXPECT_THAT(with_section("list", "syscall", [](auto& h) { h.sh_offset = 1 << 20; }),
              HasSubstr("does not lie inside the file"));
  EXPECT_THAT(with_section("list", "syscall", [](auto& h) { h.sh_size = uint64_t{1} << 40; }),
              HasSubstr("allowed are at most"));
  EXPECT_THAT(with_section("list", "syscall", [](auto& h) { h.sh_size -= 4; }),
              HasSubstr("does not lie inside section 'syscall'"));
  EXPECT_THAT(with_section("list", ".BTF", [](auto& h) { h.sh_name = 0; }),
              HasSubstr("compile with -g"));
  EXPECT_THAT(with_section("list", ".BTF", [](auto& h) { h.sh_name = 1 << 24; }),
              HasSubstr("has no name"));
  EXPECT_THAT(with_section("list", ".symtab", [](auto& h) { h.sh_type = SHT_NULL; }),
              HasSubstr("no symbol table"));
  EXPECT_THAT(with_section("list", ".relsyscall", [](auto& h) { h.sh_type = SHT_RELA; }),
              HasSubstr("form with addends"));
  EXPECT_THAT(with_section("list", ".relsyscall", [](auto& h) { h.sh_info = 4000; }),
              HasSubstr("is not there"));
  EXPECT_THAT(with_section("htab", ".bss", [](auto& h) { h.sh_size = uint64_t{64} << 20; }),
              HasSubstr("accepted"));  // large, but allowed
  EXPECT_THAT(with_section("list", "license", [](auto& h) { h.sh_size = 3; }),
              HasSubstr("does not lie inside section 'license'"));
}

TEST(RefusedFile, BrokenLicense) {
  ObjectImage image("list");
  const size_t length = std::string_view("Dual MIT/GPL").size();
  image.put<char>(image.offset_of("license") + length, '!');
  EXPECT_THAT(image.verdict(), HasSubstr("section 'license' is not a text"));
}

// Changes the first relocation of the code.
template <typename Change>
std::string with_reloc(Change change) {
  ObjectImage image("list");
  const size_t at = image.offset_of(".relsyscall");
  auto reloc = image.get<Elf64_Rel>(at);
  change(reloc);
  image.put(at, reloc);
  return image.verdict();
}

TEST(RefusedFile, BrokenRelocations) {
  EXPECT_THAT(with_reloc([](auto& r) { r.r_info = ELF64_R_INFO(4000, 1); }),
              HasSubstr("names symbol 4000"));
  EXPECT_THAT(with_reloc([](auto& r) { r.r_offset = 1 << 20; }),
              HasSubstr("lies outside the section"));
  EXPECT_THAT(with_reloc([](auto& r) { r.r_offset += 1; }), HasSubstr("inside an instruction"));
  EXPECT_THAT(with_reloc([](auto& r) { r.r_offset += 8; }),
              HasSubstr("ld_imm64 with a relocation in its second half"));
  EXPECT_THAT(with_reloc([](auto& r) { r.r_offset = 0; }),
              HasSubstr("function 'build', instruction 0: has a relocation"));
  EXPECT_THAT(with_reloc([](auto& r) { r.r_info = ELF64_R_INFO(ELF64_R_SYM(r.r_info), 2); }),
              HasSubstr("relocation of type 2: expected 1"));
}

// Changes the instruction of the first relocation in section `section` for which `pick` holds.
template <typename Pick, typename Change>
std::string with_insn(const char* object, const char* section, Pick pick, Change change) {
  ObjectImage image(object);
  for (const ElfReloc& reloc : image.elf().find(section)->relocs) {
    const size_t at = image.offset_of(section) + reloc.offset;
    auto insn = image.get<Insn>(at);
    if (!pick(insn)) continue;
    change(insn);
    image.put(at, insn);
    return image.verdict();
  }
  return "no such instruction";
}

TEST(RefusedFile, ReferencesOutside) {
  // An element after the last of the section, and one before the first.
  EXPECT_THAT(with_insn("htab", "syscall", is_ld_imm64, [](auto& i) { i.imm = 4096; }),
              ::testing::AnyOf(HasSubstr("outside of section"), HasSubstr("where no map begins")));
  EXPECT_THAT(with_insn("globals", "syscall", is_ld_imm64, [](auto& i) { i.imm = 40; }),
              HasSubstr("refers to '.rodata'+40, outside of section '.rodata' (40 bytes)"));
  EXPECT_THAT(with_insn("globals", "syscall", is_ld_imm64, [](auto& i) { i.imm = -8; }),
              HasSubstr("outside of section '.rodata'"));
  EXPECT_THAT(with_insn("calls", "syscall", is_pseudo_call, [](auto& i) { i.imm += 1; }),
              HasSubstr("where no function begins"));
  EXPECT_THAT(with_insn("calls", "syscall", is_pseudo_call, [](auto& i) { i.imm = INT32_MIN; }),
              HasSubstr("where no function begins"));
}

TEST(RefusedFile, BrokenTypes) {
  const auto with = [](auto change) {
    ObjectImage image("list");
    const size_t at = image.offset_of(".BTF");
    auto header = image.get<btf_header>(at);
    change(header);
    image.put(at, header);
    return image.verdict();
  };
  EXPECT_THAT(with([](auto& h) { h.magic = 0x9feb; }), HasSubstr(".BTF has magic 0x9feb"));
  EXPECT_THAT(with([](auto& h) { h.version = 2; }), HasSubstr("version 2"));
  EXPECT_THAT(with([](auto& h) { h.hdr_len = 28; }), HasSubstr("header of 28 bytes"));
  EXPECT_THAT(with([](auto& h) { h.type_len = UINT32_MAX - 3; }), HasSubstr("do not lie inside"));
  EXPECT_THAT(with([](auto& h) { h.str_len += 1; }), HasSubstr("do not lie inside"));
  EXPECT_THAT(with([](auto& h) { h.str_len -= 1; }), HasSubstr("not terminated"));
  EXPECT_THAT(with([](auto& h) { h.type_len -= 4; }), HasSubstr(".BTF: type"));
}

TEST(RefusedFile, BrokenLineInfo) {
  const auto with = [](size_t at, uint32_t value) {
    ObjectImage image("list");
    image.put<uint32_t>(image.offset_of(".BTF.ext") + at, value);
    return image.verdict();
  };
  EXPECT_THAT(with(0, 0), HasSubstr(".BTF.ext has a bad header"));
  EXPECT_THAT(with(4, 4), HasSubstr("bad header"));
  EXPECT_THAT(with(8, 1 << 20), HasSubstr("does not lie inside"));
  EXPECT_THAT(with(12, UINT32_MAX), HasSubstr("does not lie inside"));
  EXPECT_THAT(with(32, 4), HasSubstr("records of a bad size"));
  EXPECT_THAT(with(36, 0), HasSubstr("a section that is not there"));
  EXPECT_THAT(with(40, 1 << 30), HasSubstr("ends inside a block"));
  EXPECT_THAT(with(44, 4), HasSubstr("an instruction that is not there"));
  EXPECT_THAT(with(48, 1), HasSubstr("a wrong type"));
}

// Names go into messages and terminals.
TEST(RefusedFile, NamesWithControlCharacters) {
  ObjectImage image("list");
  const size_t strings = image.offset_of(".strtab");
  const std::string_view text(reinterpret_cast<const char*>(image.bytes().data()) + strings,
                              image.elf().find(".strtab")->size);
  const size_t name = text.find("build");
  ASSERT_NE(name, std::string_view::npos);
  image.put<char>(strings + name, '\x1b');
  EXPECT_THAT(image.verdict(), HasSubstr("a damaged name"));
}

}  // namespace
}  // namespace uarena::jit
