// The layout is read once, from the intact file, which is trusted.
#include "tests/fuzz/object/mutate.h"

#include <bpf/btf.h>
#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace uarena::fuzz {
namespace {

// Numbers that checks are written around.
constexpr std::array<uint64_t, 14> kEdges = {0,
                                             1,
                                             2,
                                             7,
                                             8,
                                             0x7f,
                                             0xff,
                                             0xffff,
                                             0x7fffffff,
                                             0x80000000,
                                             ~0u,
                                             uint64_t{1} << 40,
                                             ~uint64_t{0} - 7,
                                             ~uint64_t{0}};

template <typename T>
T get(const std::vector<std::byte>& bytes, size_t at) {
  T value{};
  if (at + sizeof value <= bytes.size()) std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// A field of 1, 2, 4 or 8 bytes gets another number: an edge, a neighbour, one flipped bit, or what
// another field of the same kind has.
void change_field(Random& random, std::vector<std::byte>& bytes, size_t at, size_t size,
                  uint64_t other) {
  if (at + size > bytes.size()) return;
  uint64_t value = 0;
  std::memcpy(&value, bytes.data() + at, size);
  switch (random.pick(5)) {
    case 0:
      value = kEdges[random.pick(kEdges.size())];
      break;
    case 1:
      value += random.one_in(2) ? 1 : ~uint64_t{0};
      break;
    case 2:
      value ^= uint64_t{1} << random.pick(static_cast<unsigned>(8 * size));
      break;
    case 3:
      value = other;
      break;
    default:
      value = random.below(64);
  }
  std::memcpy(bytes.data() + at, &value, size);
}

}  // namespace

Specimen::Specimen(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) { find_tables(); }

void Specimen::find_tables() {
  const auto header = get<Elf64_Ehdr>(bytes_, 0);
  header_ = {0, sizeof header};
  sections_ = {header.e_shoff, size_t{header.e_shnum} * sizeof(Elf64_Shdr)};
  tables_.push_back({sections_, sizeof(Elf64_Shdr)});
  for (size_t n = 0; n < header.e_shnum; ++n) {
    const auto section = get<Elf64_Shdr>(bytes_, header.e_shoff + n * sizeof(Elf64_Shdr));
    const Part part{section.sh_offset, section.sh_size};
    if (section.sh_type == SHT_NOBITS || part.size == 0) continue;
    const auto* names =
        reinterpret_cast<const char*>(bytes_.data()) +
        get<Elf64_Shdr>(bytes_, header.e_shoff + header.e_shstrndx * sizeof(Elf64_Shdr)).sh_offset;
    const std::string_view name = names + section.sh_name;
    if (name.find("debug") != std::string_view::npos) continue;
    parts_.push_back(part);
    if (section.sh_type == SHT_SYMTAB) tables_.push_back({part, sizeof(Elf64_Sym)});
    if (section.sh_type == SHT_REL) tables_.push_back({part, sizeof(Elf64_Rel)});
    if ((section.sh_flags & SHF_EXECINSTR) != 0) tables_.push_back({part, 8});
    if (name == ".BTF") find_types(part);
  }
}

void Specimen::find_types(const Part& section) {
  const auto header = get<btf_header>(bytes_, section.offset);
  const size_t begin = section.offset + header.hdr_len + header.type_off;
  for (size_t at = begin; at < begin + header.type_len;) {
    types_.push_back(at);
    const auto type = get<btf_type>(bytes_, at);
    const size_t vlen = btf_vlen(&type);
    at += sizeof type;
    switch (btf_kind(&type)) {
      case BTF_KIND_INT:
      case BTF_KIND_VAR:
      case BTF_KIND_DECL_TAG:
        at += 4;
        break;
      case BTF_KIND_ARRAY:
        at += sizeof(struct btf_array);
        break;
      case BTF_KIND_STRUCT:
      case BTF_KIND_UNION:
      case BTF_KIND_DATASEC:
      case BTF_KIND_ENUM64:
        at += vlen * 12;
        break;
      case BTF_KIND_ENUM:
      case BTF_KIND_FUNC_PROTO:
        at += vlen * 8;
        break;
      default:
        break;
    }
  }
}

std::vector<std::byte> Specimen::damaged(Random& random) const {
  std::vector<std::byte> bytes = bytes_;
  for (unsigned n = 1 + random.pick(4); n > 0; --n) {
    switch (random.pick(10)) {
      case 0: {
        change_field(random, bytes, 2 * random.below(header_.size / 2), 2, random.bits());
        break;
      }
      case 1:
      case 2:
      case 3: {  // a field of a record of some table
        const Table& table = tables_[random.pick(static_cast<unsigned>(tables_.size()))];
        const size_t count = std::max<size_t>(table.part.size / table.record, 1);
        const size_t width = size_t{1} << random.pick(4);
        const size_t in = random.below(table.record / width + 1) * width % table.record;
        const size_t other = table.part.offset + random.below(count) * table.record + in;
        change_field(random, bytes, table.part.offset + random.below(count) * table.record + in,
                     std::min(width, table.record - in), get<uint64_t>(bytes, other));
        break;
      }
      case 4:
      case 5:
      case 6: {  // a type: its name, kind and length, what it refers to, what follows
        if (types_.empty()) break;
        const size_t at = types_[random.below(types_.size())] + 4 * random.pick(6);
        change_field(random, bytes, at, 4, random.below(types_.size() + 2));
        break;
      }
      case 7:
      case 8: {  // anything that the loader reads
        const Part& part = parts_[random.pick(static_cast<unsigned>(parts_.size()))];
        const size_t width = size_t{1} << random.pick(3);
        change_field(random, bytes, part.offset + random.below(part.size), width, random.bits());
        break;
      }
      default:
        if (random.one_in(4)) bytes.resize(random.below(bytes.size()) + 1);
    }
  }
  return bytes;
}

}  // namespace uarena::fuzz
