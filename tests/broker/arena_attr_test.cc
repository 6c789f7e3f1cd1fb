// Attributes of a new arena: the kernel's errnos (K2-K5), its order, and names.
#include "broker/arena_attr.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace uarena::broker {
namespace {

ArenaAttr good() {
  ArenaAttr attr;
  attr.max_entries = 16;
  attr.map_flags = kBpfFMmapable;
  return attr;
}

int code_of(const ArenaAttr& attr) {
  const auto checked = check_attr_untrusted(attr);
  return checked ? 0 : checked.error().code;
}

TEST(ArenaAttr, AcceptsWhatTheKernelAccepts) {
  ArenaAttr attr = good();
  EXPECT_EQ(code_of(attr), 0);
  attr.map_flags |= kBpfFSegvOnFault | kBpfFNoUserConv;
  EXPECT_EQ(code_of(attr), 0);
  attr.max_entries = kMaxArenaPages;  // exactly 4 GiB (K4)
  EXPECT_EQ(code_of(attr), 0);
  attr.map_extra = uint64_t{1} << 44;
  EXPECT_EQ(code_of(attr), 0);
}

TEST(ArenaAttr, EachWrongAttributeIsEinval) {
  const auto wrong = [](auto change) {
    ArenaAttr attr = good();
    change(attr);
    return code_of(attr);
  };
  EXPECT_EQ(wrong([](ArenaAttr& a) { a.map_type = 2; }), EINVAL);
  EXPECT_EQ(wrong([](ArenaAttr& a) { a.key_size = 4; }), EINVAL);
  EXPECT_EQ(wrong([](ArenaAttr& a) { a.value_size = 8; }), EINVAL);
  EXPECT_EQ(wrong([](ArenaAttr& a) { a.max_entries = 0; }), EINVAL);
  EXPECT_EQ(wrong([](ArenaAttr& a) { a.map_flags = 0; }), EINVAL);
  for (unsigned bit = 0; bit < 32; ++bit) {
    const uint32_t flag = uint32_t{1} << bit;
    EXPECT_EQ(wrong([&](ArenaAttr& a) { a.map_flags |= flag; }),
              (kArenaFlags & flag) == 0 ? EINVAL : 0)
        << bit;
  }
  EXPECT_EQ(wrong([](ArenaAttr& a) { a.map_extra = 0x1001; }), EINVAL);
}

TEST(ArenaAttr, SizeAndBoundary) {
  ArenaAttr attr = good();
  attr.max_entries = kMaxArenaPages + 1;
  EXPECT_EQ(code_of(attr), E2BIG);
  attr.max_entries = 2;
  attr.map_extra = 0x7e92ffffe000;  // ends exactly on the boundary (K5)
  EXPECT_EQ(code_of(attr), 0);
  attr.max_entries = 3;
  EXPECT_EQ(code_of(attr), ERANGE);
  attr.map_extra = 0xfffffffffffff000;  // wraps
  attr.max_entries = 2;
  EXPECT_EQ(code_of(attr), ERANGE);
}

TEST(ArenaAttr, OrderIsTheKernels) {
  ArenaAttr attr = good();
  attr.max_entries = kMaxArenaPages + 1;
  attr.map_extra = 0x7e92fffff001;  // unaligned before too big before crossing
  EXPECT_EQ(code_of(attr), EINVAL);
  attr.map_extra = 0x7e92fffff000;
  EXPECT_EQ(code_of(attr), E2BIG);
}

TEST(ArenaAttr, SentencesSayWhatIsAllowed) {
  ArenaAttr attr = good();
  attr.max_entries = 3;
  attr.map_extra = 0x7e92ffffe000;
  EXPECT_THAT(check_attr_untrusted(attr).error().message, testing::HasSubstr("at most 2 pages"));
  attr.max_entries = 0;
  EXPECT_THAT(check_attr_untrusted(attr).error().message, testing::HasSubstr("1..1048576"));
}

TEST(ArenaAttr, NonCanonicalIsCreatableButNotMappable) {
  ArenaAttr attr = good();
  attr.max_entries = 1;
  attr.map_extra = 0xfffffffffffff000;  // K3
  EXPECT_EQ(code_of(attr), 0);
  EXPECT_EQ(check_mappable(attr.map_extra, kPageSize).error().code, ENOMEM);
  EXPECT_EQ(check_mappable(0x800000000000, kPageSize).error().code, ENOMEM);
  EXPECT_EQ(check_mappable(kUserAddressEnd - kPageSize, 2 * kPageSize).error().code, ENOMEM);
  EXPECT_TRUE(check_mappable(kUserAddressEnd - kPageSize, kPageSize));
  EXPECT_TRUE(check_mappable(0x7e9000000000, kMaxArenaSize));
}

TEST(ArenaName, LettersDigitsAndThreeSigns) {
  EXPECT_TRUE(check_name_untrusted("a"));
  EXPECT_TRUE(check_name_untrusted("Heap_2.old-x"));
  EXPECT_TRUE(check_name_untrusted(std::string(63, 'x')));
  for (const std::string& bad : {std::string(), std::string(64, 'x'), std::string("a b"),
                                 std::string("a/b"), std::string("."), std::string(".."),
                                 std::string("a\0b", 3), std::string("\x1b[2J"), std::string("é")})
    EXPECT_EQ(check_name_untrusted(bad).error().code, EINVAL) << bad;
  EXPECT_THAT(check_name_untrusted("\x1b[2J").error().message,
              testing::Not(testing::HasSubstr("\x1b")));
}

}  // namespace
}  // namespace uarena::broker
