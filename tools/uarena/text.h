// Text as a person meets it: numbers read from arguments with errors that say what is allowed,
// numbers written with units, and text of peers made safe for a terminal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ipc/base/result.h"

namespace uarena::cli {

// A decimal or 0x… number in [min, max]. `what` names the argument in the sentence of an error:
// "--pages 0: allowed are 1..1048576" (EINVAL, Why::usage).
Result<uint64_t> parse_number(std::string_view what, std::string_view text, uint64_t min,
                              uint64_t max);

// A byte range "OFF:LEN" that lies in [0, size). Both are numbers as above.
struct ByteRange {
  uint64_t offset = 0;
  uint64_t length = 0;
};
Result<ByteRange> parse_range(std::string_view what, std::string_view text, uint64_t size);

// The rule for names of arenas, programs and objects (abi.h, UARENA_NAME_SIZE).
Result<std::string> parse_name(std::string_view what, std::string_view text);

std::string grouped(uint64_t number);                    // 1,048,576
std::string with_unit(uint64_t bytes);                   // 4 GiB, 12.5 KiB
std::string duration(uint64_t nanoseconds);              // 83 ns, 1.25 us
std::string hex(uint64_t number);                        // 0x7e9000000000
std::string counted(uint64_t n, std::string_view noun);  // 1 page, 3 pages

// Longer text of a peer (a log, a listing): newlines and tabs stay, every other control or
// non-ASCII byte becomes \xNN, so that it can't drive the terminal.
std::string printable(std::string_view untrusted);

}  // namespace uarena::cli
