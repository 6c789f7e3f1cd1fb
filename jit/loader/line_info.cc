// .BTF.ext is a header with up to three parts. A part is the size of a record, then blocks of
// { name of a code section, number of records, records }.
#include "jit/loader/line_info.h"

#include <linux/bpf.h>
#include <linux/btf.h>

#include <algorithm>
#include <cstring>
#include <tuple>
#include <unordered_map>

namespace uarena::jit {
namespace {

// Longer source lines are cut: they are shown to people.
constexpr size_t kMaxText = 240;

struct ExtHeader {
  uint16_t magic;
  uint8_t version;
  uint8_t flags;
  uint32_t header_size;
  uint32_t func_off, func_len;
  uint32_t line_off, line_len;
  uint32_t core_off, core_len;  // absent from a header of 24 bytes
};
constexpr size_t kShortHeader = 24;

struct RawFunc {
  uint32_t offset, type;
};
struct RawLine {
  uint32_t offset, file, text, line_col;
};
struct RawCore {
  uint32_t offset, type, access, kind;
};
constexpr uint32_t kMaxRecord = 256;

// A cursor over bytes that never leaves them.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : rest_(bytes) {}
  bool empty() const { return rest_.empty(); }
  template <typename T>
  std::optional<T> take(size_t stride = sizeof(T)) {
    if (rest_.size() < stride) return std::nullopt;
    T value;
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_ = rest_.subspan(stride);
    return value;
  }

 private:
  std::span<const std::byte> rest_;
};

// Control characters become spaces; the cut does not split a UTF-8 character.
std::string for_people(std::string_view text) {
  size_t length = std::min(text.size(), kMaxText);
  if (length < text.size())
    while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xc0) == 0x80) length--;
  std::string out(text.substr(0, length));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = ' ';
  return out;
}

}  // namespace

class ExtReader {
 public:
  ExtReader(const ElfFile& elf, const BtfView& btf) : btf_(btf) {
    out_.btf_ = &btf;
    for (const ElfSection& section : elf.sections)
      if (section.executable) code_[section.name] = {elf.index_of(section), section.size};
  }

  Result<ExtInfo> read(std::span<const std::byte> bytes) {
    ExtHeader header{};
    if (bytes.size() < kShortHeader) return damaged("is too short");
    std::memcpy(&header, bytes.data(), kShortHeader);
    if (header.magic != BTF_MAGIC || header.version != BTF_VERSION ||
        header.header_size < kShortHeader || header.header_size > bytes.size())
      return damaged("has a bad header");
    if (header.header_size >= sizeof header) std::memcpy(&header, bytes.data(), sizeof header);
    body_ = bytes.subspan(header.header_size);

    auto done = read_part<RawFunc>(header.func_off, header.func_len, &ExtReader::add_func);
    if (done) done = read_part<RawLine>(header.line_off, header.line_len, &ExtReader::add_line);
    if (done) done = read_part<RawCore>(header.core_off, header.core_len, &ExtReader::add_core);
    if (!done) return std::unexpected(done.error());
    for (auto& [index, section] : out_.sections_) sort(section);
    return std::move(out_);
  }

 private:
  template <typename Record>
  using Add = Result<void> (ExtReader::*)(ExtInfo::PerSection&, uint32_t insn, const Record&);

  template <typename Record>
  Result<void> read_part(uint64_t offset, uint64_t length, Add<Record> add) {
    if (length == 0) return {};
    if (offset > body_.size() || length > body_.size() - offset)
      return damaged("has a part that does not lie inside");
    Cursor cursor(body_.subspan(offset, length));
    const auto stride = cursor.take<uint32_t>();
    if (!stride || *stride < sizeof(Record) || *stride > kMaxRecord || *stride % 4 != 0)
      return damaged("has records of a bad size");
    while (!cursor.empty()) {
      const auto name = cursor.take<uint32_t>();
      const auto count = cursor.take<uint32_t>();
      if (!name || !count) return damaged("ends inside a block");
      const auto section = code_.find(btf_.string(*name));
      if (section == code_.end()) return damaged("describes a section that is not there");
      const auto [index, size] = section->second;
      ExtInfo::PerSection& into = out_.sections_[index];
      for (uint32_t i = 0; i < *count; i++) {
        const auto record = cursor.take<Record>(*stride);
        if (!record) return damaged("ends inside a block");
        if (record->offset % kInsnBytes != 0 || record->offset >= size)
          return damaged("describes an instruction that is not there");
        const auto insn = static_cast<uint32_t>(record->offset / kInsnBytes);
        if (auto done = (this->*add)(into, insn, *record); !done) return done;
      }
    }
    return {};
  }

  Result<void> add_func(ExtInfo::PerSection& into, uint32_t insn, const RawFunc& record) {
    const btf_type* type = btf_.type(record.type);
    if (type == nullptr || !btf_is_func(type)) return damaged("gives a function a wrong type");
    into.functions[insn] = record.type;
    return {};
  }

  Result<void> add_line(ExtInfo::PerSection& into, uint32_t insn, const RawLine& record) {
    into.lines.push_back({insn, record.file, record.text, record.line_col});
    return {};
  }

  Result<void> add_core(ExtInfo::PerSection& into, uint32_t insn, const RawCore&) {
    into.core_relocations.push_back(insn);
    return {};
  }

  static void sort(ExtInfo::PerSection& section) {
    std::ranges::sort(section.core_relocations);
    std::ranges::sort(section.lines, {}, [](const ExtInfo::Line& line) {
      return std::tuple(line.insn, line.line_col, line.file, line.text);
    });
    const auto twice = std::ranges::unique(section.lines, {}, &ExtInfo::Line::insn);
    section.lines.erase(twice.begin(), twice.end());
  }

  static std::unexpected<Error> damaged(const char* what) {
    return fail(Why::rejected, EINVAL, "section .BTF.ext {}", what);
  }

  struct Code {
    uint32_t index = 0;
    uint64_t size = 0;
  };
  std::unordered_map<std::string_view, Code> code_;
  const BtfView& btf_;
  std::span<const std::byte> body_;
  ExtInfo out_;
};

Result<ExtInfo> ExtInfo::read(const ElfFile& elf, const BtfView& btf) {
  const ElfSection* section = elf.find(".BTF.ext");
  if (section == nullptr) return ExtInfo{};
  return ExtReader(elf, btf).read(section->bytes);
}

std::string ExtInfo::text_at(uint32_t offset) const {
  std::string text = for_people(btf_->string(offset));
  if (text.size() > text_left_) return {};
  text_left_ -= text.size();
  return text;
}

void ExtInfo::append_lines(const Function& function, uint32_t at,
                           std::vector<LineInfo>& lines) const {
  const auto section = sections_.find(function.section);
  if (section == sections_.end()) return;
  const auto& all = section->second.lines;
  const uint32_t end = function.start + function.count;
  for (auto line = std::ranges::lower_bound(all, function.start, {}, &Line::insn);
       line != all.end() && line->insn < end; ++line)
    lines.push_back({line->insn - function.start + at, BPF_LINE_INFO_LINE_NUM(line->line_col),
                     BPF_LINE_INFO_LINE_COL(line->line_col), text_at(line->file),
                     text_at(line->text)});
}

uint32_t ExtInfo::func_id(const Function& function) const {
  const auto section = sections_.find(function.section);
  if (section == sections_.end()) return 0;
  const auto id = section->second.functions.find(function.start);
  return id == section->second.functions.end() ? 0 : id->second;
}

std::optional<uint32_t> ExtInfo::core_relocation(const Function& function) const {
  const auto section = sections_.find(function.section);
  if (section == sections_.end()) return std::nullopt;
  const auto& all = section->second.core_relocations;
  const auto first = std::ranges::lower_bound(all, function.start);
  if (first == all.end() || *first >= function.start + function.count) return std::nullopt;
  return *first - function.start;
}

}  // namespace uarena::jit
