// The whole command in-process: what it says and returns before and without a broker.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/tools/captured_output.h"
#include "tools/uarena/context.h"
#include "tools/uarena/help.h"

namespace uarena::cli {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct Ran {
  ExitCode code;
  std::string out, err;
};

Ran run(const std::vector<std::string>& words) {
  CapturedStream out, err;
  ExitCode code = run_uarena(words, out.file(), err.file());
  return {code, out.text(), err.text()};
}

// A path at which nobody listens.
std::string nowhere() {
  return fmt::format("{}/uarena_nowhere_{}.sock", std::filesystem::temp_directory_path().string(),
                     ::getpid());
}

void expect_usage(std::vector<std::string> words, const std::string& sentence) {
  words.insert(words.begin(), {"-s", nowhere()});
  Ran ran = run(words);
  EXPECT_EQ(ran.code, ExitCode::usage) << sentence;
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "uarena: " + sentence + "\n");
}

TEST(Run, HelpOfEveryCommand) {
  EXPECT_EQ(run({"help"}).out, help_all());
  for (const Object& object : command_table()) {
    Ran of_object = run({std::string(object.name), "help"});
    EXPECT_EQ(of_object.code, ExitCode::ok);
    EXPECT_EQ(of_object.out, help_object(object));
    for (const Command& command : object.commands) {
      for (std::string_view name : command.names) {
        Ran ran = run({std::string(object.name), std::string(name), "--help"});
        EXPECT_EQ(ran.code, ExitCode::ok);
        EXPECT_EQ(ran.err, "");
        EXPECT_EQ(ran.out, help_command(object, command));
      }
    }
  }
}

TEST(Run, Version) {
  EXPECT_EQ(run({"-V"}).out, "uarena " UARENA_VERSION ", wire format 1\n");
  EXPECT_EQ(run({"-V", "-j"}).out, "{\"version\":1,\"uarena\":\"" UARENA_VERSION "\",\"abi\":1}\n");
}

TEST(Run, TheManualPageIsTheCommittedOne) {
  std::ifstream file(std::string(UARENA_SOURCE_DIR) + "/docs/man/uarena.1");
  ASSERT_TRUE(file.is_open());
  std::ostringstream committed;
  committed << file.rdbuf();
  EXPECT_EQ(run({"--man"}).out, committed.str()) << "uarena --man > docs/man/uarena.1";
}

// Without a broker: the arguments are judged before anyone is asked.
TEST(Run, BadArgumentsAreUsageErrors) {
  expect_usage({"arena", "create", "h", "--pages", "0"}, "--pages 0: allowed are 1..1048576");
  expect_usage({"arena", "create", "h", "--pages", "1048577"},
               "--pages 1048577: allowed are 1..1048576");
  expect_usage({"arena", "create", "h", "--pages", "-1"}, "--pages -1: allowed are 1..1048576");
  expect_usage({"arena", "create", "a b", "--pages", "1"},
               "NAME \"a b\": allowed are 1..63 characters of A-Z a-z 0-9 _ . -");
  expect_usage({"arena", "create", "h", "--pages", "1", "--addr", "0x1001"},
               "--addr 0x1001: allowed are multiples of 4096");
  expect_usage({"arena", "create", "h", "--pages", "1", "--addr", "here"},
               "--addr here: allowed are 0..0xffffffffffffffff");
  expect_usage({"arena", "create", "h", "--pages", "1", "--fault", "lazy"},
               "--fault lazy: allowed are served, direct");
  expect_usage({"arena", "create", "h", "--pages", "1", "--fault-around", "0"},
               "--fault-around 0: allowed are 1..512 or auto");
  expect_usage({"client", "show", "me"}, "ID me: allowed are 1..0xffffffffffffffff");
  expect_usage({"prog", "run", "3", "--repeat", "1000001"},
               "--repeat 1000001: allowed are 1..1000000");
  expect_usage({"prog", "run", "3", "--ctx-in", "hex:1"},
               "--ctx-in hex:1: allowed are pairs of hexadecimal digits");
  expect_usage({"prog", "run", "a b"},
               "NAME \"a b\": allowed are 1..63 characters of A-Z a-z 0-9 _ . -");
  expect_usage({"prog", "load", "x.o", "--log-level", "3"}, "--log-level 3: allowed are 0..2");
}

TEST(Run, APacketThatIsNotThere) {
  Ran ran = run({"-j", "prog", "run", "3", "--data-in", "/nonexistent/packet"});
  EXPECT_EQ(ran.code, ExitCode::not_found);
  EXPECT_THAT(ran.out, HasSubstr("\"errno\":2,\"exit_code\":3"));
}

TEST(Run, NobodyListens) {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"arena", "list"},
                                                {"arena", "create", "h", "--pages", "1"},
                                                {"arena", "delete", "h"},
                                                {"page", "map", "h"},
                                                {"prog", "run", "x"},
                                                {"client"},
                                                {"daemon"}}) {
    std::vector<std::string> all = {"-s", nowhere()};
    all.insert(all.end(), words.begin(), words.end());
    Ran ran = run(all);
    EXPECT_EQ(ran.code, ExitCode::unreachable) << words[0];
    EXPECT_THAT(ran.err, StartsWith("uarena: "));
    EXPECT_THAT(ran.err, HasSubstr(nowhere()));
    EXPECT_EQ(std::ranges::count(ran.err, '\n'), 1);
  }
}

TEST(Run, ErrorsAsJson) {
  Ran ran = run({"-s", nowhere(), "arena", "list", "-j"});
  EXPECT_EQ(ran.code, ExitCode::unreachable);
  EXPECT_EQ(ran.err, "");
  auto document = boost::json::parse(ran.out).as_object();
  EXPECT_EQ(document.at("version").as_int64(), 1);
  EXPECT_EQ(document.at("exit_code").as_int64(), 5);
  EXPECT_GT(document.at("errno").as_int64(), 0);
  EXPECT_THAT(std::string(document.at("error").as_string()), HasSubstr(nowhere()));
  Ran usage = run({"arena", "crate", "-p"});
  EXPECT_EQ(usage.code, ExitCode::usage);
  EXPECT_EQ(boost::json::parse(usage.out).at("exit_code").as_int64(), 2);
}

}  // namespace
}  // namespace uarena::cli
