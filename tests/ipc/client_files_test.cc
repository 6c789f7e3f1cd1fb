// The files that a client hands over and receives, and the reading of /proc/PID/maps.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "ipc/abi.h"
#include "ipc/base/memory_map.h"
#include "ipc/client/object_file.h"
#include "ipc/client/occupant.h"
#include "ipc/client/received_file.h"
#include "tests/ipc/ipc_testing.h"

namespace uarena::ipc {
namespace {

using testing::memory_file;

TEST(ReceivedFile, IsReadWhole) {
  const Fd file = memory_file();
  EXPECT_EQ(read_text_untrusted(file), "");
  const std::string text(100000, 'x');
  ASSERT_EQ(::write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  EXPECT_EQ(read_text_untrusted(file), text);  // from the start, whatever the position
  EXPECT_EQ(read_file_untrusted(file)->size(), text.size());
}

TEST(ReceivedFile, IsARegularFileOfReasonableSize) {
  EXPECT_EQ(read_text_untrusted(memory_file(kMaxReceivedFile + 1)).error().code, EPROTO);
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const Fd reader(ends[0]), writer(ends[1]);
  EXPECT_EQ(read_text_untrusted(reader).error().code, EPROTO);
}

TEST(ObjectFile, NamesComeFromPaths) {
  EXPECT_EQ(object_name("/a/b/list.bpf.o"), "list");
  EXPECT_EQ(object_name("list.o"), "list");
  EXPECT_EQ(object_name("list"), "list");
  EXPECT_EQ(object_name("a b\xc3\xa4.o"), "a_b__");
  EXPECT_EQ(object_name(std::string(200, 'x')), std::string(63, 'x'));
  EXPECT_EQ(object_name(".o"), ".o");
  EXPECT_EQ(object_name("dir/"), "object");
}

TEST(ObjectFile, WhatCannotBeOpenedIsNamed) {
  char name[] = "/tmp/uarena-object-XXXXXX";
  const std::filesystem::path directory = ::mkdtemp(name);
  const auto missing = read_object_file(directory / "x.o");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ENOENT);
  EXPECT_EQ(missing.error().why, Why::not_found);
  EXPECT_NE(missing.error().message.find(directory / "x.o"), std::string::npos);
  EXPECT_EQ(read_object_file(directory).error().code, EISDIR);
  ASSERT_EQ(::mkfifo((directory / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(read_object_file(directory / "fifo").error().code, EINVAL);  // and does not wait
  std::ofstream(directory / "real.o") << "x";
  const auto real = read_object_file(directory / "real.o");
  ASSERT_TRUE(real);
  EXPECT_GE(::fcntl(real->get(), F_GET_SEALS), 0);  // memory, whatever the file lies on
  char byte = 0;
  EXPECT_EQ(::pread(real->get(), &byte, 1, 0), 1);
  EXPECT_EQ(byte, 'x');
  std::filesystem::resize_file(directory / "real.o", UARENA_MAX_OBJECT + 1);
  EXPECT_EQ(read_object_file(directory / "real.o").error().code, EFBIG);
  std::filesystem::remove_all(directory);
}

constexpr std::string_view kMaps =
    "10000000-10002000 r--p 00000000 fe:01 1234                               /usr/bin/a b\n"
    "10002000-10003000 rw-p 00000000 00:00 0 \n"
    "7e9000000000-7e9000001000 rw-s 00000000 00:01 99                         /memfd:x (deleted)\n"
    "7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]\n";

TEST(Occupant, TheFirstThatOverlaps) {
  EXPECT_EQ(find_occupant(kMaps, 0x10000000, 0x20000000)->name, "/usr/bin/a b");
  EXPECT_EQ(find_occupant(kMaps, 0x10001fff, 0x10002000)->name, "/usr/bin/a b");
  EXPECT_EQ(find_occupant(kMaps, 0x10002000, 0x10002001)->name, "anonymous memory");
  EXPECT_EQ(find_occupant(kMaps, 0x7e8f00000000, 0x7e9000000001)->name, "/memfd:x (deleted)");
  const auto stack = find_occupant(kMaps, 0x7ffc00010000, 0x7ffc00011000);
  ASSERT_TRUE(stack);
  EXPECT_EQ(stack->name, "[stack]");
  EXPECT_EQ(stack->start, 0x7ffc00000000u);
  EXPECT_EQ(stack->end, 0x7ffc00021000u);
  EXPECT_FALSE(find_occupant(kMaps, 0x10003000, 0x20000000));
  EXPECT_FALSE(find_occupant(kMaps, 0, 0x10000000));
}

TEST(Occupant, OddTextIsNoOccupant) {
  EXPECT_FALSE(find_occupant("", 0, UINT64_MAX));
  EXPECT_FALSE(find_occupant("\n\nzz-yy r--p\n10-\n10 \n-20 r\n", 0, UINT64_MAX));
  EXPECT_EQ(find_occupant("10-20", 0, 0x100)->name, "anonymous memory");
}

TEST(Occupant, OfThisProcess) {
  int local = 0;
  const auto address = reinterpret_cast<uint64_t>(&local);
  EXPECT_TRUE(find_occupant(address, address + 1));
  const auto map =
      MemoryMap::create(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, "a page");
  ASSERT_TRUE(map);
  EXPECT_TRUE(find_occupant(map->address(), map->address() + 4096));
}

}  // namespace
}  // namespace uarena::ipc
