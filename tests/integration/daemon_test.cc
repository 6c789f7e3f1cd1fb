// uarenad from outside: its command line, its socket, its log, and how it ends.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <regex>
#include <sstream>

#include "tests/integration/library_fixture.h"
#include "tests/support/ways.h"

namespace uarena::testing {
namespace {

using ::testing::HasSubstr;
using Words = std::vector<std::string>;

const std::string kDaemon = UARENA_BIN_DIR "/uarenad";
const std::string kCommand = UARENA_BIN_DIR "/uarena";

RunOutput daemon(Words words, uid_t uid = 0) {
  words.insert(words.begin(), kDaemon);
  return run_command(words, "", uid);
}

void expect_one_line(const RunOutput& output, int exit_code, const std::string& part) {
  EXPECT_EQ(output.exit_code(), exit_code) << output.err;
  EXPECT_EQ(output.out, "");
  EXPECT_TRUE(output.err.starts_with("uarenad: ")) << output.err;
  EXPECT_EQ(std::ranges::count(output.err, '\n'), 1) << output.err;
  EXPECT_THAT(output.err, HasSubstr(part));
}

bool answers(const std::string& socket) {
  return run_command({kCommand, "-s", socket, "daemon", "status"}).exit_code() == 0;
}

mode_t mode_of(const std::string& path) {
  struct stat st{};
  EXPECT_EQ(::lstat(path.c_str(), &st), 0) << path;
  return st.st_mode & 07777;
}

// A daemon with exactly these arguments, whose log is its output.
class Daemon {
 public:
  explicit Daemon(const std::string& arguments, uid_t uid = 0)
      : child_({"/bin/sh", "-c", "exec " + kDaemon + " " + arguments + " 2>&1"}, {}, uid) {
    do line_ = child_.read_line();
    while (!line_.empty() && line_.find("event=daemon.ready") == std::string::npos);
  }
  const std::string& ready_line() const { return line_; }
  ChildProcess& process() { return child_; }
  int end(int signal) {
    child_.kill(signal);
    return child_.wait();
  }

 private:
  ChildProcess child_;
  std::string line_;
};

TEST(DaemonCommandLine, HelpAndVersion) {
  const RunOutput help = daemon({"--help"});
  EXPECT_EQ(help.exit_code(), 0);
  EXPECT_EQ(help.err, "");
  for (const char* option : {"--socket", "--socket-mode", "--fault-threads", "--runner-threads",
                             "--log-level", "--keeper"})
    EXPECT_THAT(help.out, HasSubstr(option));
  EXPECT_EQ(daemon({"-h"}).out, help.out);
  const RunOutput version = daemon({"--version"});
  EXPECT_EQ(version.exit_code(), 0);
  EXPECT_EQ(version.out, "uarenad " UARENA_VERSION "\n");
}

TEST(DaemonCommandLine, BadOptions) {
  TempDir dir;
  const std::string socket = dir.path() + "/s";
  const std::vector<std::pair<Words, std::string>> wrong = {
      {{"--socket"}, "--socket"},
      {{"--socket", ""}, "--socket"},
      {{"--socket", socket, "--socket", socket}, "--socket"},
      {{"--socket", socket, "--socket-mode", "888"}, "octal modes 0 to 0777"},
      {{"--socket", socket, "--socket-mode", "1777"}, "octal modes 0 to 0777"},
      {{"--socket", socket, "--socket-mode", "-1"}, "--socket-mode"},
      {{"--socket", socket, "--fault-threads", "0"}, "1 to 256"},
      {{"--socket", socket, "--fault-threads", "257"}, "1 to 256"},
      {{"--socket", socket, "--fault-threads", "many"}, "many"},
      {{"--socket", socket, "--runner-threads", "-1"}, "--runner-threads"},
      {{"--socket", socket, "--runner-threads", "99999999999999999999"}, "--runner-threads"},
      {{"--socket", socket, "--log-level", "loud"}, "loud"},
      {{"--socket", socket, "--colour"}, "--colour"},
      {{"--socket", socket, "more"}, "more"},
      {{"--socket", socket, "a\nb"}, "a\\x0ab"},
  };
  for (const auto& [words, part] : wrong) {
    SCOPED_TRACE(::testing::PrintToString(words));
    expect_one_line(daemon(words), 2, part);
  }
  EXPECT_NE(::access(socket.c_str(), F_OK), 0);
  // An ordinary user without a runtime directory has to say where.
  expect_one_line(run_command({"/usr/bin/env", "-u", "XDG_RUNTIME_DIR", kDaemon}, "", kNobody), 2,
                  "XDG_RUNTIME_DIR");
}

TEST(DaemonSocket, PlacesThatAreNone) {
  TempDir dir;
  expect_one_line(daemon({"--socket", dir.path() + "/" + std::string(200, 's')}), 1,
                  "1..107 bytes");
  expect_one_line(daemon({"--socket", dir.path() + "/none/s"}), 1, dir.path() + "/none");
  const std::string file = dir.path() + "/file";
  std::ofstream(file) << "precious";
  expect_one_line(daemon({"--socket", file}), 1, "is not a socket");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(std::ifstream(file).rdbuf()), {}),
            "precious");
  ::chmod(dir.path().c_str(), 0755);
  expect_one_line(daemon({"--socket", dir.path() + "/s"}, kNobody), 1, dir.path() + "/s");
}

TEST(DaemonSocket, ServedAlready) {
  BrokerProcess broker;
  expect_one_line(daemon({"--socket", broker.socket()}), 1, "somebody answers");
  EXPECT_TRUE(answers(broker.socket()));
}

TEST(DaemonSocket, StaleOneIsReplaced) {
  TempDir dir;
  const std::string socket = dir.path() + "/s";
  Daemon first("--socket " + socket);
  EXPECT_TRUE(answers(socket));
  EXPECT_EQ(first.end(SIGKILL), SIGKILL);
  EXPECT_EQ(::access(socket.c_str(), F_OK), 0);  // nobody was there to remove it
  Daemon second("--socket " + socket);
  EXPECT_TRUE(answers(socket));
  EXPECT_EQ(second.end(SIGTERM), 0);
  EXPECT_NE(::access(socket.c_str(), F_OK), 0);
}

TEST(DaemonSocket, Modes) {
  TempDir dir, own;
  ASSERT_EQ(::chown(own.path().c_str(), kNobody, kNobody), 0);
  const std::string socket = dir.path() + "/s", theirs = own.path() + "/s";
  Daemon root("--socket " + socket), user("--socket " + theirs, kNobody);
  EXPECT_EQ(mode_of(socket), 0666u);
  EXPECT_EQ(mode_of(theirs), 0600u);
  EXPECT_EQ(root.end(SIGINT), 0);
  Daemon chosen("--socket-mode 640 --socket " + socket);
  EXPECT_EQ(mode_of(socket), 0640u);
}

TEST(DaemonSocket, ModeZeroIsAMode) {
  TempDir dir;
  Daemon closed("--socket-mode 0 --socket " + dir.path() + "/s");
  EXPECT_EQ(mode_of(dir.path() + "/s"), 0u);
}

TEST(DaemonSocket, UsersOwnDirectoryIsMade) {
  TempDir runtime;
  ASSERT_EQ(::chown(runtime.path().c_str(), kNobody, kNobody), 0);
  ChildProcess process({"/bin/sh", "-c", "exec " + kDaemon + " 2>&1"},
                       {"XDG_RUNTIME_DIR=" + runtime.path()}, kNobody);
  EXPECT_THAT(process.read_line(), HasSubstr("event=daemon.ready"));
  EXPECT_EQ(mode_of(runtime.path() + "/uarena"), 0700u);
  EXPECT_EQ(mode_of(runtime.path() + "/uarena/uarena.sock"), 0600u);
  process.kill(SIGTERM);
  EXPECT_EQ(process.wait(), 0);
}

class DaemonLife : public LibraryFixture {
 protected:
  std::unique_ptr<ChildProcess> toucher(const std::string& arena) {
    auto child = std::make_unique<ChildProcess>(Words{UARENA_BIN_DIR "/toucher", arena, "--hold"},
                                                Words{"UARENA_SOCKET=" + broker_.socket()});
    EXPECT_THAT(child->read_line(), ::testing::StartsWith("attached"));
    return child;
  }
  std::string line_with(const std::string& event) {
    std::istringstream log(broker_.log());
    for (std::string line; std::getline(log, line);)
      if (line.find(" event=" + event + " ") != std::string::npos) return line;
    return "";
  }
};

TEST_F(DaemonLife, TermWhileAProgramRunsAndClientsAreAttached) {
  const Conn conn = connect();
  const uarena_prog program = load(conn, "long_run").at(0);
  volatile char* base = attach(conn, program.arena_id);
  auto* globals = reinterpret_cast<LongRun*>(const_cast<char*>(base));
  auto other = toucher("arena");
  ChildProcess run(
      {kCommand, "-j", "-s", broker_.socket(), "prog", "run", "long_run", "--repeat", "1000000"});
  ASSERT_TRUE(wait_until([&] { return globals->turns > 0; }));
  EXPECT_EQ(broker_.stop(), 0);
  EXPECT_NE(::access(broker_.socket().c_str(), F_OK), 0);
  EXPECT_THAT(broker_.log(), HasSubstr("event=daemon.stopping signal=15 clients=3"));
  EXPECT_THAT(broker_.log(), HasSubstr("event=daemon.stopped"));
  const int status = run.wait();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 5) << run.read_all();
  other->close_stdin();
  EXPECT_EQ(other->wait(), 0);  // a client outlives its broker
  uarena_info info{};
  EXPECT_LT(uarena_stat(conn.get(), program.arena_id, &info), 0);
  EXPECT_EQ(uarena_why(), kWhyUnreachable);
}

// Whoever repeats himself while it lets go of a program that runs gets no other ending.
TEST_F(DaemonLife, SecondSignalChangesNothing) {
  const Conn conn = connect();
  const uarena_prog program = load(conn, "long_run").at(0);
  auto* globals = reinterpret_cast<LongRun*>(const_cast<char*>(attach(conn, program.arena_id)));
  ChildProcess run({kCommand, "-s", broker_.socket(), "prog", "run", "long_run"});
  ASSERT_TRUE(wait_until([&] { return globals->turns > 0; }));
  ::kill(broker_.pid(), SIGTERM);
  EXPECT_TRUE(broker_.wait_for_log("event=daemon.stopping"));
  // The socket goes first, then the clients; the program is still running.
  EXPECT_TRUE(wait_until([&] { return ::access(broker_.socket().c_str(), F_OK) != 0; }));
  EXPECT_TRUE(wait_until([&] {
    ::kill(broker_.pid(), SIGTERM);
    ::kill(broker_.pid(), SIGINT);
    return !broker_.alive();
  }));
  EXPECT_EQ(broker_.stop(), 0);
  EXPECT_THAT(broker_.log(), HasSubstr("event=daemon.stopped"));
}

TEST_F(DaemonLife, InterruptEndsItAsWell) {
  auto client = [&] {
    const Conn conn = connect();
    create(conn, "heap", 16);
    return toucher("heap");
  }();
  ::kill(broker_.pid(), SIGINT);
  EXPECT_TRUE(broker_.wait_for_log("event=daemon.stopped"));
  EXPECT_THAT(broker_.log(), HasSubstr("event=daemon.stopping signal=2"));
  EXPECT_EQ(broker_.stop(), 0);
  EXPECT_NE(::access(broker_.socket().c_str(), F_OK), 0);
}

TEST_F(DaemonLife, EveryEventIsALineOfPairs) {
  answered_as_usual();
  {
    const Conn conn = connect();
    const uarena_info arena = create(conn, "heap", 1024);
    const uarena_prog program = load(conn, "list", arena.id).at(0);
    EXPECT_LT(uarena_prog_load(conn.get(), UARENA_BPF_DIR "/queue_map.bpf.o", 0, nullptr, 0), 0);
    // A process whose name tries to write a line of its own.
    TempDir dir;
    const std::string name = dir.path() + "/a\"\nlevel=x b";
    ASSERT_EQ(::symlink(UARENA_BIN_DIR "/toucher", name.c_str()), 0);
    ChildProcess child({name, "heap", "read", "3"}, {"UARENA_SOCKET=" + broker_.socket()});
    EXPECT_EQ(child.wait(), 0);
    attach(conn, arena.id);
    EXPECT_EQ(uarena_detach(conn.get(), arena.id), 0);
    for (const uarena_prog& p : {program, uarena_prog{.id = program.id + 1}})
      EXPECT_EQ(uarena_prog_unload(conn.get(), p.id), 0);
    EXPECT_EQ(uarena_delete(conn.get(), arena.id), 0) << uarena_error();
  }
  ASSERT_TRUE(broker_.wait_until_alone());
  const std::regex form(
      R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=(debug|info|warning|error) event=[a-z_.]+)"
      R"(( [a-z_]+=([^ "=]+|"([^"\\]|\\.)*"))*)");
  std::istringstream log(broker_.log());
  for (std::string line; std::getline(log, line);)
    EXPECT_TRUE(std::regex_match(line, form)) << line;
  for (const auto& [event, fields] : std::vector<std::pair<std::string, Words>>{
           {"daemon.ready",
            {"version=\"" UARENA_VERSION "\"", "socket=\"" + broker_.socket() + "\"",
             "pid=" + std::to_string(broker_.pid()), fmt::format("uid={}", service_uid()),
             "userfaultfd=\"", "signal_other_uids=true", "fault_threads=", "runner_threads="}},
           {"client.connected",
            {"client=1", "pid=" + std::to_string(::getpid()), "uid=0", "comm="}},
           {"arena.created", {"id=1", "name=\"heap\"", "user_vm_start=", "max_entries=1024"}},
           {"prog.loaded", {"id=1", "name=\"build\"", "object=\"list\""}},
           {"prog.rejected", {"object=\"queue_map\"", "errno=", "error=\""}},
           {"client.armed", {"client=2", "arena=1", "full=true"}},
           {"client.detached", {"client=", "arena=1"}},
           {"prog.unloaded", {"id=1"}},
           {"arena.deleted", {"id=1", "name=\"heap\""}},
           {"client.gone", {"client=", "reason=\""}}}) {
    const std::string line = line_with(event);
    EXPECT_NE(line, "") << event;
    for (const std::string& field : fields) EXPECT_THAT(line, HasSubstr(" " + field));
  }
}

// An arena that a load makes is created, and one that a refused load made is gone: the log has
// both.
TEST_F(DaemonLife, ArenasOfObjectsAreLogged) {
  const Conn conn = connect();
  load(conn, "long_run");
  EXPECT_THAT(line_with("arena.created"), HasSubstr(" name=\"arena\""));
}

TEST(DaemonUnprivileged, SaysWhatItGot) {
  BrokerProcess broker({"--fault-threads", "1", "--runner-threads", "1"}, kNobody);
  std::ifstream status("/proc/" + std::to_string(broker.pid()) + "/status");
  const std::string text{std::istreambuf_iterator<char>(status), {}};
  EXPECT_THAT(text, HasSubstr("CapEff:\t0000000000000000"));
  EXPECT_THAT(text, HasSubstr("Uid:\t65534\t65534\t65534\t65534"));
  const std::string log = broker.log();
  for (const char* field :
       {"uid=65534", "signal_other_uids=false", "fault_threads=1", "runner_threads=1"})
    EXPECT_THAT(log, HasSubstr(field));
  const RunOutput answer =
      run_command({kCommand, "-j", "-s", broker.socket(), "daemon", "status"}, "", kNobody);
  for (const char* member : {"\"uid\":65534", "\"uffd_full\":0", "\"can_signal_others\":0",
                             "\"fault_threads\":1", "\"runner_threads\":1"})
    EXPECT_THAT(answer.out, HasSubstr(member));
  EXPECT_EQ(broker.stop(), 0);
  EXPECT_NE(::access(broker.socket().c_str(), F_OK), 0);
}

}  // namespace
}  // namespace uarena::testing
