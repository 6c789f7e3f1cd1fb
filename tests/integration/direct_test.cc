// Arenas whose clients' faults are direct, through the library: what a client notices, and that the
// broker still knows the truth.
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include "tests/integration/library_fixture.h"

namespace uarena::testing {
namespace {

using ::testing::HasSubstr;

class Direct : public LibraryFixture {
 protected:
  static uarena_info create_direct(const Conn& conn, const std::string& name, uint32_t pages) {
    uarena_attr attr{};
    attr.map_type = UARENA_MAP_TYPE_ARENA;
    attr.max_entries = pages;
    attr.map_flags = UARENA_F_MMAPABLE;
    uarena_create_opts opts{};
    opts.sz = sizeof opts;
    opts.fault = UARENA_DIRECT;
    uarena_info info{};
    EXPECT_EQ(uarena_create_with(conn.get(), name.c_str(), &attr, &opts, &info), 0)
        << uarena_error();
    return info;
  }
  static int userfaultfds() {
    int found = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      found += std::filesystem::read_symlink(entry, gone).string().find("userfaultfd") !=
               std::string::npos;
    }
    return found;
  }
};

TEST_F(Direct, TheKernelFillsAndTheBrokerKnows) {
  const Conn conn = connect();
  const uarena_info arena = create_direct(conn, "heap", 64);
  const int before = userfaultfds();
  volatile char* base = attach(conn, arena.id);
  EXPECT_EQ(userfaultfds(), before);
  *page(base, 3) = 3;
  EXPECT_EQ(*page(base, 9), 0);
  EXPECT_EQ(stat(conn, arena.id).pages_allocated, 2u);
  EXPECT_EQ(stat(conn, arena.id).faults, 0u);
  EXPECT_EQ(uarena_alloc(conn.get(), arena.id, at(base, 3), 1, -1, 0), nullptr);
  void* given = uarena_alloc(conn.get(), arena.id, nullptr, 60, -1, 0);
  EXPECT_EQ(given, nullptr) << "two pages in the middle are taken";
  given = uarena_alloc(conn.get(), arena.id, nullptr, 50, -1, 0);
  EXPECT_EQ(given, at(base, 10));
  EXPECT_EQ(stat(conn, arena.id).pages_allocated, 52u);
  EXPECT_EQ(uarena_free(conn.get(), arena.id, at(base, 3), 1), 0);
  EXPECT_EQ(*page(base, 3), 0) << "gone, and new";
}

TEST_F(Direct, SystemCallsFillPagesToo) {
  const Conn conn = connect();
  const uarena_info arena = create_direct(conn, "heap", 64);
  volatile char* base = attach(conn, arena.id);
  EXPECT_EQ(uarena_syscalls_served(conn.get(), arena.id), 1);
  const Fd zero(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(::read(zero.get(), at(base, 5), 3 * UARENA_PAGE_SIZE), ssize_t{3 * UARENA_PAGE_SIZE});
  EXPECT_EQ(stat(conn, arena.id).pages_allocated, 3u);
}

TEST_F(Direct, WhatProgramsAllocateIsThere) {
  const Conn conn = connect();
  const uarena_info arena = create_direct(conn, "heap", 64);
  volatile char* base = attach(conn, arena.id);
  *page(base, 0) = 1;
  char* given = static_cast<char*>(uarena_alloc(conn.get(), arena.id, nullptr, 4, -1, 0));
  ASSERT_NE(given, nullptr);
  given[UARENA_PAGE_SIZE] = 7;
  EXPECT_EQ(stat(conn, arena.id).pages_allocated, 5u);
  EXPECT_EQ(uarena_free(conn.get(), arena.id, given, 4), 0);
  EXPECT_EQ(stat(conn, arena.id).pages_allocated, 1u);
  EXPECT_EQ(stat(conn, arena.id).blocks, 1u);
  EXPECT_EQ(uarena_detach(conn.get(), arena.id), 0);
  EXPECT_EQ(stat(conn, arena.id).clients, 0u);
  EXPECT_EQ(*page(attach(conn, arena.id), 0), 1);
}

TEST_F(Direct, OptionsAreChecked) {
  const Conn conn = connect();
  uarena_attr attr{};
  attr.map_type = UARENA_MAP_TYPE_ARENA;
  attr.max_entries = 4;
  attr.map_flags = UARENA_F_MMAPABLE;
  struct {
    uarena_create_opts known;
    uint64_t later;
  } opts{};
  const auto made = [&](size_t size) {
    opts.known.sz = size;
    return uarena_create_with(conn.get(), "a", &attr, &opts.known, nullptr);
  };
  EXPECT_EQ(made(0), -EINVAL);
  EXPECT_EQ(made(4), -EINVAL);
  opts.later = 1;
  EXPECT_EQ(made(sizeof opts), -E2BIG);
  EXPECT_THAT(uarena_error(), HasSubstr("of which this library knows"));
  opts.known.fault = 2;
  EXPECT_EQ(made(sizeof opts.known), -EINVAL);
  opts.known.fault = UARENA_DIRECT;
  attr.map_flags |= UARENA_F_SEGV_ON_FAULT;
  EXPECT_EQ(made(sizeof opts.known), -EINVAL);
  EXPECT_THAT(uarena_error(), HasSubstr("SEGV_ON_FAULT"));
  EXPECT_EQ(made(sizeof opts.known.sz), 0) << "an older caller's: without the ways of faults";
  EXPECT_EQ(uarena_create_with(conn.get(), "b", &attr, nullptr, nullptr), 0);
  opts.later = 0;
  opts.known.fault = UARENA_SERVED;
  attr.map_flags = UARENA_F_MMAPABLE;
  EXPECT_EQ(uarena_delete(conn.get(), 1), 0);
  EXPECT_EQ(made(sizeof opts), 0) << uarena_error();
}

}  // namespace
}  // namespace uarena::testing
