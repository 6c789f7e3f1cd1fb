// Where instructions come from: section .BTF.ext, which libbpf reads only for itself. It has tables
// of records per code section: types of functions, source lines, and CO-RE relocations. Every
// offset in it is checked here; strings are made fit for a terminal and kept within a budget, since
// a small table can name one long string a million times.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "ipc/base/result.h"
#include "jit/loader/btf_view.h"
#include "jit/loader/elf_file.h"
#include "jit/loader/functions.h"
#include "jit/object.h"

namespace uarena::jit {

class ExtInfo {
 public:
  // An object without .BTF.ext has no lines. EINVAL: damaged.
  static Result<ExtInfo> read(const ElfFile& elf, const BtfView& btf);

  // Appends the lines of `function`, whose first instruction is now instruction `at` of a program.
  void append_lines(const Function& function, uint32_t at, std::vector<LineInfo>& lines) const;
  // The type id of the function's BTF FUNC, or 0.
  uint32_t func_id(const Function& function) const;
  // The first instruction of the function, counted from its start, that has a CO-RE relocation.
  std::optional<uint32_t> core_relocation(const Function& function) const;

 private:
  struct Line {
    uint32_t insn, file, text, line_col;
  };
  struct PerSection {
    std::vector<Line> lines;  // strictly ascending insn
    std::map<uint32_t, uint32_t> functions;
    std::vector<uint32_t> core_relocations;  // ascending
  };
  friend class ExtReader;

  std::string text_at(uint32_t offset) const;

  const BtfView* btf_ = nullptr;
  std::map<uint32_t, PerSection> sections_;  // by ELF section index
  mutable size_t text_left_ = kMaxObjectBytes;
};

}  // namespace uarena::jit
