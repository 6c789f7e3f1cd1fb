// Decodes with Zydis and merges in the annotations of the instructions whose code begins here.
#include "jit/x86_64/listing.h"

#include <Zydis/Zydis.h>
#include <fmt/format.h>

#include <iterator>

#include "jit/dump.h"

namespace uarena::jit::x86_64 {

std::string list_code(const FixedProgram& program, std::span<const std::byte> code,
                      const std::vector<uint32_t>& insn_offsets) {
  std::string text = "entry:\n";
  Annotations annotations(program);
  size_t insn = 0;
  for (size_t offset = 0; offset < code.size();) {
    for (; insn < program.insns().size() && insn_offsets[insn] <= offset; ++insn) {
      text += annotations.before(insn);
    }
    ZydisDisassembledInstruction decoded;
    // Addresses are offsets into the code, so that jumps read as offsets, too.
    const bool ok = ZYAN_SUCCESS(ZydisDisassembleIntel(
        ZYDIS_MACHINE_MODE_LONG_64, offset, code.data() + offset, code.size() - offset, &decoded));
    if (!ok) {
      fmt::format_to(std::back_inserter(text), "{:6x}: (bad) {:02x}\n", offset,
                     static_cast<unsigned>(code[offset]));
      ++offset;
      continue;
    }
    fmt::format_to(std::back_inserter(text), "{:6x}: {}\n", offset, decoded.text);
    offset += decoded.info.length;
  }
  return text;
}

}  // namespace uarena::jit::x86_64
