// Reading the tables goes in four steps: what kind of file is it, its sections, its symbols, its
// relocations. Contents of sections are taken from the image itself after a bounds check, not from
// libelf's buffers, so nothing here depends on how libelf caches or converts data.
#include "jit/loader/elf_file.h"

#include <gelf.h>
#include <libelf.h>

#include <algorithm>
#include <memory>
#include <unordered_set>

#include "jit/object.h"

namespace uarena::jit {
namespace {

struct ElfEnd {
  void operator()(Elf* elf) const { ::elf_end(elf); }
};
using ElfHandle = std::unique_ptr<Elf, ElfEnd>;

Result<void> check_kind(std::span<const std::byte> image) {
  if (image.size() > kMaxObjectBytes)
    return fail(Why::rejected, EFBIG, "the object has {} bytes, allowed are at most {}",
                image.size(), kMaxObjectBytes);
  if (image.size() < sizeof(Elf64_Ehdr) || std::memcmp(image.data(), ELFMAG, SELFMAG) != 0)
    return fail(Why::rejected, ENOEXEC,
                "not an ELF file: expected an object made by clang -target bpf -c");
  Elf64_Ehdr header;
  std::memcpy(&header, image.data(), sizeof header);
  if (header.e_ident[EI_CLASS] != ELFCLASS64)
    return fail(Why::rejected, ENOEXEC, "not a 64-bit ELF file: expected clang -target bpf");
  if (header.e_ident[EI_DATA] != ELFDATA2LSB)
    return fail(Why::rejected, ENOEXEC,
                "a big-endian ELF file: expected little-endian (clang -target bpf or bpfel)");
  if (header.e_machine != EM_BPF)
    return fail(Why::rejected, ENOEXEC,
                "an ELF file for machine {}: expected machine {} (BPF, clang -target bpf)",
                header.e_machine, EM_BPF);
  if (header.e_type != ET_REL)
    return fail(Why::rejected, ENOEXEC,
                "an ELF file of type {}: expected a relocatable object (clang -c)", header.e_type);
  if (header.e_shentsize != sizeof(Elf64_Shdr) || header.e_shoff > image.size() ||
      header.e_shnum > (image.size() - header.e_shoff) / sizeof(Elf64_Shdr))
    return fail(Why::rejected, EINVAL,
                "the section table ({} entries at offset {}) does not lie inside the file ({} "
                "bytes)",
                header.e_shnum, header.e_shoff, image.size());
  // Extended numbering (more than 65,279 sections) would make e_shnum 0.
  if (header.e_shnum < 2 || header.e_shstrndx >= header.e_shnum)
    return fail(Why::rejected, EINVAL,
                "the file has {} sections and their names are in section {}: expected at least 2 "
                "sections and an index below their number",
                header.e_shnum, header.e_shstrndx);
  return {};
}

class Reader {
 public:
  Reader(Elf* elf, std::span<const std::byte> image) : elf_(elf), image_(image) {}

  Result<ElfFile> read() {
    if (auto done = read_sections(); !done) return std::unexpected(done.error());
    if (auto done = read_symbols(); !done) return std::unexpected(done.error());
    if (auto done = read_relocs(); !done) return std::unexpected(done.error());
    return std::move(file_);
  }

 private:
  Result<void> read_sections() {
    size_t count = 0;
    size_t names = 0;
    if (::elf_getshdrnum(elf_, &count) != 0 || ::elf_getshdrstrndx(elf_, &names) != 0)
      return fail(Why::rejected, EINVAL, "the section table is damaged: {}", ::elf_errmsg(-1));
    file_.sections.resize(count);
    headers_.resize(count);
    for (size_t i = 1; i < count; i++) {
      Elf_Scn* scn = ::elf_getscn(elf_, i);
      if (scn == nullptr || ::gelf_getshdr(scn, &headers_[i]) == nullptr)
        return fail(Why::rejected, EINVAL, "section {} has no header: {}", i, ::elf_errmsg(-1));
      if (auto done = add_section(i, headers_[i]); !done) return done;
    }
    return name_sections(names);
  }

  Result<void> name_sections(size_t names) {
    std::unordered_set<std::string_view> seen;
    for (size_t i = 1; i < file_.sections.size(); i++) {
      ElfSection& section = file_.sections[i];
      auto name = string_at(names, headers_[i].sh_name);
      if (!name) return fail(Why::rejected, EINVAL, "section {} has {}", i, name.error().message);
      section.name = *name;
      if (section.allocated && !seen.insert(section.name).second)
        return fail(Why::rejected, EINVAL, "two sections are named '{}': expected one",
                    section.name);
    }
    return {};
  }

  // A name of a string table. Names go into messages and logs, so they must be printable and short.
  Result<std::string_view> string_at(size_t table, uint64_t offset) const {
    if (table >= file_.sections.size() || offset >= file_.sections[table].bytes.size())
      return fail(EINVAL, "no name: offset {} is outside its string table", offset);
    const std::span<const std::byte> rest = file_.sections[table].bytes.subspan(offset);
    const char* text = reinterpret_cast<const char*>(rest.data());
    const size_t length = ::strnlen(text, std::min(rest.size(), kMaxNameLength + 1));
    const std::string_view name(text, length);
    if (length == rest.size() || length > kMaxNameLength || !is_printable(name))
      return fail(EINVAL, "a damaged name: allowed are at most {} printable characters",
                  kMaxNameLength);
    return name;
  }

  Result<void> add_section(size_t index, const GElf_Shdr& header) {
    ElfSection& section = file_.sections[index];
    section.size = header.sh_size;
    section.executable = (header.sh_flags & SHF_EXECINSTR) != 0;
    section.allocated = (header.sh_flags & SHF_ALLOC) != 0;
    section.zeroed = header.sh_type == SHT_NOBITS;
    if (section.size > kMaxObjectBytes)
      return fail(Why::rejected, EFBIG, "section {} has {} bytes, allowed are at most {}", index,
                  section.size, kMaxObjectBytes);
    if (section.zeroed) return {};
    if (header.sh_offset > image_.size() || section.size > image_.size() - header.sh_offset)
      return fail(Why::rejected, EINVAL,
                  "section {} ({} bytes at offset {}) does not lie inside the file ({} bytes)",
                  index, section.size, header.sh_offset, image_.size());
    section.bytes = image_.subspan(header.sh_offset, section.size);
    return {};
  }

  Result<void> read_symbols() {
    for (size_t i = 1; i < headers_.size(); i++) {
      if (headers_[i].sh_type != SHT_SYMTAB) continue;
      if (symtab_ != 0) return fail(Why::rejected, EINVAL, "the file has two symbol tables");
      symtab_ = i;
    }
    if (symtab_ == 0)
      return fail(Why::rejected, EINVAL, "the file has no symbol table: was it stripped?");
    const size_t entry = sizeof(Elf64_Sym);
    const std::span<const std::byte> table = file_.sections[symtab_].bytes;
    if (headers_[symtab_].sh_entsize != entry || table.size() % entry != 0)
      return fail(Why::rejected, EINVAL, "the symbol table has {} bytes: expected a multiple of {}",
                  table.size(), entry);
    file_.symbols.resize(table.size() / entry);
    for (size_t i = 0; i < file_.symbols.size(); i++) {
      Elf64_Sym raw;
      std::memcpy(&raw, table.data() + i * entry, entry);
      if (auto done = add_symbol(i, raw); !done) return done;
    }
    return {};
  }

  Result<void> add_symbol(size_t index, const Elf64_Sym& raw) {
    ElfSymbol& symbol = file_.symbols[index];
    auto name = string_at(headers_[symtab_].sh_link, raw.st_name);
    if (!name) return fail(Why::rejected, EINVAL, "symbol {} has {}", index, name.error().message);
    symbol.name = *name;
    symbol.value = raw.st_value;
    symbol.size = raw.st_size;
    symbol.local = ELF64_ST_BIND(raw.st_info) == STB_LOCAL;
    symbol.weak = ELF64_ST_BIND(raw.st_info) == STB_WEAK;
    const unsigned visibility = ELF64_ST_VISIBILITY(raw.st_other);
    symbol.hidden = visibility == STV_HIDDEN || visibility == STV_INTERNAL;
    symbol.kind = kind_of(ELF64_ST_TYPE(raw.st_info));
    if (raw.st_shndx == SHN_COMMON)
      return fail(Why::rejected, EINVAL, "symbol '{}' is a common symbol: compile with -fno-common",
                  symbol.name);
    if (raw.st_shndx == SHN_UNDEF || raw.st_shndx >= SHN_LORESERVE) return {};
    if (raw.st_shndx >= file_.sections.size())
      return fail(Why::rejected, EINVAL, "symbol '{}' is in section {}, but there are only {}",
                  symbol.name, raw.st_shndx, file_.sections.size());
    symbol.section = raw.st_shndx;
    symbol.defined = true;
    const uint64_t limit = file_.sections[symbol.section].size;
    if (symbol.value > limit || symbol.size > limit - symbol.value)
      return fail(Why::rejected, EINVAL,
                  "symbol '{}' ({} bytes at {}) does not lie inside section '{}' ({} bytes)",
                  symbol.name, symbol.size, symbol.value, file_.sections[symbol.section].name,
                  limit);
    // Section symbols carry no name of their own.
    if (symbol.kind == SymbolKind::section) symbol.name = file_.sections[symbol.section].name;
    return {};
  }

  static SymbolKind kind_of(unsigned type) {
    switch (type) {
      case STT_NOTYPE:
        return SymbolKind::none;
      case STT_OBJECT:
        return SymbolKind::data;
      case STT_FUNC:
        return SymbolKind::function;
      case STT_SECTION:
        return SymbolKind::section;
      default:
        return SymbolKind::other;
    }
  }

  Result<void> read_relocs() {
    for (size_t i = 1; i < headers_.size(); i++) {
      const GElf_Shdr& header = headers_[i];
      if (header.sh_type != SHT_REL && header.sh_type != SHT_RELA) continue;
      const std::string_view name = file_.sections[i].name;
      if (header.sh_info == 0 || header.sh_info >= file_.sections.size())
        return fail(Why::rejected, EINVAL,
                    "relocations '{}' are for section {}, which is not there", name,
                    header.sh_info);
      ElfSection& target = file_.sections[header.sh_info];
      if (!target.allocated) continue;  // debug information and BTF: the values stand in place
      if (header.sh_type == SHT_RELA)
        return fail(Why::rejected, EINVAL,
                    "relocations '{}' are of the form with addends: BPF objects have REL", name);
      if (header.sh_link != symtab_ || header.sh_entsize != sizeof(Elf64_Rel) ||
          header.sh_size % sizeof(Elf64_Rel) != 0)
        return fail(Why::rejected, EINVAL, "relocations '{}' are damaged", name);
      if (auto done = add_relocs(file_.sections[i], target); !done) return done;
    }
    return {};
  }

  Result<void> add_relocs(const ElfSection& table, ElfSection& target) {
    for (size_t at = 0; at < table.bytes.size(); at += sizeof(Elf64_Rel)) {
      Elf64_Rel raw;
      std::memcpy(&raw, table.bytes.data() + at, sizeof raw);
      const ElfReloc reloc{raw.r_offset, static_cast<uint32_t>(ELF64_R_TYPE(raw.r_info)),
                           static_cast<uint32_t>(ELF64_R_SYM(raw.r_info))};
      if (reloc.symbol >= file_.symbols.size())
        return fail(Why::rejected, EINVAL,
                    "relocation at '{}'+{} names symbol {}, but there are only {}", target.name,
                    reloc.offset, reloc.symbol, file_.symbols.size());
      if (reloc.offset >= target.size)
        return fail(Why::rejected, EINVAL,
                    "relocation at '{}'+{} lies outside the section ({} bytes)", target.name,
                    reloc.offset, target.size);
      target.relocs.push_back(reloc);
    }
    std::ranges::sort(target.relocs, {}, &ElfReloc::offset);
    const auto twice = std::ranges::adjacent_find(target.relocs, {}, &ElfReloc::offset);
    if (twice != target.relocs.end())
      return fail(Why::rejected, EINVAL, "two relocations for '{}'+{}", target.name, twice->offset);
    return {};
  }

  Elf* elf_;
  std::span<const std::byte> image_;
  ElfFile file_;
  std::vector<GElf_Shdr> headers_;
  size_t symtab_ = 0;
};

}  // namespace

const ElfSection* ElfFile::find(std::string_view name) const {
  const auto at = std::ranges::find(sections, name, &ElfSection::name);
  return at == sections.end() || name.empty() ? nullptr : &*at;
}

bool is_printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

bool in_family(std::string_view name, std::string_view prefix) {
  return name.starts_with(prefix) && (name.size() == prefix.size() || name[prefix.size()] == '.');
}

Result<ElfFile> read_elf(std::span<const std::byte> image_untrusted) {
  if (auto done = check_kind(image_untrusted); !done) return std::unexpected(done.error());
  if (::elf_version(EV_CURRENT) == EV_NONE)
    return fail(ENOTSUP, "this libelf does not speak ELF version {}", EV_CURRENT);
  // elf_memory wants a mutable image but only reads it, since nothing here updates the file.
  char* image = const_cast<char*>(reinterpret_cast<const char*>(image_untrusted.data()));
  const ElfHandle elf(::elf_memory(image, image_untrusted.size()));
  if (elf == nullptr)
    return fail(Why::rejected, EINVAL, "libelf can't read the file: {}", ::elf_errmsg(-1));
  return Reader(elf.get(), image_untrusted).read();
}

}  // namespace uarena::jit
