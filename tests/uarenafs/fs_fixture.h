// A broker, this process as a client of it, and a uarenafs that shows it.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <fstream>
#include <map>

#include "tests/integration/library_fixture.h"
#include "tests/uarenafs/fs_process.h"

namespace uarena::testing {

inline const std::string kFs = UARENA_BIN_DIR "/uarenafs";
using Words = std::vector<std::string>;

// Why there can be no FUSE mount here; empty: there can.
inline std::string no_fuse() {
  if (::geteuid() != 0) return "mounting without fusermount3 needs root";
  const Fd fuse(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  return fuse ? "" : std::string("/dev/fuse can't be opened: ") + strerrordesc_np(errno);
}

// What opening and reading a file comes to: its text, or an errno.
struct ReadResult {
  std::string text;
  int error = 0;
};
inline ReadResult read_file(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return {"", errno};
  ReadResult result;
  char block[4096];
  ssize_t n;
  while ((n = ::read(fd.get(), block, sizeof block)) > 0)
    result.text.append(block, static_cast<size_t>(n));
  if (n < 0) result.error = errno;
  return result;
}

inline std::map<std::string, std::string> values(const std::string& text) {
  std::map<std::string, std::string> found;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t colon = line.find(": ");
    EXPECT_NE(colon, std::string::npos) << line;
    found[line.substr(0, colon)] = line.substr(colon + 2);
  }
  return found;
}

inline int stat_errno(const std::string& path) {
  struct stat st{};
  return ::stat(path.c_str(), &st) == 0 ? 0 : errno;
}

class FsFixture : public LibraryFixture {
 protected:
  void SetUp() override {
    if (const std::string why = no_fuse(); !why.empty()) GTEST_SKIP() << why;
    fs_ = std::make_unique<FsProcess>(broker_.socket());
  }
  std::string at_fs(const std::string& path) const { return fs_->path() + "/" + path; }

  // A shell command that must succeed, its output.
  static std::string shell(const std::string& command) {
    const RunOutput output = run_command({"/bin/bash", "-c", "set -o pipefail; " + command});
    EXPECT_EQ(output.exit_code(), 0) << command << ": " << output.err;
    return output.out;
  }
  static std::vector<std::string> lines(const std::string& text) {
    std::vector<std::string> found;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) found.push_back(line);
    return found;
  }
  std::unique_ptr<ChildProcess> toucher(const std::string& arena) {
    auto child = std::make_unique<ChildProcess>(Words{UARENA_BIN_DIR "/toucher", arena, "--hold"},
                                                Words{"UARENA_SOCKET=" + broker_.socket()});
    EXPECT_THAT(child->read_line(), ::testing::StartsWith("attached"));
    return child;
  }

  std::unique_ptr<FsProcess> fs_;
};

}  // namespace uarena::testing
