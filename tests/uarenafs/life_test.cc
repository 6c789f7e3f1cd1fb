// How uarenafs starts and ends, what it does when its broker goes or hangs, and that its own end or
// hang is nothing to the broker.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <thread>

#include "tests/uarenafs/fs_fixture.h"

namespace uarena::testing {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;
using std::chrono::seconds;

// The broker's limit for one answer, and time to notice on a busy machine.
constexpr seconds kLimit{15};

std::string mounts() {
  std::ifstream file("/proc/self/mountinfo");
  return {std::istreambuf_iterator<char>(file), {}};
}

class FsLife : public FsFixture {
 protected:
  // Another broker on the socket of the one that has ended.
  std::unique_ptr<ChildProcess> another_broker() {
    auto daemon = std::make_unique<ChildProcess>(Words{
        "/bin/sh", "-c", "exec " UARENA_BIN_DIR "/uarenad --socket " + broker_.socket() + " 2>&1"});
    EXPECT_THAT(daemon->read_line(), HasSubstr("event=daemon.ready"));
    return daemon;
  }
  void kill_broker() {
    ::kill(broker_.pid(), SIGKILL);
    siginfo_t info{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(broker_.pid()), &info, WEXITED | WNOWAIT), 0);
  }
};

TEST_F(FsLife, AnEndedBrokerIsAnErrorUntilThereIsAnother) {
  create(connect(), "heap", 1024);
  const Fd mem(::open(at_fs("heap/mem").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(mem);
  EXPECT_EQ(read_file(at_fs("heap/info")).error, 0);
  kill_broker();

  char byte;
  EXPECT_LT(::pread(mem.get(), &byte, 1, 0), 0);
  EXPECT_EQ(errno, EIO);
  EXPECT_EQ(stat_errno(at_fs("heap")), EIO);
  EXPECT_EQ(read_file(at_fs("heap/info")).error, EIO);
  EXPECT_EQ(stat_errno(fs_->path()), 0);
  const RunOutput ls = run_command({"/bin/ls", fs_->path()});
  EXPECT_EQ(ls.exit_code(), 2);
  EXPECT_THAT(ls.err, HasSubstr("Input/output error"));
  EXPECT_TRUE(fs_->wait_for_log("event=broker.lost"));

  const auto second = another_broker();
  EXPECT_EQ(shell("ls " + fs_->path()), "");
  EXPECT_TRUE(fs_->wait_for_log("event=broker.connected"));
  // The same name and the same id in another broker are not the same arena.
  EXPECT_EQ(stat_errno(at_fs("heap")), ENOENT);
  create(connect(), "heap", 2);
  EXPECT_EQ(values(read_file(at_fs("heap/info")).text)["id"], "1");
  EXPECT_EQ(shell("stat -c %s " + at_fs("heap/mem")), "8192\n");
  EXPECT_LT(::pread(mem.get(), &byte, 1, 0), 0);
  EXPECT_EQ(errno, ESTALE);
  // One line for each change, not for each request.
  EXPECT_EQ(fs_->log().find("event=broker.lost"), fs_->log().rfind("event=broker.lost"));
}

TEST_F(FsLife, StartsWithoutABroker) {
  TempDir dir;
  FsProcess early(dir.path() + "/s");
  EXPECT_EQ(run_command({"/bin/ls", early.path()}).exit_code(), 2);
  ChildProcess daemon(
      {"/bin/sh", "-c", "exec " UARENA_BIN_DIR "/uarenad --socket " + dir.path() + "/s 2>&1"});
  EXPECT_THAT(daemon.read_line(), HasSubstr("event=daemon.ready"));
  EXPECT_EQ(shell("ls " + early.path()), "");
}

// Nobody waits longer than for one answer, however much they look at.
TEST_F(FsLife, AHungBrokerIsAnErrorInTime) {
  const Conn conn = connect();
  for (int i = 0; i < 20; ++i) create(conn, "heap" + std::to_string(i), 1024);
  const Fd mem(::open(at_fs("heap1/mem").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::kill(broker_.pid(), SIGSTOP), 0);
  const auto begin = Clock::now();
  {
    std::vector<std::jthread> lookers;
    for (const char* command : {"ls -l ", "find ", "cat "})
      lookers.emplace_back([&, command] {
        const RunOutput out =
            run_command({"/bin/sh", "-c", command + fs_->path() + " " + at_fs("heap1/info")});
        EXPECT_NE(out.exit_code(), 0) << command;
        EXPECT_THAT(out.err, HasSubstr("timed out")) << command;
      });
    char byte;
    EXPECT_LT(::pread(mem.get(), &byte, 1, 0), 0);
    EXPECT_EQ(errno, ETIMEDOUT);
  }
  EXPECT_LT(Clock::now() - begin, kLimit);
  EXPECT_EQ(stat_errno(fs_->path()), 0);
  EXPECT_TRUE(fs_->wait_for_log("event=broker.lost errno=110"));
  ASSERT_EQ(::kill(broker_.pid(), SIGCONT), 0);
  EXPECT_TRUE(wait_until([&] { return read_file(at_fs("heap1/info")).error == 0; }));
  EXPECT_EQ(lines(shell("ls " + fs_->path())).size(), 20u);
}

// It holds nothing of an arena; so whether it runs, hangs in the middle of answers, or is killed, a
// client faults, programs run and arenas come and go.
TEST_F(FsLife, ItsOwnHangIsNothingToTheBroker) {
  const Conn conn = connect();
  const uarena_info heap = create(conn, "heap", 1 << 16);
  volatile char* base = attach(conn, heap.id);
  for (unsigned n = 0; n < 4096; ++n) *page(base, n) = 1;
  const uarena_prog program = load(conn, "list").at(0);

  // A dot per file that was read, then why it could not be.
  std::vector<std::unique_ptr<ChildProcess>> readers;
  for (const char* file : {"mem", "mem", "mem", "mem", "info", "info", "pages", "pages"})
    readers.push_back(std::make_unique<ChildProcess>(Words{
        "/bin/sh", "-c",
        "while cat " + at_fs(std::string("heap/") + file) + " >/dev/null; do echo .; done 2>&1"}));
  for (auto& reader : readers) EXPECT_EQ(reader->read_line(), ".");
  std::ifstream maps("/proc/" + std::to_string(fs_->process().pid()) + "/maps");
  for (std::string line; std::getline(maps, line);)
    EXPECT_EQ(line.find("memfd"), std::string::npos);
  const std::string clients =
      shell(UARENA_BIN_DIR "/uarena -j -s " + broker_.socket() + " client list");
  EXPECT_THAT(clients, HasSubstr("\"comm\":\"uarenafs\",\"arenas\":0"));

  fs_->process().kill(SIGSTOP);
  siginfo_t stopped{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(fs_->process().pid()), &stopped, WSTOPPED | WNOWAIT),
            0);
  const auto everything_works = [&](const std::string& name) {
    const auto begin = Clock::now();
    for (unsigned n = 5000; n < 7000; ++n) *page(base, n) = 2;
    uarena_free(conn.get(), heap.id, at(base, 5000), 2000);
    int retval = -1;
    std::array<char, 64> ctx{};
    for (int i = 0; i < 10; ++i)
      EXPECT_EQ(uarena_prog_run(conn.get(), program.id, ctx.data(), ctx.size(), &retval, nullptr),
                0)
          << uarena_error();
    EXPECT_NE(uarena_alloc(conn.get(), heap.id, nullptr, 3, -1, 0), nullptr);
    const uarena_info made = create(connect(), name, 64);
    EXPECT_EQ(uarena_delete(conn.get(), made.id), 0);
    EXPECT_LT(Clock::now() - begin, seconds(5));
  };
  everything_works("while_stopped");

  fs_->process().kill(SIGKILL);
  fs_->process().wait();
  everything_works("while_dead");
  // Who was waiting for it is told.
  for (auto& reader : readers) {
    EXPECT_THAT(reader->read_all(),
                AnyOf(HasSubstr("not connected"), HasSubstr("connection abort")));
    EXPECT_NE(reader->wait(), -1);
  }
}

TEST_F(FsLife, ASignalUnmounts) {
  create(connect(), "heap", 16);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    FsProcess fs(broker_.socket());
    EXPECT_THAT(mounts(), HasSubstr(fs.path()));
    EXPECT_EQ(shell("ls " + fs.path()), "heap\n");
    // Whoever is inside does not keep it.
    const Fd file(::open((fs.path() + "/heap/mem").c_str(), O_RDONLY | O_CLOEXEC));
    const Fd directory(::open((fs.path() + "/heap").c_str(), O_RDONLY | O_CLOEXEC));
    fs.process().kill(signal);
    EXPECT_TRUE(fs.wait_for_log("event=fs.stopping signal=" + std::to_string(signal)));
    EXPECT_TRUE(fs.wait_for_log("event=fs.stopped"));
    EXPECT_EQ(fs.process().wait(), 0);
    EXPECT_EQ(mounts().find(fs.path()), std::string::npos);
    EXPECT_EQ(shell("ls -A " + fs.path()), "");
    char byte;
    EXPECT_LT(::pread(file.get(), &byte, 1, 0), 0);
    EXPECT_EQ(errno, ENOTCONN);
  }
}

TEST_F(FsLife, UnmountedFromOutsideItEnds) {
  ASSERT_EQ(::umount2(fs_->path().c_str(), 0), 0);
  EXPECT_TRUE(fs_->wait_for_log("event=fs.unmounted"));
  EXPECT_EQ(fs_->process().wait(), 0);
}

TEST_F(FsLife, ADeadMountIsReplacedAndALiveOneIsNot) {
  const RunOutput second = run_command({kFs, "-s", broker_.socket(), fs_->path()});
  EXPECT_EQ(second.exit_code(), 1);
  EXPECT_THAT(second.err, HasSubstr("is mounted on " + fs_->path() + " already"));
  EXPECT_EQ(shell("ls " + fs_->path()), "");

  fs_->process().kill(SIGKILL);
  fs_->process().wait();
  EXPECT_EQ(stat_errno(fs_->path()), ENOTCONN);
  fs_->start("-s " + broker_.socket() + " " + fs_->path());
  EXPECT_THAT(fs_->log(), HasSubstr("event=fs.dead_mount_removed"));
  EXPECT_EQ(shell("ls " + fs_->path()), "");
}

TEST_F(FsLife, PlacesThatAreNone) {
  TempDir dir;
  std::ofstream(dir.path() + "/file") << "x";
  for (const char* name : {"/none", "/file", "/none/none"}) {
    const RunOutput out = run_command({kFs, "-s", broker_.socket(), dir.path() + name});
    EXPECT_EQ(out.exit_code(), 1) << name;
    EXPECT_TRUE(out.err.starts_with("uarenafs: cannot ")) << out.err;
    EXPECT_EQ(std::ranges::count(out.err, '\n'), 1) << out.err;
    EXPECT_THAT(out.err, HasSubstr(dir.path()));
  }
}

// An ordinary user mounts with fusermount3, in a place of his own that is made and removed. His
// /dev/fuse is one that everybody may open, as it is on most machines.
TEST_F(FsLife, AnOrdinaryUser) {
  if (::access("/usr/bin/fusermount3", X_OK) != 0) GTEST_SKIP() << "there is no fusermount3";
  create(connect(), "heap", 16);
  TempDir runtime;
  ASSERT_EQ(::chown(runtime.path().c_str(), kNobody, kNobody), 0);
  const std::string own = runtime.path() + "/uarena/fs";
  const std::string script =
      "mount --make-rprivate / && mount -t tmpfs tmpfs /mnt && mknod -m 0666 /mnt/fuse c 10 229 && "
      "mount --bind /mnt/fuse /dev/fuse && "
      "export XDG_RUNTIME_DIR=" +
      runtime.path() +
      " && exec setpriv --reuid 65534 --regid 65534 "
      "--clear-groups /bin/sh -c '" +
      kFs + " -s " + broker_.socket() +
      " & "
      "until cat " +
      own +
      "/heap/info 2>/dev/null; do kill -0 $! || exit 1; done; "
      "stat -c %u " +
      own + "; kill $!; wait $!; echo ended $?' 2>&1";
  const RunOutput out = run_command({"/usr/bin/unshare", "-m", "/bin/sh", "-c", script});
  EXPECT_EQ(out.exit_code(), 0) << out.out << out.err;
  EXPECT_THAT(out.out, HasSubstr("\nname: heap\n")) << out.err;
  EXPECT_THAT(out.out, HasSubstr("\n65534\n"));
  EXPECT_THAT(out.out, HasSubstr("event=fs.stopped"));
  EXPECT_THAT(out.out, HasSubstr("\nended 0\n"));
  EXPECT_NE(::access((runtime.path() + "/uarena").c_str(), F_OK), 0);
}

TEST(FsCommandLine, HelpAndVersion) {
  const RunOutput help = run_command({kFs, "--help"});
  EXPECT_EQ(help.exit_code(), 0);
  EXPECT_EQ(help.err, "");
  for (const char* word : {"--socket", "MOUNTPOINT", "--allow-other", "--log-level", "--version"})
    EXPECT_THAT(help.out, HasSubstr(word));
  EXPECT_EQ(run_command({kFs, "-h"}).out, help.out);
  EXPECT_EQ(run_command({kFs, "-V"}).out, "uarenafs " UARENA_VERSION "\n");
}

TEST(FsCommandLine, BadOptions) {
  const std::vector<std::pair<Words, std::string>> wrong = {
      {{"--socket"}, "--socket"},
      {{"-s", ""}, "--socket"},
      {{"/a", "/b"}, "/b"},
      {{""}, "MOUNTPOINT"},
      {{"--allow-all"}, "--allow-all"},
      {{"--log-level", "loud"}, "loud"},
      {{"/a", "a\nb"}, "a\\x0ab"},
  };
  for (const auto& [words, part] : wrong) {
    SCOPED_TRACE(::testing::PrintToString(words));
    Words argv{kFs};
    argv.insert(argv.end(), words.begin(), words.end());
    const RunOutput out = run_command(argv);
    EXPECT_EQ(out.exit_code(), 2);
    EXPECT_EQ(out.out, "");
    EXPECT_TRUE(out.err.starts_with("uarenafs: ")) << out.err;
    EXPECT_EQ(std::ranges::count(out.err, '\n'), 1) << out.err;
    EXPECT_THAT(out.err, HasSubstr(part));
  }
  const RunOutput nowhere =
      run_command({"/usr/bin/env", "-u", "XDG_RUNTIME_DIR", kFs}, "", kNobody);
  EXPECT_EQ(nowhere.exit_code(), 2);
  EXPECT_THAT(nowhere.err, HasSubstr("XDG_RUNTIME_DIR"));
}

// --- Descriptors that a service manager passes.

// /dev/fuse, open and mounted, and the address to which READY=1 goes.
class FsInherited : public FsFixture {
 protected:
  void SetUp() override {
    FsFixture::SetUp();
    if (IsSkipped()) return;
    path_ = dir_.path() + "/m";
    ASSERT_EQ(::mkdir(path_.c_str(), 0755), 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (dir_.path() + "/notify").copy(address.sun_path, sizeof address.sun_path - 1);
    notify_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(notify_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    const timeval limit{10, 0};
    ::setsockopt(notify_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  void TearDown() override {
    while (!path_.empty() && ::umount2(path_.c_str(), MNT_DETACH) == 0) {
    }
  }
  Fd mounted() {
    Fd fuse(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
    const std::string options =
        fmt::format("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", fuse.get());
    EXPECT_EQ(::mount("uarena", path_.c_str(), "fuse.uarenafs", MS_RDONLY, options.c_str()), 0);
    return fuse;
  }
  // uarenafs with this descriptor under that name, its log as output.
  std::unique_ptr<ChildProcess> start(const Fd& fd, const std::string& name) {
    const int passed = ::fcntl(fd.get(), F_DUPFD, 10);  // over an exec
    const std::string n = std::to_string(passed);
    auto child = std::make_unique<ChildProcess>(
        Words{"/bin/bash", "-c",
              "exec 3<&" + n + " " + n + "<&-; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=" + name +
                  " NOTIFY_SOCKET=" + dir_.path() + "/notify exec " + kFs + " -s " +
                  broker_.socket() + " 2>&1"});
    ::close(passed);
    return child;
  }
  std::string notified() {
    char text[512];
    const ssize_t n = ::recv(notify_.get(), text, sizeof text, 0);
    return n < 0 ? "nothing" : std::string(text, static_cast<size_t>(n));
  }
  static void expect_refused(std::unique_ptr<ChildProcess> child, const std::string& why) {
    EXPECT_THAT(child->read_all(), HasSubstr(why));
    const int status = child->wait();
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1) << status;
  }

  TempDir dir_;
  std::string path_;
  Fd notify_;
};

TEST_F(FsInherited, ServesAMountThatSomebodyElseMade) {
  create(connect(), "heap", 16);
  const Fd fuse = mounted();
  auto child = start(fuse, "fuse");
  EXPECT_EQ(notified(), "READY=1");
  EXPECT_EQ(shell("ls " + path_), "heap\n");
  EXPECT_EQ(shell("cmp -n 65536 " + path_ + "/heap/mem /dev/zero"), "");
  EXPECT_LT(::open((path_ + "/heap/mem").c_str(), O_RDWR), 0);
  child->kill(SIGTERM);
  EXPECT_EQ(notified(), "STOPPING=1");
  EXPECT_EQ(child->wait(), 0);
  // Whoever made the mount ends it.
  EXPECT_THAT(mounts(), HasSubstr(path_));
}

TEST_F(FsInherited, AConnectionThatWasUsedBeforeIsRefused) {
  const Fd fuse = mounted();
  auto first = start(fuse, "fuse");
  EXPECT_EQ(notified(), "READY=1");
  first->kill(SIGKILL);
  first->wait();
  expect_refused(start(fuse, "fuse"), "in use before");
}

TEST_F(FsInherited, DescriptorsThatAreNone) {
  const Fd unmounted(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  expect_refused(start(unmounted, "fuse"), "is not mounted");
  const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  expect_refused(start(null, "fuse"), "is no /dev/fuse");
  expect_refused(start(null, "other"), "is called \\\"fuse\\\"");
  const Fd fuse = mounted();
  ASSERT_EQ(::umount2(path_.c_str(), MNT_DETACH), 0);
  expect_refused(start(fuse, "fuse"), "is not mounted");
}

}  // namespace
}  // namespace uarena::testing
