// An arena's owner and mode, as real users of the machine meet them: each right is asked for where
// it is needed, the kernel says who somebody is, and a successor knows both.
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <cerrno>
#include <functional>
#include <optional>

#include "tests/parity/in_child.h"
#include "tests/parity/touch.h"
#include "tests/support/broker_process.h"
#include "tests/support/ways.h"
#include "uarena.h"

namespace uarena::testing {
namespace {

using ::testing::HasSubstr;

// Neither is root's, nor the broker's in any way of running these tests. Each has the group of its
// own number alone.
constexpr uid_t kOwner = 65534;
constexpr uid_t kOther = 65532;
constexpr int kNotPermitted = 4;  // exit status of the command

class Access : public ::testing::Test {
 protected:
  void start(std::vector<std::string> arguments = {}) { broker_.emplace(std::move(arguments)); }
  RunOutput command(uid_t uid, std::vector<std::string> words) {
    words.insert(words.begin(), {std::string(UARENA_BIN_DIR) + "/uarena", "-s", broker_->socket()});
    return run_command(words, "", uid);
  }
  void expect_done(uid_t uid, std::vector<std::string> words) {
    const RunOutput output = command(uid, std::move(words));
    EXPECT_EQ(output.exit_code(), 0) << output.err;
  }
  void expect_refused(uid_t uid, std::vector<std::string> words, const std::string& sentence) {
    const RunOutput output = command(uid, std::move(words));
    EXPECT_EQ(output.exit_code(), kNotPermitted) << output.err;
    EXPECT_THAT(output.err, HasSubstr(sentence));
  }
  void create(const std::string& mode, const std::string& fault = "served") {
    expect_done(kOwner,
                {"arena", "create", "heap", "--pages", "64", "--fault", fault, "--mode", mode});
  }
  // What `body` returns in a process of that user.
  int as(uid_t uid, const std::function<int(uarena_conn* conn, uint64_t arena)>& body) {
    const int status = in_child([&] {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::setgroups(0, nullptr) != 0 || ::setresgid(uid, uid, uid) != 0 ||
          ::setresuid(uid, uid, uid) != 0)
        return 200;
      uarena_conn* conn = nullptr;
      uarena_info info{};
      if (uarena_connect(broker_->socket().c_str(), &conn) != 0) return 201;
      if (uarena_find(conn, "heap", &info) != 0) return 202;
      return body(conn, info.id);
    });
    EXPECT_TRUE(WIFEXITED(status)) << status;
    return WEXITSTATUS(status);
  }
  // The errno.
  int attach_as(uid_t uid, unsigned flags = 0) {
    return as(uid, [flags](uarena_conn* conn, uint64_t arena) {
      void* base = nullptr;
      return -uarena_attach(conn, arena, flags, &base);
    });
  }
  int alloc_as(uid_t uid) {
    return as(uid, [](uarena_conn* conn, uint64_t arena) {
      return uarena_alloc(conn, arena, nullptr, 1, -1, 0) != nullptr ? 0 : errno;
    });
  }

  std::optional<BrokerProcess> broker_;
};

TEST_F(Access, ReadAndWriteAreAskedForWhereTheyAreNeeded) {
  start();
  create("u=rwxl,o=r");
  EXPECT_EQ(attach_as(kOwner), 0);
  EXPECT_EQ(attach_as(kOther), EACCES);
  EXPECT_EQ(attach_as(0), 0) << "root may do everything";
  expect_done(kOther, {"arena", "show", "heap"});
  expect_done(kOther, {"page", "list", "heap"});
  expect_done(kOther, {"arena", "trace", "heap"});
  EXPECT_EQ(alloc_as(kOther), EACCES);
  expect_done(kOwner, {"arena", "chmod", "o=w", "heap"});
  EXPECT_EQ(attach_as(kOther), 0);
  EXPECT_EQ(alloc_as(kOther), 0);
  expect_refused(kOther, {"page", "list", "heap"},
                 "uid 65532 may not read arena heap: it belongs to uid 65534, gid 65534, mode rwxl "
                 "---- -w--");
  expect_refused(kOther, {"arena", "trace", "heap"}, "may not read arena heap");
  expect_done(kOwner, {"arena", "chmod", "u=", "heap"});
  EXPECT_EQ(attach_as(kOwner), EACCES) << "the first class decides";
}

TEST_F(Access, TheGroupIsTheCreatorsUntilItIsChanged) {
  start();
  create("u=rwxl,g=rw");
  EXPECT_EQ(attach_as(kOther), EACCES);
  expect_refused(kOwner, {"arena", "chown", ":65532", "heap"},
                 "uid 65534 is no member of group 65532");
  expect_done(0, {"arena", "chown", ":65532", "heap"});
  EXPECT_EQ(attach_as(kOther), 0);
  EXPECT_THAT(command(kOther, {"arena", "show", "heap"}).out, HasSubstr("uid 65534, gid 65532"));
}

TEST_F(Access, ModeAndOwnerAreNobodyElsesToChange) {
  start();
  create("u=rwxl,o=rwxl");
  expect_refused(kOther, {"arena", "chmod", "u=", "heap"}, "only that uid or root may change");
  expect_refused(kOther, {"arena", "chown", "65532", "heap"}, "only that uid or root may change");
  expect_refused(kOwner, {"arena", "chown", "65532", "heap"}, "only root may give arena heap");
  expect_refused(kOther, {"arena", "delete", "heap"}, "belongs to uid 65534");
  expect_done(0, {"arena", "chown", "65532", "heap"});
  expect_refused(kOwner, {"arena", "chmod", "u=r", "heap"}, "only that uid or root may change");
  expect_done(kOther, {"arena", "chmod", "a=", "heap"});
  EXPECT_EQ(attach_as(kOwner), EACCES);
  expect_done(kOther, {"arena", "delete", "heap"});
  EXPECT_EQ(command(0, {"arena", "chmod", "a=", "heap"}).exit_code(), 3) << "there is none";
}

TEST_F(Access, RunAndLoadAreRightsOfTheirOwn) {
  start({"--load-group", "65532"});
  create("u=rwxl,o=r");
  const std::string object = std::string(UARENA_BPF_DIR) + "/globals.bpf.o";
  const std::vector<std::string> load = {"prog", "load", object, "--arena", "heap"};
  expect_refused(kOther, load, "uid 65532 may not bind a program to arena heap");
  expect_done(kOwner, {"arena", "chmod", "o+l", "heap"});
  expect_done(kOther, load);
  const RunOutput programs = command(kOther, {"-j", "prog", "list"});
  const size_t at = programs.out.find("\"name\":\"", programs.out.find("\"programs\""));
  const std::string name = programs.out.substr(at + 8, programs.out.find('"', at + 8) - at - 8);
  expect_refused(kOther, {"prog", "run", name}, "uid 65532 may not run programs on arena heap");
  expect_done(kOwner, {"arena", "chmod", "o+x", "heap"});
  EXPECT_NE(command(kOther, {"prog", "run", name}).exit_code(), kNotPermitted);
}

// The mapping can be read, and nothing makes it writable.
TEST_F(Access, AReadOnlyAttachment) {
  answered_as_usual();
  start();
  create("u=rwxl,o=r", "direct");
  EXPECT_EQ(as(kOwner,
               [](uarena_conn* conn, uint64_t arena) {
                 void* base = nullptr;
                 if (uarena_attach(conn, arena, 0, &base) != 0) return 1;
                 static_cast<char*>(base)[5] = 7;
                 return 0;
               }),
            0);
  EXPECT_EQ(attach_as(kOther), EACCES);
  EXPECT_EQ(as(kOther,
               [](uarena_conn* conn, uint64_t arena) {
                 void* base = nullptr;
                 if (uarena_attach(conn, arena, UARENA_READONLY, &base) != 0) return 1;
                 const char* bytes = static_cast<char*>(base);
                 if (bytes[5] != 7 || bytes[size_t{UARENA_PAGE_SIZE} * 9] != 0) return 2;
                 const auto signal = touch(reinterpret_cast<uint64_t>(base));
                 if (!signal || signal->si_signo != SIGSEGV) return 3;
                 if (::mprotect(base, UARENA_PAGE_SIZE, PROT_READ | PROT_WRITE) == 0) return 4;
                 return errno == EACCES ? 0 : 5;
               }),
            0);
}

TEST_F(Access, ReadOnlyIsForDirectArenas) {
  answered_as_usual();
  start();
  create("u=rwxl,o=r");
  EXPECT_EQ(attach_as(kOther, UARENA_READONLY), EOPNOTSUPP);
  EXPECT_EQ(attach_as(kOther, UARENA_READONLY | UARENA_EXACT), EINVAL);
}

TEST_F(Access, ASuccessorKnowsOwnerAndMode) {
  start({"--keeper"});
  create("u=rwxl,o=r");
  expect_done(0, {"arena", "chown", "65532:7", "heap"});
  expect_done(kOther, {"arena", "chmod", "u-l", "heap"});
  const std::string log = broker_->log();
  constexpr std::string_view kKey = "event=keeper.broker_started pid=";
  ::kill(std::stoi(log.substr(log.find(kKey) + kKey.size())), SIGKILL);
  ASSERT_TRUE(broker_->wait_for_log("event=daemon.took_over")) << broker_->log();
  const std::string shown = command(0, {"arena", "show", "heap"}).out;
  EXPECT_THAT(shown, HasSubstr("uid 65532, gid 7"));
  EXPECT_THAT(shown, HasSubstr("rwx- ---- r---"));
  EXPECT_EQ(attach_as(kOwner), EACCES);
  EXPECT_EQ(attach_as(kOther), 0);
}

TEST_F(Access, WrongWords) {
  start();
  create("u=rwxl");
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"arena", "chmod", "0640", "heap"},
           {"arena", "chmod", "heap"},
           {"arena", "chown", "no-such-user", "heap"},
           {"arena", "chown", ":", "heap"},
           {"arena", "chown", "4294967295", "heap"},
           {"arena", "create", "x", "--pages", "1", "--mode", "u="}}) {
    const RunOutput output = command(0, words);
    EXPECT_EQ(output.exit_code(), 2) << words[2] << output.err;
    EXPECT_FALSE(output.err.empty());
  }
}

}  // namespace
}  // namespace uarena::testing
