// Damage to object files, where it is worth most: in the tables that say where everything is, in
// types, symbols, relocations and instructions. Each takes the file as it is and knows its layout
// from the intact one.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "tests/fuzz/random.h"

namespace uarena::fuzz {

// An intact object and where its parts are.
class Specimen {
 public:
  explicit Specimen(std::vector<std::byte> bytes);
  // A copy with one to four changes.
  std::vector<std::byte> damaged(Random& random) const;

 private:
  struct Part {
    size_t offset = 0;
    size_t size = 0;
  };
  // Records of one kind, of a fixed size or at known places.
  struct Table {
    Part part;
    size_t record = 1;
  };
  void find_tables();
  void find_types(const Part& section);

  std::vector<std::byte> bytes_;
  Part header_, sections_;
  std::vector<Table> tables_;  // symbols, relocations, instructions, section headers
  std::vector<size_t> types_;  // offsets of BTF type records
  std::vector<Part> parts_;    // all sections that the loader reads
};

}  // namespace uarena::fuzz
