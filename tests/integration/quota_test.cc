// Limits as users meet them: what is beyond one is refused with the sentence and exit code 8, or is
// a SIGSEGV where it is a page fault, others are not touched by it, and a change of the
// configuration counts at once.
#include <signal.h>
#include <sys/wait.h>

#include <csetjmp>
#include <fstream>

#include "tests/integration/library_fixture.h"
#include "tests/support/ways.h"

namespace uarena::testing {
namespace {

constexpr int kWhyQuota = 7;  // uarena.h, uarena_why

class Quota : public ::testing::Test {
 protected:
  struct Close {
    void operator()(uarena_conn* conn) const { uarena_close(conn); }
  };
  using Conn = std::unique_ptr<uarena_conn, Close>;

  void start(const std::string& config) {
    write(config);
    broker_ = std::make_unique<BrokerProcess>(std::vector<std::string>{"--config", file_});
  }
  void write(const std::string& config) {
    std::ofstream file(file_, std::ios::trunc);
    file << config;
    ASSERT_TRUE(file.flush());
  }
  void reload(const std::string& config, const std::string& answer) {
    write(config);
    ASSERT_EQ(::kill(broker_->pid(), SIGHUP), 0);
    EXPECT_TRUE(broker_->wait_for_log(answer)) << broker_->log();
  }
  int try_connect(Conn* conn = nullptr) {
    uarena_conn* raw = nullptr;
    const int error = uarena_connect(broker_->socket().c_str(), &raw);
    Conn made(raw);
    if (conn != nullptr) *conn = std::move(made);
    return error;
  }
  Conn connect() {
    Conn conn;
    EXPECT_EQ(try_connect(&conn), 0) << uarena_error();
    return conn;
  }
  static int create(const Conn& conn, const std::string& name, uint32_t pages, uarena_info* info) {
    uarena_attr attr{};
    attr.map_type = UARENA_MAP_TYPE_ARENA;
    attr.max_entries = pages;
    attr.map_flags = UARENA_F_MMAPABLE;
    return uarena_create(conn.get(), name.c_str(), &attr, info);
  }
  static void expect_quota(int error, const std::string& sentence) {
    EXPECT_EQ(error, -EDQUOT) << uarena_error();
    EXPECT_EQ(uarena_why(), kWhyQuota);
    EXPECT_THAT(uarena_error(), ::testing::HasSubstr(sentence));
  }

  TempDir dir_;
  const std::string file_ = dir_.path() + "/uarenad.toml";
  std::unique_ptr<BrokerProcess> broker_;
};

sigjmp_buf on_fault;
volatile uintptr_t fault_address;

void jump_out(int, siginfo_t* info, void*) {
  fault_address = reinterpret_cast<uintptr_t>(info->si_addr);
  siglongjmp(on_fault, 1);
}

// Whether a touch of the address is a SIGSEGV there.
bool is_denied(volatile char* address) {
  struct sigaction before, jump{};
  jump.sa_sigaction = jump_out;
  jump.sa_flags = SA_SIGINFO;
  ::sigaction(SIGSEGV, &jump, &before);
  fault_address = 0;
  const bool denied = sigsetjmp(on_fault, 1) != 0;
  if (!denied) *address = 1;
  ::sigaction(SIGSEGV, &before, nullptr);
  EXPECT_TRUE(!denied || fault_address == reinterpret_cast<uintptr_t>(address));
  return denied;
}

TEST_F(Quota, PagesAndTheirFaults) {
  answered_as_usual();
  start("[limits]\npages = 4\n");
  const Conn conn = connect();
  uarena_info info{};
  ASSERT_EQ(create(conn, "a", 64, &info), 0) << uarena_error();
  void* base = nullptr;
  ASSERT_EQ(uarena_attach(conn.get(), info.id, 0, &base), 0) << uarena_error();
  auto* const bytes = static_cast<volatile char*>(base);
  const auto page = [&](int n) { return bytes + n * size_t{UARENA_PAGE_SIZE}; };
  EXPECT_NE(uarena_alloc(conn.get(), info.id, nullptr, 3, -1, 0), nullptr) << uarena_error();
  EXPECT_EQ(uarena_alloc(conn.get(), info.id, nullptr, 2, -1, 0), nullptr);
  expect_quota(-errno, "may have 4 pages: it has 3, and 2 more were asked for");
  EXPECT_FALSE(is_denied(page(10)));
  EXPECT_TRUE(is_denied(page(11) + 123));
  expect_quota(static_cast<int>(uarena_prefault(conn.get(), info.id, const_cast<char*>(page(11)),
                                                2 * size_t{UARENA_PAGE_SIZE})),
               "may have no more pages");
  EXPECT_FALSE(is_denied(page(10) + 5)) << "the page is there";
  EXPECT_TRUE(broker_->wait_for_log("quota.denied"));
  EXPECT_EQ(uarena_free(conn.get(), info.id, const_cast<char*>(page(10)), 1), 0);
  EXPECT_FALSE(is_denied(page(11)));
}

TEST_F(Quota, ArenasProgramsAndConnections) {
  start("[limits]\narenas = 1\nconnections = 2\nprograms = 1\n");
  const Conn conn = connect();
  uarena_info info{};
  ASSERT_EQ(create(conn, "a", 64, &info), 0) << uarena_error();
  expect_quota(create(conn, "b", 64, &info), "may have 1 arenas");
  std::array<uarena_prog, 16> programs{};
  const std::string path = std::string(UARENA_BPF_DIR) + "/list.bpf.o";  // it has two
  const int loaded =
      uarena_prog_load(conn.get(), path.c_str(), info.id, programs.data(), programs.size());
  expect_quota(loaded, "may have 1 programs");
  {
    const Conn second = connect();
    for (int n = 0; n < 20; ++n)
      expect_quota(try_connect(), "may have 2 connections: it has 2, and 1 more were asked for");
    const RunOutput output =
        run_command({std::string(UARENA_BIN_DIR) + "/uarena", "-s", broker_->socket(), "arena"});
    EXPECT_EQ(output.exit_code(), 8) << output.err;
    EXPECT_THAT(output.err, ::testing::HasSubstr("may have 2 connections"));
  }
  EXPECT_TRUE(broker_->wait_for_log("client.gone"));
  EXPECT_EQ(uarena_delete(conn.get(), info.id), 0) << uarena_error();
  EXPECT_EQ(create(conn, "b", 64, &info), 0) << uarena_error();
}

// Each attachment may have 64 at a time.
TEST_F(Quota, PendingFaults) {
  answered_as_usual();
  start("[limits]\npending_faults = 128\n");
  const Conn conn = connect();
  std::array<uarena_info, 3> infos{};
  for (size_t n = 0; n < infos.size(); ++n)
    ASSERT_EQ(create(conn, "a" + std::to_string(n), 64, &infos[n]), 0) << uarena_error();
  void* base = nullptr;
  EXPECT_EQ(uarena_attach(conn.get(), infos[0].id, 0, &base), 0) << uarena_error();
  EXPECT_EQ(uarena_attach(conn.get(), infos[1].id, 0, &base), 0) << uarena_error();
  expect_quota(uarena_attach(conn.get(), infos[2].id, 0, &base),
               "may have 128 pending_faults: it has 128, and 64 more were asked for");
  EXPECT_EQ(uarena_detach(conn.get(), infos[0].id), 0);
  EXPECT_EQ(uarena_attach(conn.get(), infos[2].id, 0, &base), 0) << uarena_error();
}

TEST_F(Quota, CpuTimeOfPrograms) {
  start("[limits]\ncpu_ms = 0\n");
  const Conn conn = connect();
  std::array<uarena_prog, 16> programs{};
  const std::string path = std::string(UARENA_BPF_DIR) + "/kept_maps.bpf.o";
  const auto load = [&] {
    return uarena_prog_load(conn.get(), path.c_str(), 0, programs.data(), programs.size());
  };
  expect_quota(load(), "may take 0 ms of CPU time per second");
  reload("[limits]\ncpu_ms = \"unlimited\"\n", "event=config.in_force");
  ASSERT_GT(load(), 0) << uarena_error();
  std::vector<char> context(programs[0].ctx_size);
  int32_t retval = 0;
  const auto run = [&] {
    return uarena_prog_run(conn.get(), programs[0].id, context.data(), context.size(), &retval,
                           nullptr);
  };
  ASSERT_EQ(run(), 0) << uarena_error();
  reload("[limits]\ncpu_ms = 1\n", "event=config.in_force");
  // Loading took some already; more than 10 ms in the last 10 s is soon there.
  int error = 0;
  for (int n = 0; n < 100'000 && error == 0; ++n) error = run();
  expect_quota(error, "may take 1 ms of CPU time per second");
}

// Who connects too often is turned away with a sentence, and others are not.
TEST_F(Quota, ConnectsPerSecond) {
  start("[limits.user.65534]\nconnects = 1\n");
  const auto try_it = [this](uid_t uid) {
    return run_command(
        {std::string(UARENA_BIN_DIR) + "/uarena", "-s", broker_->socket(), "arena", "list"}, "",
        uid);
  };
  RunOutput output;
  int connected = 0;
  while ((output = try_it(kNobody)).exit_code() == 0 && connected < 100) ++connected;
  EXPECT_GE(connected, 10);
  EXPECT_LT(connected, 100);
  EXPECT_EQ(output.exit_code(), 8) << output.err;
  EXPECT_THAT(output.err, ::testing::HasSubstr("uid 65534 may connect 1 times per second"));
  EXPECT_EQ(try_it(0).exit_code(), 0);
}

// What is in use, and what was refused, as the command shows it to whoever may see it.
TEST_F(Quota, StatusShowsUseAndLimits) {
  start("[limits]\narenas = 1\n[limits.user.65534]\narenas = 0\n");
  const Conn conn = connect();
  uarena_info info{};
  ASSERT_EQ(create(conn, "a", 64, &info), 0) << uarena_error();
  EXPECT_NE(create(conn, "b", 64, &info), 0);
  const auto status = [this](uid_t uid) {
    const RunOutput output = run_command(
        {std::string(UARENA_BIN_DIR) + "/uarena", "-s", broker_->socket(), "daemon", "status"}, "",
        uid);
    EXPECT_EQ(output.exit_code(), 0) << output.err;
    return output.out;
  };
  using ::testing::ContainsRegex;
  using ::testing::Not;
  EXPECT_THAT(status(kNobody), ContainsRegex("65534  arenas +0 +0 +0\n"));
  EXPECT_THAT(status(kNobody), Not(ContainsRegex("\n +0  arenas")));
  const std::string all = status(0);
  EXPECT_THAT(all, ContainsRegex("\n +0  arenas +1 +1 +1\n"));
  EXPECT_THAT(all, ContainsRegex("65534  arenas +0 +0 +0\n"));
  EXPECT_THAT(all, ContainsRegex("\n +0  connections +2 +none +0\n"));
}

TEST_F(Quota, MapsOfProgramsArePages) {
  start("[limits]\npages = 2\n");
  const Conn conn = connect();
  std::array<uarena_prog, 16> programs{};
  const std::string path = std::string(UARENA_BPF_DIR) + "/kept_maps.bpf.o";
  expect_quota(uarena_prog_load(conn.get(), path.c_str(), 0, programs.data(), programs.size()),
               "may have 2 pages");
  reload("[limits]\npages = 100000\n", "event=config.in_force");
  EXPECT_GT(uarena_prog_load(conn.get(), path.c_str(), 0, programs.data(), programs.size()), 0)
      << uarena_error();
}

TEST_F(Quota, OfOneUserIsNobodyElses) {
  start("[limits.user.65534]\narenas = 0\n");
  const Conn conn = connect();
  uarena_info info{};
  EXPECT_EQ(create(conn, "a", 64, &info), 0) << uarena_error();
  const RunOutput output = run_command({std::string(UARENA_BIN_DIR) + "/uarena", "-s",
                                        broker_->socket(), "arena", "create", "b", "--pages", "1"},
                                       "", kNobody);
  EXPECT_EQ(output.exit_code(), 8) << output.err;
  EXPECT_THAT(output.err, ::testing::HasSubstr("uid 65534 may have 0 arenas"));
}

TEST_F(Quota, AReloadCountsAtOnce) {
  start("[limits]\narenas = 1\n");
  const Conn conn = connect();
  uarena_info info{};
  ASSERT_EQ(create(conn, "a", 64, &info), 0);
  expect_quota(create(conn, "b", 64, &info), "1 arenas");
  reload("[limits]\narenas = 2\n", "config.in_force");
  EXPECT_EQ(create(conn, "b", 64, &info), 0) << uarena_error();
  reload("[limits]\narenas = 3\nfish = 1\n", "config.refused");
  EXPECT_THAT(broker_->log(), ::testing::HasSubstr("uarenad.toml:3: 'fish' is unknown here"));
  expect_quota(create(conn, "c", 64, &info), "2 arenas");
}

TEST_F(Quota, ABrokerDoesNotStartWithAWrongConfiguration) {
  write("[limits]\npages = no\n");
  const RunOutput output = run_command({std::string(UARENA_BIN_DIR) + "/uarenad", "--socket",
                                        dir_.path() + "/sock", "--config", file_});
  EXPECT_EQ(output.exit_code(), 1);
  EXPECT_THAT(output.err, ::testing::HasSubstr("uarenad.toml:2: "));
}

}  // namespace
}  // namespace uarena::testing
