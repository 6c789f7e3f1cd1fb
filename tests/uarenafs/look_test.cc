// What a person sees in the mount, with the programs that people use.
#include <sys/xattr.h>

#include <thread>

#include "tests/support/ways.h"
#include "tests/uarenafs/fs_fixture.h"

namespace uarena::testing {
namespace {

using ::testing::HasSubstr;

class FsLook : public FsFixture {};

TEST_F(FsLook, EverythingThatThereIs) {
  answered_as_usual();
  const Conn conn = connect();
  EXPECT_EQ(shell("find " + fs_->path() + " -mindepth 1"), "");
  const uarena_info heap = create(conn, "heap", 1024);
  create(conn, ".hidden-1_x", 1);
  attach(conn, heap.id);
  const uarena_prog program = load(conn, "list", heap.id).at(0);
  const std::string listed = shell("cd " + fs_->path() + " && find . -printf '%P %y %m\\n' | sort");
  const uint64_t me = std::stoull(shell("ls " + at_fs("heap/clients")));
  const auto prog = std::to_string(program.id);
  std::vector<std::string> expected{" d 555"};
  for (const std::string& name : {std::string("heap"), std::string(".hidden-1_x")})
    for (const char* entry : {" d 555", "/info f 444", "/pages f 444", "/mem f 444",
                              "/clients d 555", "/programs d 555"})
      expected.push_back(name + entry);
  expected.push_back("heap/clients/" + std::to_string(me) + " f 444");
  for (const uarena_prog& p : {program, uarena_prog{.id = program.id + 1}}) {
    expected.push_back("heap/programs/" + std::to_string(p.id) + " d 555");
    expected.push_back("heap/programs/" + std::to_string(p.id) + "/info f 444");
  }
  EXPECT_THAT(lines(listed), ::testing::UnorderedElementsAreArray(expected));

  auto client = values(read_file(at_fs("heap/clients/" + std::to_string(me))).text);
  EXPECT_EQ(client["pid"], std::to_string(::getpid()));
  EXPECT_EQ(client["arenas"], "1");
  auto info = values(read_file(at_fs("heap/programs/" + prog + "/info")).text);
  EXPECT_EQ(info["object"], "list");
  EXPECT_EQ(info["arena_id"], std::to_string(heap.id));

  // d_ino of a directory's entry is st_ino of the file, also for . and ..
  EXPECT_EQ(shell("cd " + at_fs("heap/programs/" + prog) + " && ls -ai1 | awk '{print $1}'"),
            shell("cd " + at_fs("heap/programs/" + prog) + " && stat -c %i . .. info"));
}

TEST_F(FsLook, InfoSaysWhatTheCommandSays) {
  const Conn conn = connect();
  const uarena_info heap = create(conn, "heap", 1024, UARENA_F_SEGV_ON_FAULT);
  ASSERT_NE(uarena_alloc(conn.get(), heap.id, nullptr, 3, -1, 0), nullptr);
  auto info = values(read_file(at_fs("heap/info")).text);
  const std::string json =
      shell(UARENA_BIN_DIR "/uarena -j -s " + broker_.socket() + " arena show heap");
  EXPECT_EQ(info.size(), 24u);
  for (const auto& [key, value] : info) {
    const bool text = value.find_first_not_of("0123456789") != std::string::npos;
    EXPECT_THAT(json, HasSubstr('"' + key + "\":" + (text ? '"' + value + '"' : value)));
  }
  EXPECT_EQ(info["pages_allocated"], "3");
}

TEST_F(FsLook, PagesByOrigin) {
  answered_as_usual();
  const Conn conn = connect();
  const uarena_info heap = create(conn, "heap", 1024);
  volatile char* base = attach(conn, heap.id);
  *page(base, 5) = 1;
  *page(base, 6) = 1;
  ASSERT_EQ(uarena_alloc(conn.get(), heap.id, at(base, 100), 3, -1, 0), at(base, 100));
  ASSERT_EQ(uarena_reserve(conn.get(), heap.id, at(base, 200), 10), 0) << uarena_error();
  const auto address = [&](unsigned n) {
    return fmt::format("{:#x}", heap.user_vm_start + n * size_t{UARENA_PAGE_SIZE});
  };
  EXPECT_EQ(read_file(at_fs("heap/pages")).text,
            "5 2 fault " + address(5) + "-" + address(7) + "\n100 3 client " + address(100) + "-" +
                address(103) + "\n200 10 reserved " + address(200) + "-" + address(210) + "\n");
}

TEST_F(FsLook, TextsAreOrdinaryFiles) {
  const Conn conn = connect();
  const uarena_info heap = create(conn, "heap", 1024);
  attach(conn, heap.id);
  for (const std::string& file : Words{at_fs("heap/info"), at_fs("heap/clients/*")}) {
    const std::string text = shell("cat " + file);
    EXPECT_GT(text.size(), 50u);
    EXPECT_EQ(shell("wc -c <" + file), std::to_string(text.size()) + "\n");
    EXPECT_EQ(shell("stat -c %s " + file), std::to_string(text.size()) + "\n");
    EXPECT_EQ(shell("tail -n 1 " + file), lines(text).back() + "\n");
    EXPECT_EQ(shell("dd status=none bs=7 if=$(echo " + file + ")"), text);
    EXPECT_EQ(shell("tar cf - -C / --dereference $(echo " + file + ") 2>/dev/null | tar xOf -"),
              text);
  }
  EXPECT_EQ(shell("grep -c . " + at_fs("heap/info")), "24\n");
  EXPECT_EQ(shell("grep ^name " + at_fs("heap/info")), "name: heap\n");
  EXPECT_EQ(shell("wc -c <" + at_fs("heap/pages")), "0\n");
}

// A process that chose its name to forge a line.
TEST_F(FsLook, NamesOfClientsForgeNothing) {
  create(connect(), "heap", 16);
  TempDir dir;
  const std::string name = dir.path() + "/x\nuid: 12";
  ASSERT_EQ(::symlink(UARENA_BIN_DIR "/toucher", name.c_str()), 0);
  ChildProcess child({name, "heap", "--hold"}, {"UARENA_SOCKET=" + broker_.socket()});
  EXPECT_THAT(child.read_line(), ::testing::StartsWith("attached"));
  auto client = values(shell("cat " + at_fs("heap/clients/*")));
  EXPECT_EQ(client["comm"], "x\\x0auid: 12");
  EXPECT_EQ(client["uid"], "0");
}

TEST_F(FsLook, EntriesComeAndGo) {
  const Conn conn = connect();
  const uarena_info heap = create(conn, "heap", 1024);
  const std::vector<uarena_prog> programs = load(conn, "list", heap.id);
  auto first = toucher("heap"), second = toucher("heap");
  const auto clients = lines(shell("ls " + at_fs("heap/clients")));
  ASSERT_EQ(clients.size(), 2u);
  first->write_line("write 7 1");
  EXPECT_THAT(first->read_line(), ::testing::StartsWith("ok"));
  EXPECT_EQ(values(read_file(at_fs("heap/clients/" + clients[0])).text)["pid"],
            std::to_string(first->pid()));
  first->close_stdin();
  first->wait();
  EXPECT_TRUE(
      wait_until([&] { return stat_errno(at_fs("heap/clients/" + clients[0])) == ENOENT; }));
  EXPECT_EQ(shell("ls " + at_fs("heap/clients")), clients[1] + "\n");
  for (const uarena_prog& p : programs) {
    const std::string path = at_fs("heap/programs/" + std::to_string(p.id) + "/info");
    EXPECT_EQ(stat_errno(path), 0);
    EXPECT_EQ(uarena_prog_unload(conn.get(), p.id), 0);
    EXPECT_EQ(stat_errno(path), ENOENT);
  }
  EXPECT_EQ(shell("ls " + at_fs("heap/programs")), "");
  second->close_stdin();
  second->wait();
  EXPECT_TRUE(wait_until([&] { return uarena_delete(conn.get(), heap.id) == 0; }));
  EXPECT_EQ(stat_errno(at_fs("heap")), ENOENT);
  EXPECT_EQ(stat_errno(at_fs("heap/info")), ENOENT);
  EXPECT_EQ(shell("ls -a " + fs_->path()), ".\n..\n");
  // A new arena of the same name is another file.
  create(conn, "heap", 2);
  EXPECT_EQ(values(read_file(at_fs("heap/info")).text)["max_entries"], "2");
}

// Who stands in a directory whose arena is deleted sees it as any deleted directory.
TEST_F(FsLook, StandingInADirectoryThatGoes) {
  const Conn conn = connect();
  const uarena_info heap = create(conn, "heap", 4);
  const Fd directory(::open(at_fs("heap").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_TRUE(directory);
  struct stat st{};
  EXPECT_EQ(::fstatat(directory.get(), "info", &st, 0), 0);
  EXPECT_EQ(uarena_delete(conn.get(), heap.id), 0);
  EXPECT_NE(::fstatat(directory.get(), "info", &st, 0), 0);
  EXPECT_EQ(errno, ENOENT);
  create(conn, "heap", 4);
  EXPECT_NE(::fstatat(directory.get(), "info", &st, 0), 0);
  EXPECT_EQ(stat_errno(at_fs("heap/info")), 0);
}

TEST_F(FsLook, NamesThatAreNone) {
  create(connect(), "heap", 4);
  for (const char* name : {"nothing", "he ap", "heap\n", "info", "heap/none", "heap/clients/0",
                           "heap/clients/1x", "heap/clients/99", "heap/programs/7/info"})
    EXPECT_EQ(stat_errno(at_fs(name)), ENOENT) << name;
  EXPECT_EQ(stat_errno(at_fs(std::string(64, 'x'))), ENOENT);
  EXPECT_EQ(stat_errno(at_fs("heap/mem/x")), ENOTDIR);
}

TEST_F(FsLook, NothingCanBeChanged) {
  create(connect(), "heap", 4);
  const std::string mem = at_fs("heap/mem"), info = at_fs("heap/info");
  const auto refused = [](int result) { return result < 0 && errno == EROFS; };
  EXPECT_TRUE(refused(::open(mem.c_str(), O_RDWR)));
  EXPECT_TRUE(refused(::open(info.c_str(), O_WRONLY | O_TRUNC)));
  EXPECT_TRUE(refused(::open(at_fs("new").c_str(), O_CREAT | O_WRONLY, 0600)));
  EXPECT_TRUE(refused(::truncate(mem.c_str(), 0)));
  EXPECT_TRUE(refused(::unlink(info.c_str())));
  EXPECT_TRUE(refused(::mkdir(at_fs("dir").c_str(), 0755)));
  EXPECT_TRUE(refused(::rmdir(at_fs("heap").c_str())));
  EXPECT_TRUE(refused(::rename(info.c_str(), at_fs("x").c_str())));
  EXPECT_TRUE(refused(::chmod(info.c_str(), 0777)));
  EXPECT_TRUE(refused(::setxattr(info.c_str(), "user.a", "b", 1, 0)));
}

// Without --allow-other it is for the user who mounted it, whatever the modes say.
TEST_F(FsLook, OtherUsers) {
  create(connect(), "heap", 4);
  const auto look = [](const std::string& path) {
    return run_command({"/bin/cat", path + "/heap/info"}, "", kNobody).exit_code();
  };
  EXPECT_NE(look(fs_->path()), 0);
  const FsProcess open_one(broker_.socket(), "--allow-other");
  EXPECT_EQ(look(open_one.path()), 0);
}

// uarenafs runs as root here, and may read all of them.
TEST_F(FsLook, ContentsAreForThoseWhoMayReadTheArena) {
  const Conn conn = connect();
  const uarena_info heap = create(conn, "heap", 4);
  volatile char* base = attach(conn, heap.id);
  *page(base, 1) = 'x';
  const FsProcess open_one(broker_.socket(), "--allow-other");
  const auto may_read = [&](const std::string& file) {
    return run_command({"/usr/bin/head", "-c", "1", open_one.path() + "/heap/" + file}, "", kNobody)
               .exit_code() == 0;
  };
  EXPECT_TRUE(may_read("mem") && may_read("pages") && may_read("info"));
  ASSERT_EQ(uarena_chmod(conn.get(), heap.id, 0xff7), 0) << uarena_error();
  EXPECT_FALSE(may_read("mem") || may_read("pages"));
  EXPECT_TRUE(may_read("info"));
  ASSERT_EQ(uarena_chown(conn.get(), heap.id, UINT32_MAX, kNobody), 0) << uarena_error();
  EXPECT_TRUE(may_read("mem") && may_read("pages")) << "for the group";
  ASSERT_EQ(uarena_chmod(conn.get(), heap.id, 0xf08), 0) << uarena_error();
  EXPECT_FALSE(may_read("mem") || may_read("pages")) << "the first class decides";
  ASSERT_EQ(uarena_chown(conn.get(), heap.id, kNobody, UINT32_MAX), 0) << uarena_error();
  EXPECT_TRUE(may_read("mem") && may_read("pages")) << "for the owner";
}

}  // namespace
}  // namespace uarena::testing
