// A loaded object's file: what it says to a successor, and that others are refused.
#include "broker/object_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "broker/memory_file.h"

namespace uarena::broker {
namespace {

using ::testing::HasSubstr;

const std::vector<std::byte> kElf(5000, std::byte{0x5a});

ObjectFile make() {
  return ObjectFile::create({7, "list", 3, 1000, true, 2, 4, 11, 21}, kElf).value();
}
Result<ObjectFile> opened(const ObjectFile& file) {
  return ObjectFile::open_untrusted(Fd(::dup(file.fd())));
}

TEST(ObjectFile, SaysWhatWasLoaded) {
  const ObjectFile file = make();
  const auto successors = opened(file);
  ASSERT_TRUE(successors) << successors.error().message;
  const StoredObject& object = successors->object();
  EXPECT_EQ(object.id, 7U);
  EXPECT_EQ(object.name, "list");
  EXPECT_EQ(object.arena_id, 3U);
  EXPECT_EQ(object.owner_uid, 1000U);
  EXPECT_TRUE(object.interpret);
  EXPECT_EQ(object.programs, 2U);
  EXPECT_EQ(object.maps, 4U);
  EXPECT_EQ(object.first_program, 11U);
  EXPECT_EQ(object.first_map, 21U);
  EXPECT_EQ(successors->elf(), kElf);
}

TEST(ObjectFile, WhatWasUnloadedStaysSo) {
  ObjectFile file = make();
  EXPECT_FALSE(file.unloaded(0) || file.unloaded(1));
  file.set_unloaded(1);
  const auto successors = opened(file);
  ASSERT_TRUE(successors);
  EXPECT_FALSE(successors->unloaded(0));
  EXPECT_TRUE(successors->unloaded(1));
}

TEST(ObjectFile, OthersAreRefused) {
  const auto refusal = [](uint64_t offset, uint64_t word) {
    const ObjectFile file = make();
    EXPECT_EQ(::pwrite(file.fd(), &word, sizeof word, static_cast<off_t>(offset)), 8);
    auto refused = opened(file);
    EXPECT_FALSE(refused) << offset;
    return refused ? Error{} : refused.error();
  };
  EXPECT_EQ(refusal(0, 1).code, EINVAL);
  EXPECT_EQ(refusal(8, 2).code, EPROTONOSUPPORT);
  EXPECT_EQ(refusal(32, uint64_t{ObjectFile::kMaxPrograms + 1} << 32).code, EINVAL);
  EXPECT_EQ(refusal(64, uint64_t{1} << 40).code, EINVAL) << "more bytes than any object has";
  EXPECT_THAT(refusal(64, 1).message, HasSubstr("object's file")) << "another size than the file's";
  EXPECT_EQ(refusal(72, uint64_t{'/'}).code, EINVAL) << "no name";
  EXPECT_FALSE(ObjectFile::open_untrusted(Fd(::open("/dev/null", O_RDWR | O_CLOEXEC))));
  EXPECT_FALSE(ObjectFile::open_untrusted(create_sealed_memfd("short", 100).value()));
  // The same bytes in a file that somebody could still change the size of.
  Fd loose(::memfd_create("loose", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  std::vector<std::byte> bytes(72 + 64 + 256 + kElf.size());
  const ObjectFile file = make();
  ASSERT_EQ(::pread(file.fd(), bytes.data(), bytes.size(), 0), std::ssize(bytes));
  ASSERT_EQ(::pwrite(loose.get(), bytes.data(), bytes.size(), 0), std::ssize(bytes));
  EXPECT_FALSE(ObjectFile::open_untrusted(std::move(loose)));
}

}  // namespace
}  // namespace uarena::broker
