#include "tests/fuzz/files/samples.h"

#include "ipc/abi.h"
#include "ipc/base/page.h"

namespace uarena::fuzz {
namespace {

void put(Bytes& bytes, uint64_t value, size_t size) {
  const auto word = std::as_bytes(std::span(&value, 1)).first(size);
  bytes.insert(bytes.end(), word.begin(), word.end());
}

Bytes memory_sample(Random& random) {
  Bytes bytes;
  const uint64_t pages = 1 + random.below(kMostFilePages);
  const auto number = [&] { return random.one_in(8) ? extreme(random) : random.below(pages + 2); };
  put(bytes, pages - 1, 4);
  const uint64_t extents = random.below(kMostFileRecords);
  put(bytes, extents, 1);
  for (uint64_t n = 0; n < extents; ++n) {
    put(bytes, number(), 4);
    put(bytes, number(), 4);
    put(bytes, 1 + random.below(UARENA_ORIGIN_RESERVED), 4);
    put(bytes, 0, 4);
  }
  uint64_t offset = 0;
  for (uint64_t n = 1 + random.below(8); n > 0; --n) {
    const uint64_t length = random.one_in(4) ? extreme(random) : random.below(3) * kPageSize;
    if (random.one_in(2)) offset = random.one_in(6) ? extreme(random) : number() * kPageSize;
    put(bytes, offset, 8);
    put(bytes, length, 4);
    put(bytes, random.below(3), 4);
    offset += static_cast<uint32_t>(length);
  }
  return bytes;
}

// Records are mostly zeros, with numbers and pieces of strange text anywhere.
Bytes records_sample(Random& random) {
  constexpr std::string_view kPieces[] = {
      "name",         "\"", "\\", "\n",   "\r\n",         "\x1b[2J", "\xff", "\xc3\xa4",
      "\xed\xa0\x80", "{",  ": ", "\x7f", "\xe2\x80\xa8", "</",      "\t",   "%s"};
  Bytes bytes(random.below(4096));
  for (uint64_t n = bytes.size() / 8; n > 0 && !bytes.empty(); --n) {
    const uint64_t word = extreme(random);
    Bytes some = bytes_of_text(kPieces[random.below(std::size(kPieces))]);
    if (random.one_in(2)) {
      some.clear();
      put(some, word, random.one_in(2) ? 4 : 8);
    }
    const size_t at = random.below(bytes.size());
    std::copy_n(some.begin(), std::min(some.size(), bytes.size() - at),
                bytes.begin() + static_cast<ptrdiff_t>(at));
  }
  return bytes;
}

Bytes node_sample(Random& random) {
  Bytes bytes;
  put(bytes, random.below(10), 1);
  for (int n = 0; n < 3; ++n) put(bytes, extreme(random), 8);
  Bytes name = bytes_of_text(std::to_string(extreme(random)));
  if (random.one_in(2)) damage(random, name);
  bytes.insert(bytes.end(), name.begin(), name.end());
  return bytes;
}

}  // namespace

Bytes make_files_input(Random& random) {
  const auto kind = static_cast<FilesKind>(random.below(kFilesKinds));
  Bytes bytes = kind == FilesKind::memory ? memory_sample(random)
                : kind == FilesKind::node ? node_sample(random)
                                          : records_sample(random);
  bytes.insert(bytes.begin(), static_cast<std::byte>(kind));
  return bytes;
}

}  // namespace uarena::fuzz
