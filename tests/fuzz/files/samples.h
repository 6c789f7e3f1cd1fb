// Samples for the fuzzer of files and views: a kind, and then values as it takes them.
#pragma once

#include "tests/fuzz/damage.h"

namespace uarena::fuzz {

enum class FilesKind : uint8_t { memory, node, texts, views };
inline constexpr unsigned kFilesKinds = 4;
inline constexpr uint32_t kMostFilePages = 64;
inline constexpr size_t kMostFileRecords = 6;

Bytes make_files_input(Random& random);

}  // namespace uarena::fuzz
