// The objects that uarena_bpf_object() built, by name. Only for targets made by uarena_test(),
// which says where they are.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "jit/object.h"

namespace uarena::testing {

inline std::vector<std::byte> read_bpf_object(const std::string& name) {
  std::ifstream file(fmt::format("{}/{}.bpf.o", UARENA_BPF_DIR, name), std::ios::binary);
  EXPECT_TRUE(file.good()) << name << ".bpf.o was not built: is it in the test's BPF list?";
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

// The loaded object; a test failure and an empty object when the loader refuses it.
inline jit::Object load_bpf_object(const std::string& name) {
  auto object = jit::load_object(read_bpf_object(name));
  EXPECT_TRUE(object.has_value()) << name << ": " << object.error().message;
  return object ? std::move(*object) : jit::Object{};
}

}  // namespace uarena::testing
