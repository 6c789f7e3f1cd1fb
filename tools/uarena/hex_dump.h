// Bytes of an arena as `page dump` prints them: 16 to a line with their addresses, repeated lines
// folded into one `*`, absent pages named instead of shown as the zeros that they are not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ipc/abi.h"
#include "ipc/base/page.h"

namespace uarena::cli {

// A stretch of the range that is either all present or all absent; bytes from user_vm_start.
struct Stretch {
  uint64_t offset = 0;
  uint64_t length = 0;
  bool present = false;
  friend bool operator==(const Stretch&, const Stretch&) = default;
};
// [offset, offset + length) cut where presence changes. Extents are ascending; reserved pages are
// absent.
std::vector<Stretch> stretches(const std::vector<uarena_page_extent>& extents, uint64_t offset,
                               uint64_t length);

// Feeds pieces in the order of their addresses, each beginning where the previous one ended.
class HexDump {
 public:
  // The lines that these bytes complete. Only the last piece before a gap may have a length that
  // is no multiple of 16.
  std::string bytes(uint64_t address, std::span<const std::byte> bytes);
  std::string absent(uint64_t address, uint64_t length);
  // After the last piece: the end of a fold.
  std::string finish();

 private:
  std::string line(uint64_t address, std::span<const std::byte> bytes);
  std::string last_;           // the bytes of the last line that was printed
  uint64_t repeats_ = 0;       // lines since then that are the same, not printed yet
  uint64_t last_address_ = 0;  // of the last of them
};

// "00ff" without blanks.
std::string hex_bytes(std::span<const std::byte> bytes);

}  // namespace uarena::cli
