// Tables, JSON, colour, exit codes.
#include "tools/uarena/render.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>

#include "ipc/base/fd.h"
#include "tests/tools/captured_output.h"

namespace uarena::cli {
namespace {

// An environment variable for the length of a test.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name); old != nullptr) old_ = old;
    if (value != nullptr)
      ::setenv(name, value, 1);
    else
      ::unsetenv(name);
  }
  ~ScopedVariable() {
    if (old_)
      ::setenv(name_, old_->c_str(), 1);
    else
      ::unsetenv(name_);
  }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

TEST(Table, ColumnsAreAligned) {
  CapturedOutput captured;
  Table table({{"ID", Table::Align::right}, {"NAME"}, {"FLAGS"}});
  EXPECT_TRUE(table.empty());
  table.row({"1", "heap", "a"});
  table.row({"1000", "b", "long"});
  EXPECT_EQ(table.text(captured.output),
            "  ID  NAME  FLAGS\n"
            "   1  heap  a\n"
            "1000  b     long\n");
}

TEST(Table, OnlyTheHeadIsColoured) {
  CapturedOutput captured({.colour = true});
  Table table({{"ID"}});
  table.row({"1"});
  EXPECT_EQ(table.text(captured.output), "\x1b[1mID\x1b[0m\n1\n");
}

TEST(Properties, ValuesAreAligned) {
  CapturedOutput captured;
  EXPECT_EQ(properties(captured.output, {{"a", "1"}, {"long", "2"}}), "a     1\nlong  2\n");
}

TEST(Json, CompactAndPretty) {
  boost::json::object body{{"list", {1, "two", nullptr}},
                           {"empty", boost::json::array()},
                           {"object", {{"k", -1}}},
                           {"none", boost::json::object()}};
  EXPECT_EQ(json_text(body, Style::Json::compact),
            R"({"list":[1,"two",null],"empty":[],"object":{"k":-1},"none":{}})");
  EXPECT_EQ(json_text(body, Style::Json::pretty),
            "{\n"
            "  \"list\": [\n    1,\n    \"two\",\n    null\n  ],\n"
            "  \"empty\": [],\n"
            "  \"object\": {\n    \"k\": -1\n  },\n"
            "  \"none\": {}\n"
            "}");
  EXPECT_EQ(json_text(body, Style::Json::compact),
            boost::json::serialize(boost::json::parse(json_text(body, Style::Json::pretty))));
}

TEST(Json, VersionIsFirst) {
  CapturedOutput captured({.json = Style::Json::compact});
  captured.output.json({{"a", 1}});
  EXPECT_EQ(captured.out.text(), "{\"version\":1,\"a\":1}\n");
}

TEST(Json, SixtyFourBits) {
  EXPECT_EQ(json_hex(UINT64_MAX), "0xffffffffffffffff");
  EXPECT_EQ(boost::json::serialize(json_count(UINT64_MAX)), "18446744073709551615");
}

TEST(Output, ErrorsInBothForms) {
  Error error{ENOENT, "there is no arena \"x\"", Why::not_found};
  CapturedOutput plain;
  EXPECT_EQ(plain.output.error(error), ExitCode::not_found);
  EXPECT_EQ(plain.out.text(), "");
  EXPECT_EQ(plain.err.text(), "uarena: there is no arena \"x\"\n");
  CapturedOutput json({.json = Style::Json::compact});
  EXPECT_EQ(json.output.error(error), ExitCode::not_found);
  EXPECT_EQ(json.err.text(), "");
  EXPECT_EQ(json.out.text(),
            "{\"version\":1,\"error\":\"there is no arena \\\"x\\\"\",\"errno\":2,"
            "\"exit_code\":3}\n");
}

TEST(Output, ErrorTextCantDriveTheTerminal) {
  CapturedOutput plain;
  plain.output.error(Error{EINVAL, "\x1b[2J"});
  EXPECT_EQ(plain.err.text(), "uarena: \\x1b[2J\n");
}

TEST(Output, AFullDiskIsAnError) {
  std::FILE* full = std::fopen("/dev/full", "w");
  ASSERT_NE(full, nullptr);
  Output output(full, stderr, {});
  output.text("something");
  auto flushed = output.flush();
  ASSERT_FALSE(flushed.has_value());
  EXPECT_EQ(flushed.error().code, ENOSPC);
  std::fclose(full);
}

TEST(ExitCodes, WhyDecides) {
  EXPECT_EQ(exit_code_of({EINVAL, "", Why::usage}), ExitCode::usage);
  EXPECT_EQ(exit_code_of({ENOENT, "", Why::not_found}), ExitCode::not_found);
  EXPECT_EQ(exit_code_of({EPERM, "", Why::permission}), ExitCode::permission);
  EXPECT_EQ(exit_code_of({ENOENT, "", Why::unreachable}), ExitCode::unreachable);
  EXPECT_EQ(exit_code_of({EPROTO, "", Why::version}), ExitCode::version);
  // The kernel rejects with EACCES, too.
  EXPECT_EQ(exit_code_of({EACCES, "", Why::rejected}), ExitCode::rejected);
  EXPECT_EQ(exit_code_of({ENOMEM, "", Why::quota}), ExitCode::quota);
}

TEST(ExitCodes, ErrnoDecidesWhereWhyIsGeneral) {
  EXPECT_EQ(exit_code_of({EACCES, ""}), ExitCode::permission);
  EXPECT_EQ(exit_code_of({EPERM, ""}), ExitCode::permission);
  EXPECT_EQ(exit_code_of({ECONNREFUSED, ""}), ExitCode::unreachable);
  EXPECT_EQ(exit_code_of({EPROTONOSUPPORT, ""}), ExitCode::version);
  EXPECT_EQ(exit_code_of({EDQUOT, ""}), ExitCode::quota);
  EXPECT_EQ(exit_code_of({EBUSY, ""}), ExitCode::failed);
  EXPECT_EQ(exit_code_of({ENOENT, ""}), ExitCode::failed);
  EXPECT_EQ(exit_code_of({EOPNOTSUPP, ""}), ExitCode::failed);
}

TEST(Style, ColourFollowsWishEnvironmentAndTerminal) {
  CapturedStream stream;  // no terminal
  int controller = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  ASSERT_GE(controller, 0);
  Fd owner(controller);
  ASSERT_EQ(::grantpt(controller) + ::unlockpt(controller), 0);
  std::FILE* terminal = std::fopen(::ptsname(controller), "w");
  ASSERT_NE(terminal, nullptr);
  auto colour = [](std::FILE* file, ColourWish wish) {
    return detect_style(file, wish, Style::Json::off).colour;
  };
  ScopedVariable term("TERM", "xterm");
  {
    ScopedVariable no_color("NO_COLOR", nullptr);
    EXPECT_TRUE(colour(terminal, ColourWish::automatic));
    EXPECT_FALSE(colour(terminal, ColourWish::never));
    EXPECT_FALSE(colour(stream.file(), ColourWish::automatic));
    EXPECT_TRUE(colour(stream.file(), ColourWish::always));
    ScopedVariable dumb("TERM", "dumb");
    EXPECT_FALSE(colour(terminal, ColourWish::automatic));
  }
  ScopedVariable no_color("NO_COLOR", "1");
  EXPECT_FALSE(colour(terminal, ColourWish::automatic));
  EXPECT_TRUE(colour(terminal, ColourWish::always));
  std::fclose(terminal);
}

TEST(Style, LocaleAndWidth) {
  CapturedStream stream;
  auto style = [&] { return detect_style(stream.file(), ColourWish::automatic, Style::Json::off); };
  ScopedVariable all("LC_ALL", nullptr), ctype("LC_CTYPE", nullptr), lang("LANG", "C.UTF-8");
  ScopedVariable columns("COLUMNS", nullptr);
  EXPECT_TRUE(style().utf8);
  EXPECT_EQ(style().width, 80u);
  ScopedVariable stronger("LC_ALL", "C");
  EXPECT_FALSE(style().utf8);
  ScopedVariable wide("COLUMNS", "132");
  EXPECT_EQ(style().width, 132u);
  for (const char* bad : {"0", "-1", "many", "100000"}) {
    ScopedVariable wrong("COLUMNS", bad);
    EXPECT_EQ(style().width, 80u) << bad;
  }
}

}  // namespace
}  // namespace uarena::cli
