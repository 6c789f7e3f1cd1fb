// How a client ends: by exit, by exec, with a core dump, and what is left of it: the pages that it
// has made, and nothing else.
#include <elf.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>

#include "tests/parity/client_scenario.h"

namespace uarena::testing {
namespace {

std::string first_line(const std::string& path) {
  std::string line;
  std::getline(std::ifstream(path) >> std::ws, line);
  return line;
}

// Whether a process has something where the arena belongs.
bool has_mapping(pid_t pid) {
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  for (std::string line; std::getline(maps, line);)
    if (std::stoull(line, nullptr, 16) == kStart) return true;
  return false;
}

template <typename Side>
class Life : public ClientScenario<Side> {};
TYPED_TEST_SUITE(Life, AllSides, SideName);

TYPED_TEST(Life, ExitLeavesItsPages) {
  Child client([&](Line& line) {
    const Mapped mapped = this->side_->map_again();
    line.send(store_page(mapped.base, 1) + store_page(mapped.base, 2));
  });
  EXPECT_EQ(client.line().template receive<int>(), 0);
  EXPECT_EQ(describe(client.wait()), "exited 0");
  this->expect_nobody_left();
  EXPECT_EQ(this->taken(), 6u);
  EXPECT_EQ(this->peek(1), 1u);
  this->expect_others_served();
}

TYPED_TEST(Life, ExecLeavesItsPages) {
  Child client([&](Line& line) {
    const Mapped mapped = this->side_->map_again();
    line.send(store_page(mapped.base, 3));
    if (line.wait_go()) ::execl("/bin/sleep", "sleep", "1000", nullptr);
    ::_exit(1);
  });
  EXPECT_EQ(client.line().template receive<int>(), kFine);
  EXPECT_TRUE(has_mapping(client.pid()));
  client.line().go();
  const std::string comm = "/proc/" + std::to_string(client.pid()) + "/comm";
  ASSERT_TRUE(eventually([&] { return first_line(comm) == "sleep"; }));
  EXPECT_FALSE(has_mapping(client.pid()));
  this->expect_nobody_left();  // though the process lives
  EXPECT_EQ(this->taken(), 1u << 3);
  this->expect_others_served();
  client.kill(SIGKILL);
  EXPECT_EQ(describe(client.wait()), "killed by SIGKILL");
}

// --- core dumps ---

// Bytes of the arena that a core file has.
uint64_t dumped_bytes(const std::string& core) {
  std::ifstream file(core, std::ios::binary);
  Elf64_Ehdr header{};
  file.read(reinterpret_cast<char*>(&header), sizeof header);
  EXPECT_EQ(header.e_type, ET_CORE);
  uint64_t bytes = 0;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment{};
    file.seekg(static_cast<std::streamoff>(header.e_phoff + i * sizeof segment));
    file.read(reinterpret_cast<char*>(&segment), sizeof segment);
    const bool overlaps =
        segment.p_vaddr < kStart + kLength && segment.p_vaddr + segment.p_memsz > kStart;
    if (segment.p_type == PT_LOAD && overlaps) bytes += segment.p_filesz;
  }
  EXPECT_TRUE(file.good());
  return bytes;
}

// Not a Child, which never dumps.
template <typename Side>
int abort_with_core(const Side& side, const std::string& directory) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    rlimit limit{};
    ::getrlimit(RLIMIT_CORE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_CORE, &limit);
    const Mapped mapped = side.map_again();
    ::prctl(PR_SET_DUMPABLE, 1);  // which who changes its uid is not
    if (::chdir(directory.c_str()) != 0 || store_page(mapped.base, 2) != kFine) ::_exit(1);
    std::signal(SIGABRT, SIG_DFL);
    ::raise(SIGABRT);
    ::_exit(2);
  }
  int status = -1;
  ::waitpid(pid, &status, 0);
  return status;
}

TYPED_TEST(Life, ACoreDumpTakesNoPageAndHasNone) {
  const std::string pattern = first_line("/proc/sys/kernel/core_pattern");
  if (pattern.find_first_of("|/") != std::string::npos)
    GTEST_SKIP() << "core dumps go to " << pattern;
  const TempDir directory;
  ::chmod(directory.path().c_str(), 0777);
  const int status = abort_with_core(*this->side_, directory.path());
  ASSERT_TRUE(WIFSIGNALED(status)) << status;
  EXPECT_EQ(WTERMSIG(status), SIGABRT);
  if (!WCOREDUMP(status)) GTEST_SKIP() << "RLIMIT_CORE does not allow one";
  this->expect_nobody_left();
  EXPECT_EQ(this->taken(), 1u << 2);
  const auto core = std::filesystem::directory_iterator(directory.path());
  ASSERT_NE(core, std::filesystem::directory_iterator());
  EXPECT_EQ(dumped_bytes(core->path()), 0u);
  this->expect_others_served();
}

}  // namespace
}  // namespace uarena::testing
