// The main job with everything real: the daemon, the command, a clang-built object, and clients
// that are processes of their own.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <boost/json.hpp>

#include "tests/support/broker_process.h"
#include "tests/support/ways.h"

namespace uarena::testing {
namespace {

namespace json = boost::json;

class MainJob : public ::testing::Test {
 protected:
  RunOutput uarena(std::vector<std::string> arguments, uid_t uid = 0) {
    std::vector<std::string> argv{std::string(UARENA_BIN_DIR) + "/uarena", "-s", broker_.socket(),
                                  "-j"};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return run_command(argv, "", uid);
  }
  json::object ok(std::vector<std::string> arguments) {
    const RunOutput output = uarena(arguments);
    EXPECT_EQ(output.exit_code(), 0) << output.out << output.err;
    boost::system::error_code error;
    const json::value value = json::parse(output.out, error);
    EXPECT_FALSE(error) << output.out;
    return value.is_object() ? value.get_object() : json::object();
  }
  // Runs a program and returns its context afterwards.
  std::string run(const std::string& program, const std::string& hex, int64_t retval = 0) {
    const json::object answer = ok({"prog", "run", program, "--ctx-in", "hex:" + hex});
    EXPECT_EQ(answer.at("retval").as_int64(), retval) << program;
    return std::string(answer.at("ctx_out").as_string());
  }
  std::unique_ptr<ChildProcess> client(const std::string& program,
                                       std::vector<std::string> arguments, uid_t uid = 0) {
    std::vector<std::string> argv{std::string(UARENA_BIN_DIR) + "/" + program};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return std::make_unique<ChildProcess>(
        argv, std::vector<std::string>{"UARENA_SOCKET=" + broker_.socket()}, uid);
  }
  static std::string object(const std::string& name) {
    return std::string(UARENA_BPF_DIR) + "/" + name + ".bpf.o";
  }

  static std::string le(uint64_t value, int bytes) {
    std::string hex;
    for (int i = 0; i < bytes; ++i, value >>= 8) hex += fmt::format("{:02x}", value & 255);
    return hex;
  }
  static uint64_t at(const std::string& hex, size_t offset, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = bytes; i-- > 0;)
      value = value << 8 | std::stoull(hex.substr((offset + i) * 2, 2), nullptr, 16);
    return value;
  }
  static std::string field(const std::string& line, const std::string& key) {
    const size_t start = (" " + line).find(" " + key + "=");
    if (start == std::string::npos) return "";
    const size_t value = start + key.size() + 1;
    return line.substr(value, line.find(' ', value) - value);
  }
  static uint64_t number(const json::value& hex) {
    return std::stoull(std::string(hex.as_string()), nullptr, 16);
  }

  BrokerProcess broker_;
};

TEST_F(MainJob, TwoClientsAttachFourGigabytesOfNothing) {
  const json::object made = ok({"arena", "create", "heap", "--pages", "1048576"});
  auto one = client("toucher", {"heap", "--hold"});
  auto two = client("toucher", {"heap", "--hold"});
  const std::string base(made.at("user_vm_start").as_string());
  EXPECT_EQ(field(one->read_line(), "base"), base);
  EXPECT_EQ(field(two->read_line(), "base"), base);
  const json::object shown = ok({"arena", "show", "heap"});
  EXPECT_EQ(shown.at("clients").as_int64(), 2);
  EXPECT_EQ(shown.at("pages_allocated").as_int64(), 0);
  EXPECT_EQ(shown.at("blocks").as_int64(), 0);
  // What one writes the other reads, at the same address.
  one->write_line("write 1048575 99");
  one->read_line();
  two->write_line("read 1048575");
  EXPECT_EQ(field(two->read_line(), "value"), "99");
  EXPECT_EQ(ok({"arena", "show", "heap"}).at("pages_allocated").as_int64(), 1);
}

TEST_F(MainJob, ProgramBuildsClientsWalk) {
  ok({"arena", "create", "heap", "--pages", "1048576"});
  ok({"prog", "load", object("demo"), "--arena", "heap"});
  run("build", le(1000, 4) + le(500, 4) + le(0, 8));
  const std::string first = client("walker", {"heap"})->read_all();
  const std::string second = client("walker", {"heap"})->read_all();
  EXPECT_FALSE(first.empty());
  EXPECT_EQ(first, second);
  EXPECT_NE(first.find("list_sum=500500"), std::string::npos) << first;
  EXPECT_EQ(client("walker", {"heap", "--write", "7", "1000000"})->wait(), 0);
  const std::string sums = run("sum", le(0, 40));
  EXPECT_EQ(at(sums, 8, 8), 500500u);
  EXPECT_EQ(at(sums, 32, 8), 500u * 501 / 2 * 3 + 500 - (7 * 3 + 1) + 1000000);
}

TEST_F(MainJob, TouchedPageIsTakenForPrograms) {
  const uint64_t base =
      number(ok({"arena", "create", "heap", "--pages", "4096"}).at("user_vm_start"));
  ok({"prog", "load", object("demo"), "--arena", "heap"});
  auto one = client("toucher", {"heap", "--hold"});
  one->read_line();
  one->write_line("write 4000 4711");
  one->read_line();
  const uint64_t address = base + 4000 * 4096;
  EXPECT_EQ(at(run("read_word", le(address, 8) + le(0, 8)), 8, 8), 4711u);
  EXPECT_EQ(at(run("alloc_at", le(address, 8) + le(1, 4) + le(0, 12)), 16, 8), 0u);
  run("free_at", le(address, 8) + le(1, 4) + le(0, 12));
  EXPECT_EQ(at(run("alloc_at", le(address, 8) + le(1, 4) + le(0, 12)), 16, 8), address);
  // The client's next touch meets the new page, which is zero.
  one->write_line("read 4000");
  EXPECT_EQ(field(one->read_line(), "value"), "0");
}

TEST_F(MainJob, SegvOnFaultFollowsThePages) {
  const uint64_t base = number(
      ok({"arena", "create", "strict", "--pages", "1024", "--segv-on-fault"}).at("user_vm_start"));
  ok({"prog", "load", object("segv"), "--arena", "strict"});
  const std::string address = fmt::format("{:#x}", base + 7 * 4096);
  auto handler = client("toucher", {"strict", "--handler", "--hold"});
  handler->read_line();
  const auto touch = [&] {
    handler->write_line("read 7");
    return handler->read_line();
  };
  EXPECT_EQ(field(touch(), "si_addr"), address);
  EXPECT_EQ(field(touch(), "si_addr"), address);  // a handler that returned is asked again
  auto plain = client("toucher", {"strict", "--hold"});
  plain->read_line();
  plain->write_line("read 7");
  const int status = plain->wait();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) << status;
  const std::string pages = le(base + 7 * 4096, 8) + le(1, 4) + le(0, 12);
  EXPECT_EQ(at(run("alloc_at", pages), 16, 8), base + 7 * 4096);
  EXPECT_EQ(field(touch(), "value"), "0");
  run("free_at", pages);
  EXPECT_EQ(field(touch(), "si_addr"), address);
}

// Nobody answers faults any more, so the kernel must: a client never waits for a broker that is
// gone.
TEST_F(MainJob, AClientGoesOnAfterACleanStop) {
  answered_as_usual();
  ok({"arena", "create", "heap", "--pages", "64"});
  ok({"arena", "create", "strict", "--pages", "64", "--segv-on-fault"});
  auto one = client("toucher", {"heap", "--hold"});
  auto two = client("toucher", {"strict", "--hold"});
  one->read_line();
  two->read_line();
  one->write_line("write 3 33");
  one->read_line();
  EXPECT_EQ(broker_.stop(), 0);
  for (auto* orphan : {one.get(), two.get()}) {
    orphan->write_line("write 5 55");
    EXPECT_EQ(field(orphan->read_line(), "value"), "55");
  }
  one->write_line("read 3");
  EXPECT_EQ(field(one->read_line(), "value"), "33");
}

// Without any privilege: a user's own broker and a client of the same uid.
TEST(MainJobUnprivileged, WorksForAnOrdinaryUser) {
  constexpr uid_t kNobody = 65534;
  BrokerProcess broker({}, kNobody);
  const std::string bin = UARENA_BIN_DIR;
  EXPECT_EQ(
      run_command({bin + "/uarena", "-s", broker.socket(), "arena", "create", "a", "--pages", "16"},
                  "", kNobody)
          .exit_code(),
      0);
  EXPECT_EQ(run_command({bin + "/uarena", "-s", broker.socket(), "arena", "create", "s", "--pages",
                         "16", "--segv-on-fault"},
                        "", kNobody)
                .exit_code(),
            0);
  ChildProcess one({bin + "/toucher", "a", "--hold"}, {"UARENA_SOCKET=" + broker.socket()},
                   kNobody);
  EXPECT_NE(one.read_line().find("base="), std::string::npos);
  one.write_line("write 3 5");
  one.read_line();
  one.write_line("read 3");
  EXPECT_NE(one.read_line().find("value=5"), std::string::npos);
  ChildProcess two({bin + "/toucher", "s", "--handler", "--hold"},
                   {"UARENA_SOCKET=" + broker.socket()}, kNobody);
  two.read_line();
  two.write_line("read 3");
  EXPECT_NE(two.read_line().find("si_addr="), std::string::npos);
  one.close_stdin();
  two.close_stdin();
  EXPECT_EQ(one.wait(), 0);
  EXPECT_EQ(two.wait(), 0);
  EXPECT_EQ(broker.stop(), 0);
}

}  // namespace
}  // namespace uarena::testing
