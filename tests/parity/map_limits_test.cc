// What maps the live kernel makes: the rows that the loader's own check is held against.
#include <gtest/gtest.h>

#include "tests/support/kernel_loader.h"
#include "tests/support/map_limit_rows.h"

namespace uarena::testing {
namespace {

// The kernel's own number, which no header of user space has; its answer where POSIX says ENOTSUP.
constexpr int kKernelEnotsupp = 524;

TEST(KernelMapLimits, AreWhatTheRowsSay) {
  if (const auto why = kernel_arena_unavailable()) GTEST_SKIP() << *why;
  for (const MapLimitRow& row : kMapLimitRows) {
    const auto map = create_kernel_map(
        {row.type, row.key_size, row.value_size, row.max_entries, row.map_flags, 0, "row"});
    int answer = map ? 0 : map.error().code;
    if (answer == kKernelEnotsupp) answer = ENOTSUP;
    EXPECT_EQ(answer, row.answer) << "type " << row.type << ", key " << row.key_size << ", value "
                                  << row.value_size << ", entries " << row.max_entries << ", flags "
                                  << row.map_flags;
  }
}

}  // namespace
}  // namespace uarena::testing
