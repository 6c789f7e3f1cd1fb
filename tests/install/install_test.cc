// `cmake --install` into a directory of the test's own, and what a stranger does with the result:
// builds clients with pkg-config and with CMake, compiles a BPF program, and runs all that against
// a real broker.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "tests/support/broker_process.h"

namespace uarena::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kSources = UARENA_SOURCE_DIR "/tests/install/";

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class Installed : public ::testing::Test {
 protected:
  void SetUp() override {
    shell("cmake --install " UARENA_BUILD_DIR " --prefix " + prefix_);
    library_ = fs::exists(prefix_ + "/lib/libuarena.so")
                   ? prefix_ + "/lib"
                   : fs::path(find("libuarena.so")).parent_path().string();
  }
  // A shell's line that must succeed; what it printed.
  std::string shell(const std::string& line) {
    const RunOutput done = run_command(
        {"/bin/sh", "-c",
         "exec 2>&1; cd " + dir_.path() + "; cmake() { " UARENA_CMAKE " \"$@\"; }; " + line});
    EXPECT_EQ(done.exit_code(), 0) << line << "\n" << done.out << done.err;
    return done.out;
  }
  std::string find(const std::string& name) {
    for (const auto& entry : fs::recursive_directory_iterator(prefix_))
      if (entry.path().filename() == name) return entry.path();
    return "";
  }
  std::string pkg_config(const std::string& options) {
    return "PKG_CONFIG_PATH=" + library_ + "/pkgconfig pkg-config " + options + " uarena";
  }
  // Runs a client that makes an arena of that name, or one that reads it.
  std::string client(const std::string& program, const std::string& arena) {
    return shell("LD_LIBRARY_PATH=" + library_ + " ./" + program + " " + broker_.socket() + " " +
                 arena);
  }

  TempDir dir_;
  const std::string prefix_ = dir_.path() + "/usr";
  std::string library_;
  BrokerProcess broker_;
};

TEST_F(Installed, ClientsByPkgConfig) {
  shell(UARENA_CC " -o c " + kSources + "client.c $(" + pkg_config("--cflags --libs") + ")");
  EXPECT_EQ(client("c", "heap"), "heap 4711\n");
  shell(UARENA_CXX " -std=c++17 -o cxx " + kSources + "client.cc $(" +
        pkg_config("--cflags --libs") + ")");
  EXPECT_EQ(client("cxx", "heap"), "heap 4711\n");
  EXPECT_EQ(shell(pkg_config("--modversion")), UARENA_VERSION "\n");
}

TEST_F(Installed, StaticClientNeedsNoLibrary) {
  shell(UARENA_CC " -o c " + kSources + "client.c $(" + pkg_config("--cflags") + ") " + library_ +
        "/libuarena.a $(" + pkg_config("--static --libs-only-l") + " | sed s/-luarena//)");
  EXPECT_EQ(client("c", "heap"), "heap 4711\n");
  EXPECT_THAT(shell("ldd c"), Not(HasSubstr("libuarena")));
}

TEST_F(Installed, ClientsByFindPackage) {
  shell("cp -r " + kSources + " sources");
  shell("cmake -S sources/project -B build -G Ninja -DCMAKE_PREFIX_PATH=" + prefix_ +
        " -DCMAKE_C_COMPILER=" UARENA_CC " -DCMAKE_CXX_COMPILER=" UARENA_CXX
        " && cmake --build build");
  EXPECT_EQ(client("build/client_c", "heap"), "heap 4711\n");
  EXPECT_EQ(client("build/client_cxx", "heap"), "heap 4711\n");
  EXPECT_EQ(client("build/client_static", "other"), "other 4711\n");
}

TEST_F(Installed, ProgramByTheHeader) {
  shell(UARENA_BPF_CLANG " -target bpf -mcpu=v4 -O2 -g -I" + prefix_ + "/include -c " + kSources +
        "program.bpf.c -o program.bpf.o");
  const std::string uarena = prefix_ + "/bin/uarena -s " + broker_.socket() + " -j ";
  shell(uarena + "prog load program.bpf.o");
  EXPECT_THAT(shell(uarena + "prog run page"), HasSubstr("\"retval\":1"));
}

// Nothing in it names where it was built, and the units name where it was installed.
TEST_F(Installed, KnowsItsPlaceAndNoOther) {
  const std::set<std::string> texts{".service", ".socket", ".pc", ".cmake",
                                    ".conf",    ".rules",  ".h",  ".hpp"};
  int checked = 0;
  for (const auto& entry : fs::recursive_directory_iterator(prefix_)) {
    if (!texts.contains(entry.path().extension())) continue;
    ++checked;
    const std::string text = text_of(entry.path());
    EXPECT_THAT(text, Not(HasSubstr(UARENA_BUILD_DIR))) << entry.path();
    EXPECT_THAT(text, Not(HasSubstr(UARENA_SOURCE_DIR))) << entry.path();
    if (entry.path().extension() == ".service") {
      EXPECT_THAT(text, HasSubstr("ExecStart=" + prefix_ + "/bin/uarena")) << entry.path();
      EXPECT_THAT(text, HasSubstr("ExecStartPre=+" + prefix_ + "/libexec/uarena-start"))
          << entry.path();
      EXPECT_THAT(text, Not(HasSubstr("@bindir@"))) << entry.path();
    }
  }
  EXPECT_GE(checked, 13);
  for (const char* page : {"uarena.1", "uarenad.8", "uarenafs.8"})
    EXPECT_NE(find(page), "") << page;
  EXPECT_NE(find("LICENSE"), "");
}

// DESTDIR is where packages are made; it is no part of any path.
TEST_F(Installed, PackagedElsewhere) {
  shell("DESTDIR=" + dir_.path() +
        "/package cmake --install " UARENA_BUILD_DIR " --prefix /opt/uarena");
  const std::string root = dir_.path() + "/package/opt/uarena";
  EXPECT_THAT(text_of(root + "/lib/systemd/system/uarenad.service"),
              HasSubstr("ExecStart=/opt/uarena/bin/uarenad "));
  for (const char* program : {"bin/uarenad", "bin/uarena", "bin/uarenafs", "libexec/uarena-start"})
    EXPECT_THAT(shell(root + "/" + program + " --version"), HasSubstr(UARENA_VERSION));
}

}  // namespace
}  // namespace uarena::testing
