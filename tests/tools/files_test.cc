// Contexts for programs: from files, from hex digits.
#include "tools/uarena/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tools/uarena/hex_dump.h"

namespace uarena::cli {
namespace {

class Files : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/uarena_files_XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string path(const std::string& name) const { return directory_ + "/" + name; }

  std::string directory_;
};

TEST_F(Files, HexDigits) {
  EXPECT_EQ(hex_bytes(read_bytes("--ctx-in", "hex:00fFa1", 16).value()), "00ffa1");
  EXPECT_TRUE(read_bytes("--ctx-in", "hex:", 16).value().empty());
  for (const char* bad : {"hex:0", "hex:0g", "hex:00 11", "hex:0x"}) {
    auto bytes = read_bytes("--ctx-in", bad, 16);
    ASSERT_FALSE(bytes.has_value()) << bad;
    EXPECT_EQ(bytes.error().why, Why::usage);
  }
}

Result<void> write(const std::string& target, std::span<const std::byte> bytes) {
  auto file = OutputFile::open("--ctx-out", target);
  if (!file) return std::unexpected(file.error());
  return file->write(bytes);
}

TEST_F(Files, WrittenIsRead) {
  std::vector<std::byte> bytes(10000, std::byte{0xa5});
  ASSERT_TRUE(write(path("ctx"), bytes).has_value());
  EXPECT_EQ(read_bytes("--ctx-in", path("ctx"), 10000).value(), bytes);
  // Replaced, not appended to.
  ASSERT_TRUE(write(path("ctx"), std::span(bytes).first(3)).has_value());
  EXPECT_EQ(read_bytes("--ctx-in", path("ctx"), 10000).value().size(), 3u);
  // Opened only, it keeps what it holds.
  ASSERT_TRUE(OutputFile::open("--ctx-out", path("ctx")).has_value());
  EXPECT_EQ(read_bytes("--ctx-in", path("ctx"), 10000).value().size(), 3u);
}

TEST_F(Files, LimitsAndMissingFiles) {
  std::vector<std::byte> bytes(17);
  ASSERT_TRUE(write(path("ctx"), bytes).has_value());
  EXPECT_TRUE(read_bytes("--ctx-in", path("ctx"), 17).has_value());
  auto large = read_bytes("--ctx-in", path("ctx"), 16);
  ASSERT_FALSE(large.has_value());
  EXPECT_EQ(large.error().why, Why::usage);
  EXPECT_THAT(large.error().message, testing::EndsWith("allowed are at most 16 bytes"));
  auto missing = read_bytes("--ctx-in", path("none"), 16);
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().why, Why::not_found);
  EXPECT_EQ(missing.error().code, ENOENT);
  EXPECT_EQ(read_bytes("--ctx-in", directory_, 16).error().code, EISDIR);
  EXPECT_EQ(OutputFile::open("--ctx-out", directory_).error().code, EISDIR);
}

}  // namespace
}  // namespace uarena::cli
