// What the command says of page faults, with real clients that fault in known ways: how they ended,
// whose they were, which row of the table a client got, and the trace of the latest ones.
#include <chrono>
#include <fstream>
#include <map>
#include <set>

#include "tests/integration/command_fixture.h"

namespace uarena::testing {
namespace {

const std::string kToucher = std::string(UARENA_BIN_DIR) + "/toucher";

class FaultReport : public CommandFixture {
 protected:
  void create(const std::string& name, uint32_t pages, bool segv_on_fault = false) {
    Words words{"arena", "create", name, "--pages", std::to_string(pages)};
    if (segv_on_fault) words.push_back("--segv-on-fault");
    ok(words);
  }
  // As toucher(), but it survives its signals.
  std::unique_ptr<ChildProcess> careful(const std::string& arena, uid_t uid = 0) {
    auto child = std::make_unique<ChildProcess>(
        Words{kToucher, "--socket", broker_.socket(), "--handler", arena, "--hold"}, Words{}, uid);
    EXPECT_THAT(child->read_line(), ::testing::StartsWith("attached"));
    return child;
  }
  static void denied(ChildProcess& child, const std::string& what) {
    child.write_line(what);
    EXPECT_THAT(child.read_line(), ::testing::StartsWith("segv si_addr="));
  }
  int64_t client_of(const ChildProcess& child) {
    for (const json::value& client : list(ok({"client", "list"}), "clients"))
      if (integer(client.as_object(), "pid") == child.pid())
        return integer(client.as_object(), "id");
    ADD_FAILURE() << "no client with pid " << child.pid();
    return -1;
  }
  json::object shown(const std::string& object, const std::string& which) {
    return ok({object, "show", which});
  }
  static json::object stats_of(const json::object& from) {
    const json::value* found = from.if_contains("fault_stats");
    if (found == nullptr || !found->is_object()) {
      ADD_FAILURE() << "no fault_stats in " << json::serialize(from);
      return {};
    }
    return found->get_object();
  }
  // A thread goes on before its fault is counted, so numbers are waited for.
  template <typename Condition>
  static ::testing::AssertionResult eventually(Condition&& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition())
      if (std::chrono::steady_clock::now() >= end)
        return ::testing::AssertionFailure() << "not within 10 s";
    return ::testing::AssertionSuccess();
  }
  bool has(const std::string& object, const std::string& which, std::string_view key, int64_t n) {
    return integer(stats_of(shown(object, which)), key) == n;
  }
  static int64_t all(const json::object& stats) {
    int64_t sum = 0;
    for (const char* end : {"installed", "present", "deferred", "discarded", "denied", "error"})
      sum += integer(stats, end);
    return sum;
  }
};

TEST_F(FaultReport, ServedAndRefused) {
  create("heap", 16);
  create("strict", 16, true);
  const auto writer = toucher("heap");
  touch(*writer, "write 3 1");
  touch(*writer, "read 4");
  touch(*writer, "read 3");  // is there: no fault
  const auto refused = careful("strict");
  denied(*refused, "read 5");
  denied(*refused, "write 6 1");
  ASSERT_TRUE(eventually([&] { return has("arena", "heap", "installed", 2); }));
  ASSERT_TRUE(eventually([&] { return has("arena", "strict", "denied", 2); }));

  const json::object heap = shown("arena", "heap");
  EXPECT_EQ(all(stats_of(heap)), 2);
  EXPECT_EQ(integer(heap, "faults"), 2);
  EXPECT_EQ(integer(heap.at("pages_by_origin").as_object(), "fault"), 2);
  EXPECT_EQ(integer(heap.at("pages_by_origin").as_object(), "program"), 0);
  EXPECT_EQ(integer(stats_of(heap), "pending"), 0);
  EXPECT_GT(integer(stats_of(heap), "p50_ns"), 0);
  for (const auto& [low, high] : std::map<std::string, std::string>{
           {"p50_ns", "p99_ns"}, {"p99_ns", "p999_ns"}, {"p999_ns", "max_ns"}})
    EXPECT_LE(integer(stats_of(heap), low), integer(stats_of(heap), high));
  const json::object strict = stats_of(shown("arena", "strict"));
  EXPECT_EQ(all(strict), 2);
  EXPECT_EQ(integer(strict, "denied_by_signal"), 2);
  EXPECT_EQ(integer(strict, "denied_by_poison"), 0);

  const json::object status = ok({"daemon", "status"});
  EXPECT_EQ(integer(status, "faults_served"), 2);
  EXPECT_EQ(integer(status, "faults_refused"), 2);
  const std::string person = plain({"arena", "show", "strict"}).out;
  EXPECT_THAT(person, ::testing::HasSubstr("2 denied"));
  EXPECT_THAT(person, ::testing::HasSubstr("SIGSEGV 2, SIGBUS 0"));
}

TEST_F(FaultReport, AClientAndWhatItGets) {
  create("heap", 16);
  create("strict", 16, true);
  const auto child = careful("strict");
  denied(*child, "read 5");
  const std::string id = std::to_string(client_of(*child));
  ASSERT_TRUE(eventually([&] { return has("client", id, "denied", 1); }));
  const json::object client = shown("client", id);
  EXPECT_EQ(integer(client, "faults"), 1);
  const json::array attachments = list(client, "attachments");
  ASSERT_EQ(attachments.size(), 1u);
  const json::object& strict = attachments[0].as_object();
  EXPECT_EQ(text(strict, "arena"), "strict");
  EXPECT_EQ(text(strict, "absent_page"), "refused");
  EXPECT_EQ(text(strict, "syscalls"), "EFAULT");
  EXPECT_EQ(text(strict, "refusal"), "signal");
  EXPECT_EQ(stats_of(strict), stats_of(client)) << "its only arena";

  const auto other = toucher("heap");
  const json::object served = shown("client", std::to_string(client_of(*other)));
  EXPECT_EQ(text(list(served, "attachments").at(0).as_object(), "absent_page"), "served");
  EXPECT_THAT(plain({"client", "show", id}).out, ::testing::HasSubstr("arena         strict"));
  refused({"client", "show", "4000"}, {3, ENOENT, "there is no client 4000"});
}

// A broker that may not signal: the page is poisoned, and that is said.
TEST_F(FaultReport, DeniedByPoison) {
  if (::geteuid() != 0) GTEST_SKIP() << "a broker of another uid needs root";
  BrokerProcess weak({}, kNobody);
  const auto ask = [&](const Words& words) {
    Words argv{std::string(UARENA_BIN_DIR) + "/uarena", "-j", "-s", weak.socket()};
    argv.insert(argv.end(), words.begin(), words.end());
    return document(run_command(argv));
  };
  ask({"arena", "create", "strict", "--pages", "4", "--segv-on-fault"});
  ChildProcess child({kToucher, "--socket", weak.socket(), "--handler", "strict", "--hold"});
  EXPECT_THAT(child.read_line(), ::testing::StartsWith("attached"));
  child.write_line("read 2");
  EXPECT_THAT(child.read_line(), ::testing::StartsWith("sigbus"));
  const auto stats = [&] { return stats_of(ask({"arena", "show", "strict"})); };
  EXPECT_TRUE(eventually([&] { return integer(stats(), "denied_by_poison") == 1; }));
  EXPECT_EQ(integer(stats(), "denied"), 1);
  const json::object trace = ask({"arena", "trace", "strict"});
  EXPECT_EQ(text(list(trace, "faults").at(0).as_object(), "refusal"), "poison");
  for (const json::value& client : list(ask({"client", "list"}), "clients")) {
    const json::object& row = client.as_object();
    if (integer(row, "pid") != child.pid()) continue;
    const json::object view = ask({"client", "show", std::to_string(integer(row, "id"))});
    EXPECT_EQ(text(list(view, "attachments").at(0).as_object(), "refusal"), "poison");
  }
}

// Pages that are there stay there; one more is denied, as if there were no memory.
TEST_F(FaultReport, DeniedByALimit) {
  TempDir directory;
  const std::string config = directory.path() + "/uarenad.toml";
  std::ofstream(config) << "[limits]\npages = 2\n";
  BrokerProcess limited({"--config", config});
  const auto ask = [&](const Words& words) {
    Words argv{std::string(UARENA_BIN_DIR) + "/uarena", "-j", "-s", limited.socket()};
    argv.insert(argv.end(), words.begin(), words.end());
    return document(run_command(argv));
  };
  ask({"arena", "create", "heap", "--pages", "16"});
  ChildProcess child({kToucher, "--socket", limited.socket(), "--handler", "heap", "--hold"});
  EXPECT_THAT(child.read_line(), ::testing::StartsWith("attached"));
  touch(child, "write 1 1");
  touch(child, "write 2 2");
  denied(child, "write 3 3");
  touch(child, "read 2");
  json::object stats;
  ASSERT_TRUE(eventually([&] {
    stats = stats_of(ask({"arena", "show", "heap"}));
    return integer(stats, "denied") == 1;
  }));
  EXPECT_EQ(integer(stats, "installed"), 2);
  EXPECT_EQ(all(stats), 3);
  const json::array faults = list(ask({"arena", "trace", "heap"}), "faults");
  ASSERT_EQ(faults.size(), 3u);
  EXPECT_EQ(text(faults[2].as_object(), "outcome"), "denied");
  EXPECT_EQ(text(faults[2].as_object(), "refusal"), "signal");
  EXPECT_EQ(text(faults[2].as_object(), "access"), "write");
}

// Sequential touches are few faults; what came with them is counted beside them.
TEST_F(FaultReport, PagesThatCameWithOthers) {
  const json::object made =
      ok({"arena", "create", "heap", "--pages", "2048", "--fault-around", "auto"});
  EXPECT_EQ(text(made, "fault_around"), "auto");
  auto child = careful("heap");
  for (int page = 0; page < 400; ++page)
    ASSERT_NO_FATAL_FAILURE(touch(*child, "write " + std::to_string(page) + " 1"));
  ASSERT_TRUE(eventually([&] { return has("arena", "heap", "installed", 6); }))
      << "1, 4, 16, 64, 256 and 512 pages";
  const json::object arena = shown("arena", "heap");
  EXPECT_EQ(integer(stats_of(arena), "around"), 1 + 4 + 16 + 64 + 256 + 512 - 6);
  EXPECT_EQ(integer(arena, "pages_allocated"), 1 + 4 + 16 + 64 + 256 + 512);
  touch(*child, "write 1500 1");
  ASSERT_TRUE(eventually([&] { return has("arena", "heap", "installed", 7); }));
  EXPECT_EQ(integer(shown("arena", "heap"), "pages_allocated"), 854);
}

TEST_F(FaultReport, AFixedNumberOfPages) {
  EXPECT_EQ(integer(ok({"arena", "create", "heap", "--pages", "64", "--fault-around", "16"}),
                    "fault_around"),
            16);
  auto child = careful("heap");
  touch(*child, "write 40 1");
  touch(*child, "write 60 1");
  ASSERT_TRUE(eventually([&] { return has("arena", "heap", "installed", 2); }));
  EXPECT_EQ(integer(shown("arena", "heap"), "pages_allocated"), 20) << "the arena ends there";
}

// Of arenas, of clients (also of those that are gone) and of the broker: the same faults.
TEST_F(FaultReport, SumsAgree) {
  const std::vector<std::string> arenas{"one", "two", "strict"};
  for (const std::string& arena : arenas) create(arena, 64, arena == "strict");
  std::vector<std::unique_ptr<ChildProcess>> children;
  int64_t expected = 0, gone = 0;
  for (int turn = 0; turn < 6; ++turn) {
    const std::string& arena = arenas[static_cast<size_t>(turn) % arenas.size()];
    children.push_back(careful(arena));
    ChildProcess& child = *children.back();
    for (int page = 0; page <= turn; ++page, ++expected) {
      const std::string what = "read " + std::to_string(turn * 8 + page);
      if (arena == "strict")
        denied(child, what);
      else
        touch(child, what);
    }
    const std::string id = std::to_string(client_of(child));
    ASSERT_TRUE(eventually([&] { return all(stats_of(shown("client", id))) == turn + 1; }));
    if (turn % 2 != 0) continue;
    gone += turn + 1;
    child.write_line("quit");
    EXPECT_EQ(child.wait(), 0);
  }
  const auto attached = [&] {
    size_t count = 0;
    for (const json::value& client : list(ok({"client", "list"}), "clients"))
      count += integer(client.as_object(), "arenas") != 0;
    return count;
  };
  ASSERT_TRUE(eventually([&] { return attached() == 3; }));
  std::map<std::string, int64_t> by_arena, by_client;
  int64_t of_clients = 0;
  for (const std::string& arena : arenas)
    for (const auto& [key, value] : stats_of(shown("arena", arena)))
      by_arena[std::string(key)] += value.to_number<int64_t>();
  for (const json::value& client : list(ok({"client", "list"}), "clients")) {
    const json::object& row = client.as_object();
    if (integer(row, "arenas") != 0)
      of_clients += all(stats_of(shown("client", std::to_string(integer(row, "id")))));
  }
  const json::object status = ok({"daemon", "status"});
  EXPECT_EQ(of_clients + gone, expected);
  EXPECT_EQ(by_arena["installed"] + by_arena["present"], integer(status, "faults_served"));
  EXPECT_EQ(by_arena["denied"] + by_arena["deferred"] + by_arena["discarded"] + by_arena["error"],
            integer(status, "faults_refused"));
  EXPECT_EQ(by_arena["installed"] + by_arena["denied"], expected);
}

TEST_F(FaultReport, TheTrace) {
  create("heap", 16);
  EXPECT_EQ(plain({"arena", "trace", "heap"}).out, "no faults\n");
  const uint64_t start = address(shown("arena", "heap"), "user_vm_start");
  const auto one = toucher("heap"), two = toucher("heap", kNobody);
  json::array faults;
  const auto wait_for = [&](size_t count) {  // a client goes on before its fault is in the trace
    return eventually([&] {
      faults = list(ok({"arena", "trace", "heap"}), "faults");
      return faults.size() == count;
    });
  };
  touch(*one, "write 3 1");
  ASSERT_TRUE(wait_for(1));
  touch(*two, "read 4");
  ASSERT_TRUE(wait_for(2));
  const json::object &written = faults[0].as_object(), &read = faults[1].as_object();
  EXPECT_EQ(integer(written, "number"), 1);
  EXPECT_EQ(integer(read, "number"), 2);
  EXPECT_EQ(address(written, "address"), start + 3 * 4096);
  EXPECT_EQ(address(read, "address"), start + 4 * 4096);
  EXPECT_EQ(text(written, "access"), "write");
  EXPECT_EQ(text(read, "access"), "read");
  EXPECT_EQ(text(written, "outcome"), "installed");
  EXPECT_EQ(integer(written, "thread"), one->pid());
  EXPECT_EQ(text(written, "thread_is"), "tid");
  EXPECT_EQ(integer(written, "client"), client_of(*one));
  EXPECT_EQ(integer(read, "client"), client_of(*two));
  EXPECT_GT(integer(written, "latency_ns"), 0);
  EXPECT_LT(integer(written, "time_ns"), integer(read, "time_ns"));
  refused({"arena", "trace", "nobody"}, {3, ENOENT, "nobody"});
}

TEST_F(FaultReport, AThreadOfAnotherPidNamespace) {
  if (::geteuid() != 0) GTEST_SKIP() << "another pid namespace needs root";
  create("heap", 16);
  const RunOutput ran = run_command({"/usr/bin/unshare", "--pid", "--fork", kToucher, "--socket",
                                     broker_.socket(), "heap", "read", "1"});
  ASSERT_EQ(ran.exit_code(), 0) << ran.err;
  json::array faults;
  ASSERT_TRUE(eventually([&] {
    faults = list(ok({"arena", "trace", "heap"}), "faults");
    return faults.size() == 1;
  }));
  EXPECT_EQ(integer(faults[0].as_object(), "thread"), 1);
  EXPECT_EQ(text(faults[0].as_object(), "thread_is"), "ptid");
  EXPECT_THAT(plain({"arena", "trace", "heap"}).out, ::testing::HasSubstr("  ptid 1  "));
}

TEST_F(FaultReport, WhatWasOverwrittenIsCounted) {
  constexpr int kFaults = 5000, kKept = 4096;
  create("heap", kFaults);
  std::string touches;
  for (int page = 0; page < kFaults; ++page) touches += "read " + std::to_string(page) + "\n";
  const RunOutput ran =
      run_command({kToucher, "--socket", broker_.socket(), "heap", "--hold"}, touches);
  ASSERT_EQ(ran.exit_code(), 0) << ran.err;
  ASSERT_TRUE(eventually([&] { return has("arena", "heap", "installed", kFaults); }));
  json::object trace;
  ASSERT_TRUE(eventually([&] {
    trace = ok({"arena", "trace", "heap"});
    return integer(trace, "next") == kFaults + 1;
  }));
  EXPECT_EQ(integer(trace, "overwritten"), kFaults - kKept);
  const json::array faults = list(trace, "faults");
  ASSERT_EQ(faults.size(), size_t{kKept});
  EXPECT_EQ(integer(faults[0].as_object(), "number"), kFaults - kKept + 1);
  EXPECT_EQ(integer(faults[kKept - 1].as_object(), "number"), kFaults);
  const std::string person = plain({"arena", "trace", "heap"}).out;
  EXPECT_THAT(person, ::testing::HasSubstr("\n... 904 faults were overwritten\n"));
}

// What was there, what comes meanwhile, and an end with the arena.
TEST_F(FaultReport, TheTraceFollows) {
  create("heap", 16);
  const auto child = toucher("heap");
  touch(*child, "write 1 1");
  const std::string command = std::string(UARENA_BIN_DIR) + "/uarena";
  ChildProcess person({command, "-s", broker_.socket(), "arena", "trace", "heap", "--follow"});
  ChildProcess script(
      {command, "-j", "-s", broker_.socket(), "arena", "trace", "heap", "--follow"});
  EXPECT_THAT(person.read_line(), ::testing::StartsWith("TIME (UTC)"));
  EXPECT_THAT(person.read_line(), ::testing::HasSubstr("  write   installed"));
  std::set<int64_t> numbers;
  const auto next_document = [&] {
    const json::value document = json::parse(script.read_line());
    EXPECT_EQ(integer(document.as_object(), "version"), 1);
    for (const json::value& fault : list(document.as_object(), "faults"))
      EXPECT_TRUE(numbers.insert(integer(fault.as_object(), "number")).second) << "twice";
  };
  next_document();
  touch(*child, "read 2");
  EXPECT_THAT(person.read_line(), ::testing::HasSubstr("  read    installed"));
  next_document();
  EXPECT_EQ(numbers, (std::set<int64_t>{1, 2}));
  child->write_line("quit");
  EXPECT_EQ(child->wait(), 0);
  ASSERT_TRUE(eventually([&] { return integer(shown("arena", "heap"), "clients") == 0; }));
  ok({"arena", "delete", "heap"});
  for (ChildProcess* follower : {&person, &script}) {
    EXPECT_EQ(follower->read_line(), "");
    EXPECT_EQ(follower->wait(), 0);
  }
}

TEST_F(FaultReport, WhoFollowsEndsWithTheBroker) {
  create("heap", 16);
  ChildProcess follower({std::string(UARENA_BIN_DIR) + "/uarena", "-s", broker_.socket(), "arena",
                         "trace", "heap", "--follow"});
  EXPECT_THAT(follower.read_line(), ::testing::StartsWith("TIME (UTC)"));
  EXPECT_EQ(broker_.stop(), 0);
  EXPECT_EQ(WEXITSTATUS(follower.wait()), 5) << "the broker can't be reached any more";
}

}  // namespace
}  // namespace uarena::testing
