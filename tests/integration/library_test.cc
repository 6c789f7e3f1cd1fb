// libuarena against the real broker: attaching, pages, and what becomes of an attachment in forks
// and executed programs.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

#include "tests/integration/library_fixture.h"
#include "tests/support/ways.h"

namespace uarena::testing {
namespace {

using ::testing::HasSubstr;

class Library : public LibraryFixture {
 protected:
  // What a forked child says of itself; "" is well.
  static std::string in_child(const std::function<std::string()>& work) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
      const std::string text = work();
      [[maybe_unused]] const ssize_t written = ::write(ends[1], text.data(), text.size());
      ::_exit(text.empty() ? 0 : 1);
    }
    ::close(ends[1]);
    std::string text;
    char block[512];
    for (ssize_t n; (n = ::read(ends[0], block, sizeof block)) > 0;)
      text.append(block, static_cast<size_t>(n));
    ::close(ends[0]);
    int status = -1;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status)) text += "ended by a signal";
    return text;
  }
  std::string subject_syscalls(const std::string& arena, uid_t uid) {
    return ChildProcess({UARENA_BIN_DIR "/../tests/subject", broker_.socket(), arena, "syscalls"},
                        {}, uid)
        .read_all();
  }
  // read(2) of a page of zeros to there: bytes, or -errno.
  static ssize_t read_into(void* where) {
    const Fd zero(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
    const ssize_t got = ::read(zero.get(), where, UARENA_PAGE_SIZE);
    return got < 0 ? -errno : got;
  }
};

TEST_F(Library, AttachedOnceIsAttached) {
  const Conn conn = connect(), other = connect();
  const uarena_info arena = create(conn, "heap", 64);
  volatile char* base = attach(conn, arena.id);
  EXPECT_EQ(reinterpret_cast<uint64_t>(base), arena.user_vm_start);
  void* again = nullptr;
  EXPECT_EQ(uarena_attach(conn.get(), arena.id, 0, &again), -EALREADY);
  EXPECT_THAT(uarena_error(), HasSubstr("attached already"));
  // Another connection of the same process meets the first one's mapping.
  EXPECT_EQ(uarena_attach(other.get(), arena.id, 0, &again), -EEXIST);
  EXPECT_THAT(uarena_error(), HasSubstr("memfd"));
  EXPECT_EQ(again, nullptr);
  *page(base, 3) = 1;  // nothing of this harmed the attachment
  EXPECT_EQ(stat(conn, arena.id).clients, 1u);
  EXPECT_EQ(stat(conn, arena.id).pages_allocated, 1u);
  EXPECT_EQ(uarena_detach(conn.get(), arena.id), 0);
  EXPECT_EQ(uarena_detach(conn.get(), arena.id), -ENOENT);
  *page(attach(other, arena.id), 3) = 2;
  EXPECT_EQ(stat(conn, arena.id).pages_allocated, 1u);
}

TEST_F(Library, OccupiedAddressesAreNamed) {
  const Conn conn = connect();
  const uarena_info arena = create(conn, "heap", 64);
  // One page in the middle is enough.
  void* middle = reinterpret_cast<void*>(arena.user_vm_start + 32 * UARENA_PAGE_SIZE);
  const auto occupy = [&](int file, int flags) {
    return ::mmap(middle, UARENA_PAGE_SIZE, PROT_READ, flags | MAP_FIXED_NOREPLACE, file, 0);
  };
  void* base = nullptr;
  ASSERT_EQ(occupy(-1, MAP_PRIVATE | MAP_ANONYMOUS), middle);
  EXPECT_EQ(uarena_attach(conn.get(), arena.id, 0, &base), -EEXIST);
  EXPECT_THAT(uarena_error(), HasSubstr("anonymous memory"));
  ::munmap(middle, UARENA_PAGE_SIZE);
  const Fd self(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(occupy(self.get(), MAP_PRIVATE), middle);
  EXPECT_EQ(uarena_attach(conn.get(), arena.id, 0, &base), -EEXIST);
  EXPECT_THAT(uarena_error(), HasSubstr("library_test"));
  EXPECT_EQ(stat(conn, arena.id).clients, 0u);
  ::munmap(middle, UARENA_PAGE_SIZE);
  *page(attach(conn, arena.id), 32) = 1;
}

TEST_F(Library, ManyArenasComeAndGo) {
  const Conn conn = connect();
  std::vector<uarena_info> arenas;
  std::vector<volatile char*> bases;
  for (unsigned i = 0; i < 32; i++) {
    arenas.push_back(create(conn, "arena" + std::to_string(i), 16));
    bases.push_back(attach(conn, arenas[i].id));
    *page(bases[i], i % 16) = static_cast<char>(i + 1);
  }
  for (unsigned i = 0; i < 32; i += 2) EXPECT_EQ(uarena_detach(conn.get(), arenas[i].id), 0);
  for (unsigned i = 1; i < 32; i += 2) EXPECT_EQ(*page(bases[i], i % 16), static_cast<char>(i + 1));
  for (unsigned i = 0; i < 32; i += 2) {
    EXPECT_EQ(stat(conn, arenas[i].id).clients, 0u);
    EXPECT_EQ(attach(conn, arenas[i].id), bases[i]);
    EXPECT_EQ(*page(bases[i], i % 16), static_cast<char>(i + 1));
    EXPECT_EQ(*page(bases[i], (i + 1) % 16), 0);  // and its faults are answered again
    EXPECT_EQ(stat(conn, arenas[i].id).pages_allocated, 2u);
  }
}

TEST_F(Library, ArenasWithClientsCannotBeDeleted) {
  const Conn conn = connect();
  const uarena_info arena = create(conn, "heap", 16);
  attach(conn, arena.id);
  EXPECT_EQ(uarena_delete(conn.get(), arena.id), -EBUSY);
  EXPECT_THAT(uarena_error(), HasSubstr("process " + std::to_string(::getpid())));
  EXPECT_EQ(uarena_detach(conn.get(), arena.id), 0);
  EXPECT_EQ(uarena_delete(conn.get(), arena.id), 0) << uarena_error();
  uarena_info info{};
  EXPECT_EQ(uarena_stat(conn.get(), arena.id, &info), -ENOENT);
  void* base = nullptr;
  EXPECT_EQ(uarena_attach(conn.get(), arena.id, 0, &base), -ENOENT);
}

TEST_F(Library, Prefault) {
  const Conn conn = connect();
  const uarena_info plain = create(conn, "plain", 16);
  const uarena_info strict = create(conn, "strict", 16, UARENA_F_SEGV_ON_FAULT);
  volatile char* base = attach(conn, plain.id);
  *page(base, 2) = 1;
  // From the last byte of page 1 to the first of page 4: four pages, one of which is there.
  EXPECT_EQ(uarena_prefault(conn.get(), plain.id, const_cast<char*>(page(base, 2)) - 1,
                            2 * UARENA_PAGE_SIZE + 2),
            3);
  EXPECT_EQ(uarena_prefault(conn.get(), plain.id, at(base, 1), 3 * UARENA_PAGE_SIZE), 0);
  EXPECT_EQ(uarena_prefault(conn.get(), plain.id, at(base, 9), 0), 0);
  EXPECT_EQ(stat(conn, plain.id).pages_allocated, 4u);
  for (const auto& [first, length] :
       {std::pair<unsigned, size_t>{15, UARENA_PAGE_SIZE + 1}, {16, 1}, {0, SIZE_MAX / 2}}) {
    EXPECT_LT(uarena_prefault(conn.get(), plain.id, at(base, first), length), 0);
    EXPECT_STRNE(uarena_error(), "");
  }
  EXPECT_EQ(stat(conn, plain.id).pages_allocated, 4u);

  volatile char* strict_base = attach(conn, strict.id);
  EXPECT_EQ(uarena_prefault(conn.get(), strict.id, at(strict_base, 1), 1), -EFAULT);
  EXPECT_EQ(stat(conn, strict.id).pages_allocated, 0u);
  ASSERT_NE(uarena_alloc(conn.get(), strict.id, at(strict_base, 1), 2, -1, 0), nullptr);
  EXPECT_EQ(uarena_prefault(conn.get(), strict.id, at(strict_base, 1), 2 * UARENA_PAGE_SIZE), 0);
  EXPECT_EQ(uarena_prefault(conn.get(), strict.id, at(strict_base, 1), 3 * UARENA_PAGE_SIZE),
            -EFAULT);
}

TEST_F(Library, AllocFreeReserve) {
  const Conn conn = connect();
  const uarena_info arena = create(conn, "heap", 16, UARENA_F_SEGV_ON_FAULT);
  volatile char* base = attach(conn, arena.id);
  const auto alloc = [&](void* where, uint32_t count, int node = -1, uint64_t flags = 0) {
    errno = 0;
    return uarena_alloc(conn.get(), arena.id, where, count, node, flags);
  };
  EXPECT_EQ(alloc(nullptr, 2), at(base, 0));
  *page(base, 1) = 1;
  EXPECT_EQ(alloc(at(base, 8), 2), at(base, 8));
  const auto fails = [&](void* result, int error) {
    EXPECT_EQ(result, nullptr);
    EXPECT_EQ(errno, error) << uarena_error();
    EXPECT_STRNE(uarena_error(), "");
  };
  fails(alloc(at(base, 7), 2), ENOMEM);   // the second one is taken
  fails(alloc(at(base, 16), 1), ENOMEM);  // outside
  fails(alloc(nullptr, 7), ENOMEM);       // no gap
  fails(alloc(nullptr, 0), EINVAL);
  fails(alloc(nullptr, UINT32_MAX), EINVAL);
  fails(alloc(const_cast<char*>(page(base, 3)) + 8, 1), EINVAL);
  fails(alloc(nullptr, 1, -1, 1), EINVAL);
  EXPECT_EQ(stat(conn, arena.id).pages_allocated, 4u);

  EXPECT_EQ(uarena_reserve(conn.get(), arena.id, at(base, 4), 2), 0);
  EXPECT_EQ(uarena_reserve(conn.get(), arena.id, at(base, 5), 2), -EBUSY);
  EXPECT_EQ(uarena_reserve(conn.get(), arena.id, at(base, 15), 2), -EINVAL);
  EXPECT_EQ(uarena_reserve(conn.get(), arena.id, const_cast<char*>(page(base, 6)) + 1, 1),
            0);  // nothing, K41
  EXPECT_EQ(stat(conn, arena.id).pages_reserved, 2u);
  fails(alloc(at(base, 4), 1), ENOMEM);

  EXPECT_EQ(uarena_free(conn.get(), arena.id, at(base, 0), 9), 0);  // gaps are skipped
  EXPECT_EQ(stat(conn, arena.id).pages_allocated, 1u);
  EXPECT_EQ(uarena_free(conn.get(), arena.id, at(base, 9), 1000), 0);  // clipped
  EXPECT_EQ(stat(conn, arena.id).pages_allocated, 0u);
  EXPECT_EQ(alloc(at(base, 1), 1), at(base, 1));
  EXPECT_EQ(*page(base, 1), 0);  // not what was there before
}

TEST_F(Library, Programs) {
  const Conn conn = connect();
  const std::string bpf = std::string(UARENA_BPF_DIR) + "/";
  constexpr int kWhyRejected = 6;
  uarena_prog program{};
  ASSERT_EQ(uarena_prog_load(conn.get(), (bpf + "answers.bpf.o").c_str(), 0, &program, 1), 1);
  EXPECT_STREQ(program.name, "echo");
  EXPECT_STREQ(program.section, "syscall");
  EXPECT_EQ(program.ctx_size, 8u);
  EXPECT_GT(program.jited_bytes, 0u);
  EXPECT_EQ(program.arena_id, 0u);
  int32_t ctx[2] = {-5, 0}, retval = 0;
  uint64_t duration = 0;
  EXPECT_EQ(uarena_prog_run(conn.get(), program.id, ctx, sizeof ctx, &retval, &duration), 0);
  EXPECT_EQ(retval, -5);
  EXPECT_EQ(ctx[1], 1);
  EXPECT_EQ(uarena_prog_run(conn.get(), program.id, ctx, 4, &retval, nullptr), -EINVAL);
  EXPECT_THAT(uarena_error(), HasSubstr("8 bytes of context, 4 were given"));
  EXPECT_EQ(ctx[1], 1);
  // The object has two programs, of which one is refused; nothing of it remains.
  EXPECT_EQ(uarena_prog_load(conn.get(), (bpf + "second_is_bad.bpf.o").c_str(), 0, &program, 1),
            -EACCES);
  EXPECT_EQ(uarena_why(), kWhyRejected);
  EXPECT_THAT(uarena_error(), HasSubstr("program bad: insn 1"));
  EXPECT_THAT(uarena_log(), HasSubstr("R1"));
  uarena_info info{};
  EXPECT_EQ(uarena_find(conn.get(), "never_made", &info), -ENOENT);
  EXPECT_EQ(uarena_prog_load(conn.get(), (bpf + "none.o").c_str(), 0, nullptr, 0), -ENOENT);
  EXPECT_STREQ(uarena_log(), "");  // of the last load
  EXPECT_EQ(uarena_prog_load(conn.get(), (bpf + "globals.bpf.o").c_str(), 4711, nullptr, 0),
            -ENOENT);
}

TEST_F(Library, SystemCallsIntoAbsentPages) {
  answered_as_usual();
  const Conn conn = connect();
  const uarena_info plain = create(conn, "plain", 16);
  const uarena_info strict = create(conn, "strict", 16, UARENA_F_SEGV_ON_FAULT);
  volatile char* base = attach(conn, plain.id);
  volatile char* strict_base = attach(conn, strict.id);
  ASSERT_EQ(::geteuid(), 0u);
  EXPECT_EQ(uarena_syscalls_served(conn.get(), plain.id), 1);
  EXPECT_EQ(read_into(at(base, 1)), UARENA_PAGE_SIZE);
  EXPECT_EQ(stat(conn, plain.id).pages_allocated, 1u);
  EXPECT_EQ(uarena_syscalls_served(conn.get(), strict.id), 0);
  EXPECT_EQ(read_into(at(strict_base, 1)), -EFAULT);
  EXPECT_EQ(stat(conn, strict.id).pages_allocated, 0u);
  EXPECT_EQ(subject_syscalls("plain", 0), "served=1 before=4096 made=0 after=4096\n");
  EXPECT_EQ(uarena_free(conn.get(), plain.id, at(base, 0), 16), 0);
  // Without the privilege of a full userfaultfd.
  EXPECT_EQ(subject_syscalls("plain", kNobody), "served=0 before=-14 made=1 after=4096\n");
}

TEST_F(Library, ForkedChildHasNothing) {
  const Conn conn = connect();
  const uarena_info arena = create(conn, "heap", 16);
  volatile char* base = attach(conn, arena.id);
  *page(base, 1) = 1;
  const std::string problems = in_child([&] {
    uarena_conn* c = conn.get();
    uarena_info info{};
    uarena_attr attr{};
    void* where = nullptr;
    std::string bad;
    const auto expect = [&](const char* what, int64_t result) {
      if (result != -ECHILD) bad += std::string(what) + "=" + std::to_string(result) + " ";
    };
    expect("create", uarena_create(c, "a", &attr, &info));
    expect("find", uarena_find(c, "heap", &info));
    expect("stat", uarena_stat(c, arena.id, &info));
    expect("delete", uarena_delete(c, arena.id));
    expect("attach", uarena_attach(c, arena.id, 0, &where));
    expect("detach", uarena_detach(c, arena.id));
    expect("served", uarena_syscalls_served(c, arena.id));
    expect("prefault", uarena_prefault(c, arena.id, at(base, 2), 1));
    expect("alloc", uarena_alloc(c, arena.id, nullptr, 1, -1, 0) == nullptr ? -errno : 0);
    expect("free", uarena_free(c, arena.id, at(base, 1), 1));
    expect("reserve", uarena_reserve(c, arena.id, at(base, 3), 1));
    expect("load", uarena_prog_load(c, UARENA_BPF_DIR "/answers.bpf.o", 0, nullptr, 0));
    expect("run", uarena_prog_run(c, 1, nullptr, 0, nullptr, nullptr));
    expect("unload", uarena_prog_unload(c, 1));
    unsigned char resident[16];
    if (::mincore(at(base, 0), 16 * UARENA_PAGE_SIZE, resident) == 0 || errno != ENOMEM)
      bad += "mapped ";
    uarena_close(c);
    // A connection of its own is what it needs.
    uarena_conn* own = nullptr;
    if (uarena_connect(broker_.socket().c_str(), &own) != 0 ||
        uarena_attach(own, arena.id, 0, &where) != 0)
      return bad + uarena_error();
    if (*page(static_cast<volatile char*>(where), 1) != 1) bad += "value ";
    *page(static_cast<volatile char*>(where), 2) = 2;
    uarena_close(own);
    return bad;
  });
  EXPECT_EQ(problems, "");
  EXPECT_EQ(*page(base, 2), 2);  // nothing happened to the parent
  *page(base, 4) = 1;
  EXPECT_EQ(stat(conn, arena.id).pages_allocated, 3u);
  EXPECT_TRUE(wait_until([&] { return stat(conn, arena.id).clients == 1; }));
}

TEST_F(Library, ExecutedProgramInheritsNothing) {
  const Conn conn = connect();
  const uarena_info arena = create(conn, "heap", 16);
  volatile char* base = attach(conn, arena.id);
  *base = 1;
  load(conn, "answers");  // the run channel, too
  const std::string open_files = ChildProcess({"/bin/ls", "-l", "/proc/self/fd"}).read_all();
  EXPECT_THAT(open_files, HasSubstr("pipe:"));
  for (const char* kind : {"socket:", "userfaultfd", "memfd"})
    EXPECT_EQ(open_files.find(kind), std::string::npos) << open_files;
  EXPECT_EQ(ChildProcess({"/bin/cat", "/proc/self/maps"}).read_all().find("memfd"),
            std::string::npos);
}

}  // namespace
}  // namespace uarena::testing
