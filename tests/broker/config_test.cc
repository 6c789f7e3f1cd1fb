#include "broker/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/broker_process.h"

namespace uarena::broker {
namespace {

uint64_t pages(const Config& config, uid_t uid, std::vector<gid_t> groups = {}) {
  return config.limits.of(uid, groups)[static_cast<size_t>(Resource::pages)];
}

TEST(Config, SaysWhoMayHaveWhat) {
  const auto config = parse_config_untrusted(R"(
[limits]
pages = 100
arenas = 7
[limits.group.root]
pages = 200
[limits.group.20]
pages = "unlimited"
[limits.user.nobody]
pages = 3
[limits.user.1000]
connections = 0
)",
                                             "x");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(pages(*config, 1), 100U);
  EXPECT_EQ(pages(*config, 1, {0}), 200U);
  EXPECT_EQ(pages(*config, 1, {0, 20}), kUnlimited);
  EXPECT_EQ(pages(*config, 65534, {0}), 3U);
  const Amounts amounts = config->limits.of(1000, {});
  EXPECT_EQ(amounts[static_cast<size_t>(Resource::arenas)], 7U);
  EXPECT_EQ(amounts[static_cast<size_t>(Resource::connections)], 0U);
  EXPECT_EQ(amounts[static_cast<size_t>(Resource::programs)], kUnlimited);
}

TEST(Config, NothingIsAConfiguration) {
  for (const char* text : {"", "# only this, \xc3\xa4\n", "[limits]\n", "limits = {}\n"})
    EXPECT_TRUE(parse_config_untrusted(text, "x")) << text;
}

TEST(Config, TheBrokerAsAWhole) {
  EXPECT_EQ(parse_config_untrusted("", "x")->pages_of_broker, std::nullopt);
  EXPECT_EQ(parse_config_untrusted("[broker]\n", "x")->pages_of_broker, std::nullopt);
  EXPECT_EQ(parse_config_untrusted("[broker]\npages = 7\n", "x")->pages_of_broker, 7U);
  EXPECT_EQ(parse_config_untrusted("[broker]\npages = \"unlimited\"\n", "x")->pages_of_broker,
            kUnlimited);
}

struct Wrong {
  const char* text;
  const char* message;  // a part of it
};

TEST(Config, ErrorsNameTheLineAndWhatIsAllowed) {
  const Wrong cases[] = {
      {"limit = 1\n", "x:1: 'limit' is unknown here, allowed are broker, limits"},
      {"broker = 1\n", "x:1: broker is a table"},
      {"[broker]\narenas = 1\n", "x:2: 'arenas' is unknown here, allowed are pages"},
      {"[broker]\npages = -1\n", "x:2: pages is a number from 0 on, or \"unlimited\""},
      {"\n\nlimits = 1\n", "x:3: limits is a table"},
      {"[limits]\n\nfish = 1\n",
       "x:3: 'fish' is unknown here, allowed are pages, arenas, programs, connections, "
       "descriptors, pending_faults, cpu_ms, connects, user, group"},
      {"[limits]\npages = -1\n", "x:2: pages is a number from 0 on, or \"unlimited\""},
      {"[limits]\npages = 1.5\n", "x:2: pages is"},
      {"[limits]\npages = \"many\"\n", "x:2: pages is"},
      {"[limits]\npages = true\n", "x:2: pages is"},
      {"[limits]\npages = [1]\n", "x:2: pages is"},
      {"[limits]\npages = 9223372036854775808\n", "x:2: "},
      {"[limits]\npages = 1\npages = 2\n", "x:3: "},
      {"[limits\n", "x:1: "},
      {"[limits]\nuser = 1\n", "x:2: limits.user is a table of users"},
      {"[limits]\n[limits.user]\n1 = 5\n", "x:3: limits.user.1 is a table"},
      {"[limits.user.no-such-user]\npages = 1\n", "x:1: there is no user 'no-such-user'"},
      {"[limits.group.no-such-group]\n", "x:1: there is no group 'no-such-group'"},
      {"[limits.user.4294967296]\n", "x:1: there is no user '4294967296'"},
      {"[limits.user.\"\\u001b[31m\"]\n", "x:1: there is no user '\\x1b[31m'"},
      {"[limits.user.0]\npagez = 1\n", "x:2: 'pagez' is unknown here"},
      {"\xff\xfe = 1\n", "x:1: "},
      {"[limits.user.\"root\\u0000\"]\n", "x:1: there is no user 'root\\x00'"},
      {"[limits.user.0]\n[limits.user.root]\n", "x:2: user 0 has a table already, 'root' is"},
      {"[;limits]\n", "x:1: "},
      {"[li\xc3\xa4mits]\n", "x:1: "},
  };
  for (const Wrong& wrong : cases) {
    const auto config = parse_config_untrusted(wrong.text, "x");
    ASSERT_FALSE(config) << wrong.text;
    EXPECT_EQ(config.error().code, EINVAL);
    EXPECT_THAT(config.error().message, ::testing::StartsWith(wrong.message)) << wrong.text;
    EXPECT_EQ(config.error().message.find('\n'), std::string::npos) << wrong.text;
  }
}

TEST(Config, FilesThatCanNotBeRead) {
  const testing::TempDir dir;
  EXPECT_EQ(read_config(dir.path() + "/none").error().code, ENOENT);
  EXPECT_EQ(read_config(dir.path()).error().code, EISDIR);
  const std::string large = dir.path() + "/large";
  std::ofstream(large) << std::string(2 << 20, '#');
  EXPECT_EQ(read_config(large).error().code, EFBIG);
  const std::string good = dir.path() + "/good";
  std::ofstream(good) << "[limits]\npages = 4\n";
  EXPECT_EQ(pages(read_config(good).value(), 5), 4U);
}

}  // namespace
}  // namespace uarena::broker
