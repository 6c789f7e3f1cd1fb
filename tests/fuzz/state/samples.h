// Samples of what a successor finds, damaged or not, and the one operation that makes and tries
// page tables. An input says what it is, how many bytes its file has, and which are at its front.
#pragma once

#include "broker/page_table.h"
#include "tests/fuzz/damage.h"
#include "tests/fuzz/random.h"

namespace uarena::fuzz {

enum class StateKind : uint8_t { state, ledger, name };
// A StateKind, the size of the file; then bytes, behind which is a hole.
inline constexpr size_t kStateHead = 1 + 8;
inline constexpr uint64_t kLargestStateFile = uint64_t{16} << 20;
inline constexpr uint32_t kMostPages = 1200;  // of a sample: more than one block of the table

// One operation as an arena makes them.
void operate(Random& random, broker::PageTable& table);

// A state file that has been in use, a ledger or an entry's name.
Bytes make_state_input(Random& random);

}  // namespace uarena::fuzz
