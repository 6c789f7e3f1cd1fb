// An object file that a test damages at a known place: sections are found by name in the intact
// file, so a test says what it breaks and not where the compiler happened to put it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "jit/loader/elf_file.h"
#include "tests/support/bpf_objects.h"

namespace uarena::jit {

class ObjectImage {
 public:
  explicit ObjectImage(const std::string& name) : bytes_(testing::read_bpf_object(name)) {
    auto elf = read_elf(bytes_);
    EXPECT_TRUE(elf.has_value()) << elf.error().message;
    if (elf) elf_ = std::move(*elf);
  }
  ObjectImage(const ObjectImage&) = delete;  // elf_ looks into bytes_
  ObjectImage& operator=(const ObjectImage&) = delete;

  std::vector<std::byte>& bytes() { return bytes_; }
  // What the intact file says.
  const ElfFile& elf() const { return elf_; }

  // Offset in the file of a section's first byte.
  size_t offset_of(std::string_view section) const {
    const ElfSection* found = elf_.find(section);
    EXPECT_NE(found, nullptr) << section;
    return found == nullptr ? 0 : static_cast<size_t>(found->bytes.data() - bytes_.data());
  }

  template <typename T>
  T get(size_t at) const {
    T value;
    std::memcpy(&value, bytes_.data() + at, sizeof value);
    return value;
  }
  template <typename T>
  void put(size_t at, T value) {
    std::memcpy(bytes_.data() + at, &value, sizeof value);
  }

  // The loader's message, or "accepted".
  std::string verdict() const {
    const auto object = load_object(bytes_);
    return object ? "accepted" : object.error().message;
  }

 private:
  std::vector<std::byte> bytes_;
  ElfFile elf_;
};

}  // namespace uarena::jit
