#include "jit/debug/elf_image.h"

#include <elf.h>

#include "jit/debug/bytes.h"
#include "jit/debug/dwarf.h"

namespace uarena::jit::debug {
namespace {

constexpr uint32_t kText = 1;  // its index among the sections

// Sections and their names, laid out one after the other behind the file's header.
class Image {
 public:
  Image() {
    sections_.emplace_back();
    names_.u8(0);
  }

  void add(std::string_view name, uint32_t type, const std::string& content, Elf64_Shdr more = {}) {
    more.sh_name = static_cast<uint32_t>(names_.size());
    names_.string(name);
    more.sh_type = type;
    content_.pad_to(8, '\0');
    more.sh_offset = sizeof(Elf64_Ehdr) + content_.size();
    if (type != SHT_NOBITS) more.sh_size = content.size();
    more.sh_addralign = std::max<uint64_t>(more.sh_addralign, 1);
    content_.raw(content.data(), content.size());
    sections_.push_back(more);
  }

  std::string finish() {
    Elf64_Shdr names{};
    add(".shstrtab", SHT_STRTAB, {}, names);
    sections_.back().sh_size = names_.size();
    content_.raw(names_.data().data(), names_.size());
    content_.pad_to(8, '\0');
    Elf64_Ehdr header{};
    const unsigned char ident[] = {ELFMAG0,    ELFMAG1,     ELFMAG2,    ELFMAG3,
                                   ELFCLASS64, ELFDATA2LSB, EV_CURRENT, ELFOSABI_NONE};
    std::memcpy(header.e_ident, ident, sizeof ident);
    header.e_type = ET_REL;
    header.e_machine = EM_X86_64;
    header.e_version = EV_CURRENT;
    header.e_shoff = sizeof header + content_.size();
    header.e_ehsize = sizeof header;
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = static_cast<uint16_t>(sections_.size());
    header.e_shstrndx = static_cast<uint16_t>(sections_.size() - 1);
    Bytes file;
    file.raw(&header, sizeof header);
    file.raw(content_.data().data(), content_.size());
    file.raw(sections_.data(), sections_.size() * sizeof(Elf64_Shdr));
    return file.take();
  }

 private:
  std::vector<Elf64_Shdr> sections_;
  Bytes names_;
  Bytes content_;
};

struct Symbols {
  Bytes table;
  Bytes names;

  Symbols() {
    names.u8(0);
    add({}, 0);
  }
  void add(const Function& function, uint32_t section) {
    Elf64_Sym symbol{};
    if (section != 0) {
      symbol.st_name = static_cast<uint32_t>(names.size());
      symbol.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
      symbol.st_value = function.from;
      symbol.st_size = function.to - function.from;
      names.string(function.name);
    }
    symbol.st_shndx = static_cast<uint16_t>(section);
    table.raw(&symbol, sizeof symbol);
  }
};

}  // namespace

std::string elf_image(const CodeMap& map) {
  Symbols symbols;
  symbols.add(map.entry, kText);
  for (const Function& function : map.functions) symbols.add(function, kText);
  Image image;
  Elf64_Shdr text{};
  text.sh_flags = SHF_ALLOC | SHF_EXECINSTR;
  text.sh_addr = map.address();
  text.sh_size = map.code.size();
  text.sh_addralign = 16;
  image.add(".text", SHT_NOBITS, {}, text);
  Elf64_Shdr table{};
  table.sh_link = 3;  // its names
  table.sh_info = 1;  // the first that is not local
  table.sh_entsize = sizeof(Elf64_Sym);
  table.sh_addralign = 8;
  image.add(".symtab", SHT_SYMTAB, symbols.table.data(), table);
  image.add(".strtab", SHT_STRTAB, symbols.names.data());
  const Dwarf dwarf = describe(map);
  image.add(".debug_abbrev", SHT_PROGBITS, dwarf.abbrev);
  image.add(".debug_info", SHT_PROGBITS, dwarf.info);
  image.add(".debug_line", SHT_PROGBITS, dwarf.line);
  Elf64_Shdr frame{};
  frame.sh_addralign = 8;
  image.add(".debug_frame", SHT_PROGBITS, dwarf.frame, frame);
  return image.finish();
}

}  // namespace uarena::jit::debug
