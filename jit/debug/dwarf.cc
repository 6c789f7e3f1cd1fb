// The numbers are those of the DWARF 4 standard, sections 6.2 (lines), 6.4 (frames) and 7 (their
// encoding); registers as in the System V ABI of x86-64, figure 3.36.
#include "jit/debug/dwarf.h"

#include "jit/debug/bytes.h"

namespace uarena::jit::debug {
namespace {

// Tags, attributes and forms.
constexpr uint8_t kCompileUnit = 0x11, kSubprogram = 0x2e;
constexpr uint8_t kName = 0x03, kStmtList = 0x10, kLowPc = 0x11, kHighPc = 0x12, kLanguage = 0x13;
constexpr uint8_t kAddr = 0x01, kData2 = 0x05, kData8 = 0x07, kString = 0x08, kSecOffset = 0x17;
constexpr uint16_t kC99 = 0x0c;
// Operations of the line program.
constexpr uint8_t kCopy = 1, kAdvancePc = 2, kAdvanceLine = 3, kSetFile = 4;
constexpr uint8_t kEndSequence = 1, kSetAddress = 2;                   // extended
constexpr uint8_t kOperands[] = {0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1};  // of the standard ones
// Operations on frames.
constexpr uint8_t kAdvanceLoc4 = 0x04, kDefCfa = 0x0c, kDefCfaRegister = 0x0d, kDefCfaOffset = 0x0e,
                  kAdvanceLoc = 0x40, kOffset = 0x80, kNop = 0;
constexpr uint8_t kRsp = 7, kRbp = 6, kReturnAddress = 16;
constexpr uint32_t kWord = 8;

// What the way in pushes before anything else, from the top (x86_64/turns.cc).
constexpr uint8_t kEntrySaves[] = {kRbp, 3, 12, 13, 14, 15};
constexpr uint32_t kEntryWords = 10;  // with the return address

uint8_t dwarf_register(uint8_t x86) {
  constexpr uint8_t kLow[8] = {0, 2, 1, 3, 7, 6, 4, 5};
  return x86 < 8 ? kLow[x86] : x86;
}

std::string abbreviations() {
  Bytes out;
  for (const auto& bytes :
       {std::initializer_list<uint8_t>{1, kCompileUnit, 1, kName, kString, kLanguage, kData2,
                                       kStmtList, kSecOffset, kLowPc, kAddr, kHighPc, kData8, 0, 0},
        {2, kSubprogram, 0, kName, kString, kLowPc, kAddr, kHighPc, kData8, 0, 0},
        {0}})
    for (const uint8_t byte : bytes) out.u8(byte);
  return out.take();
}

void add_function(Bytes& out, const CodeMap& map, const Function& function) {
  out.uleb(2);
  out.string(function.name);
  out.u64(map.address() + function.from);
  out.u64(function.to - function.from);
}

std::string information(const CodeMap& map) {
  Bytes out;
  const size_t unit = out.begin_length();
  out.u16(4);  // version
  out.u32(0);  // the abbreviations
  out.u8(8);   // bytes of an address
  out.uleb(1);
  out.string(map.files.empty() ? map.program : map.files[0]);
  out.u16(kC99);
  out.u32(0);  // the lines
  out.u64(map.address());
  out.u64(map.code.size());
  add_function(out, map, map.entry);
  for (const Function& function : map.functions) add_function(out, map, function);
  out.uleb(0);
  out.end_length(unit);
  return out.take();
}

void extended(Bytes& out, uint8_t operation, size_t operand_bytes) {
  out.u8(0);
  out.uleb(1 + operand_bytes);
  out.u8(operation);
}

std::string lines(const CodeMap& map) {
  Bytes out;
  const size_t unit = out.begin_length();
  out.u16(4);
  const size_t header = out.begin_length();
  out.u8(1);  // bytes of the shortest instruction
  out.u8(1);  // operations in one
  out.u8(1);  // lines begin statements
  out.u8(0);  // special operations are not used:
  out.u8(1);  // a line_base and a line_range that are legal
  out.u8(1 + std::size(kOperands));
  out.raw(kOperands, std::size(kOperands));
  out.u8(0);  // no directories
  for (const std::string& file : map.files) {
    out.string(file);
    for (int n = 0; n < 3; ++n) out.uleb(0);  // directory, time, length
  }
  out.u8(0);
  out.end_length(header);

  extended(out, kSetAddress, kWord);
  out.u64(map.address());
  uint32_t offset = 0, file = 0;
  int64_t number = 1;
  for (const Line& line : map.lines) {
    if (line.file != file) {
      out.u8(kSetFile);
      out.uleb(line.file + 1);
    }
    out.u8(kAdvanceLine);
    out.sleb(int64_t{line.number} - number);
    out.u8(kAdvancePc);
    out.uleb(line.offset - offset);
    out.u8(kCopy);
    offset = line.offset;
    file = line.file;
    number = line.number;
  }
  out.u8(kAdvancePc);
  out.uleb(map.code.size() - offset);
  extended(out, kEndSequence, 0);
  out.end_length(unit);
  return out.take();
}

void advance(Bytes& out, uint32_t bytes) {
  if (bytes < 0x40) return out.u8(kAdvanceLoc | bytes);
  out.u8(kAdvanceLoc4);
  out.u32(bytes);
}

// Where a register of the caller is: so many words below the frame's address.
void saved_at(Bytes& out, uint8_t reg, uint32_t words) {
  out.u8(kOffset | reg);
  out.uleb(words);
}

size_t begin_frame(Bytes& out, const CodeMap& map, const Function& function) {
  const size_t begun = out.begin_length();
  out.u32(0);  // the common part
  out.u64(map.address() + function.from);
  out.u64(function.to - function.from);
  return begun;
}

void end_frame(Bytes& out, size_t begun) {
  out.pad_to(kWord, kNop);
  out.end_length(begun);
}

// Between its first push and the last one the way in is not described.
void entry_frame(Bytes& out, const CodeMap& map) {
  const size_t begun = begin_frame(out, map, map.entry);
  advance(out, map.entered_from);
  out.u8(kDefCfaOffset);
  out.uleb(kEntryWords * kWord);
  for (uint32_t n = 0; n < std::size(kEntrySaves); ++n) saved_at(out, kEntrySaves[n], n + 2);
  end_frame(out, begun);
}

// push r11; push rbp; mov rbp, rsp; room; the saved registers.
void function_frame(Bytes& out, const CodeMap& map, const Function& function) {
  constexpr uint32_t kPushR11 = 2, kPushRbp = 1, kMovRbp = 3;  // bytes
  const size_t begun = begin_frame(out, map, function);
  advance(out, kPushR11);
  out.u8(kDefCfaOffset);
  out.uleb(2 * kWord);
  advance(out, kPushRbp);
  out.u8(kDefCfaOffset);
  out.uleb(3 * kWord);
  saved_at(out, kRbp, 3);
  advance(out, kMovRbp);
  out.u8(kDefCfaRegister);
  out.uleb(kRbp);
  advance(out, function.frame.saved_from - function.from - kPushR11 - kPushRbp - kMovRbp);
  uint32_t words = 3 + function.frame.bytes / kWord;
  for (const uint8_t reg : function.frame.saved_regs) saved_at(out, dwarf_register(reg), ++words);
  end_frame(out, begun);
}

std::string frames(const CodeMap& map) {
  Bytes out;
  const size_t common = out.begin_length();
  out.u32(0xffffffff);
  out.u8(1);  // version
  out.u8(0);  // no augmentation
  out.uleb(1);
  out.sleb(-int64_t{kWord});
  out.u8(kReturnAddress);
  out.u8(kDefCfa);
  out.uleb(kRsp);
  out.uleb(kWord);
  saved_at(out, kReturnAddress, 1);
  end_frame(out, common);
  entry_frame(out, map);
  for (const Function& function : map.functions) function_frame(out, map, function);
  return out.take();
}

}  // namespace

Dwarf describe(const CodeMap& map) {
  return {abbreviations(), information(map), lines(map), frames(map)};
}

}  // namespace uarena::jit::debug
