// What the command says and returns when something is wrong: every exit code, one sentence, and
// nothing changed by it.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>

#include "tests/integration/command_fixture.h"

namespace uarena::testing {
namespace {

using ::testing::HasSubstr;

class CommandErrors : public CommandFixture {
 protected:
  // What is there, for "changes nothing".
  std::string everything() {
    std::string all;
    for (const Words& words : {Words{"arena", "list"}, Words{"prog", "list"}})
      all += json::serialize(ok(words));
    return all;
  }
  static std::string file(const TempDir& dir, const std::string& name, const std::string& text) {
    const std::string path = dir.path() + "/" + name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
};

TEST_F(CommandErrors, Usage) {
  ok({"arena", "create", "heap", "--pages", "16"});
  ok({"prog", "load", object("answers")});
  TempDir dir;
  const std::string long_name(64, 'n'), big = file(dir, "big", std::string(65536, 'x'));
  const std::string before = everything();
  const std::vector<std::pair<Words, std::string>> wrong = {
      {{"arena", "create"}, "NAME is missing"},
      {{"arena", "create", "a"}, "--pages N is missing"},
      {{"arena", "create", "a", "--pages", "0"}, "allowed are 1..1048576"},
      {{"arena", "create", "a", "--pages", "1048577"}, "allowed are 1..1048576"},
      {{"arena", "create", "a", "--pages", "-1"}, "allowed are 1..1048576"},
      {{"arena", "create", "a", "--pages", "99999999999999999999"}, "allowed are 1..1048576"},
      {{"arena", "create", "a", "--pages", "many"}, "allowed are 1..1048576"},
      {{"arena", "create", "a", "--pages", ""}, "allowed are 1..1048576"},
      {{"arena", "create", "a", "--pages", "1", "--pages", "2"}, "given twice"},
      {{"arena", "create", "a", "--pages", "1", "--addr", "0x7e0000000800"}, "multiples of 4096"},
      {{"arena", "create", "a", "--pages", "1", "--addr", "here"}, "--addr here"},
      {{"arena", "create", "a", "--pages", "1", "--fault", "maybe"}, "served, direct"},
      {{"arena", "create", "a", "--pages", "1", "--fault-around", "0"}, "--fault-around 0"},
      {{"arena", "create", long_name, "--pages", "1"}, "1..63 characters"},
      {{"arena", "create", "", "--pages", "1"}, "NAME"},
      {{"arena", "create", "a/b", "--pages", "1"}, "a/b"},
      {{"arena", "create", "a\nb", "--pages", "1"}, "a\\x0ab"},
      {{"arena", "create", "..", "--pages", "1"}, "\"..\""},
      {{"arena", "show", "a b"}, "a b"},
      {{"arena", "show", "heap", "more"}, "one argument too many"},
      {{"arena", "show", "heap", "--pages", "1"}, "unknown option --pages"},
      {{"arena", "paint"}, "unknown command"},
      {{"castle"}, "unknown object"},
      {{"page"}, "a command is missing"},
      {{"page", "dump", "heap", "--range", "5"}, "--range 5"},
      {{"page", "dump", "heap", "--range", "0:65537"}, "--range 0:65537"},
      {{"page", "dump", "heap", "--range", "65536:1"}, "--range 65536:1"},
      {{"page", "dump", "heap", "--range", "0xffffffffffffffff:2"}, "--range"},
      {{"prog", "run", "0"}, "ID 0"},
      {{"prog", "run", "99999999999999999999"}, "ID 99999999999999999999"},
      {{"prog", "run", "echo", "--repeat", "0"}, "1..1000000"},
      {{"prog", "run", "echo", "--repeat", "1000001"}, "1..1000000"},
      {{"prog", "run", "echo", "--ctx-in", "hex:abc"}, "hexadecimal"},
      {{"prog", "run", "echo", "--ctx-in", "hex:zz"}, "hexadecimal"},
      {{"prog", "run", "echo", "--ctx-in", big}, "at most 65535 bytes"},
      {{"prog", "run", "e/cho"}, "e/cho"},
      {{"prog", "dump", "everything", "echo"}, "xlated, jited"},
      {{"prog", "load", object("answers"), "--log-level", "3"}, "0..2"},
      {{"prog", "load", object("answers"), "--name", "a b"}, "a b"},
      {{"client", "show", "me"}, "ID me"},
      {{"daemon", "status", "please"}, "one argument too many"},
      {{"--colour", "arena"}, "unknown option --colour"},
      {{"--color", "green", "arena"}, "auto, always, never"},
  };
  for (const auto& [words, sentence] : wrong) refused(words, {2, EINVAL, sentence});
  EXPECT_EQ(everything(), before);
}

TEST_F(CommandErrors, SocketPaths) {
  const std::string bin = std::string(UARENA_BIN_DIR) + "/uarena";
  const auto at = [&](const std::string& path) {
    return run_command({bin, "-j", "-s", path, "arena", "list"});
  };
  const RunOutput long_one = at("/tmp/" + std::string(200, 's'));
  EXPECT_EQ(long_one.exit_code(), 2);
  EXPECT_EQ(integer(document(long_one), "errno"), ENAMETOOLONG);
  EXPECT_EQ(at("").exit_code(), 2);
  EXPECT_EQ(run_command({bin, "-s"}).exit_code(), 2);
}

TEST_F(CommandErrors, NotFound) {
  ok({"arena", "create", "heap", "--pages", "16"});
  for (const Words& words :
       {Words{"arena", "show", "nope"}, Words{"arena", "delete", "nope"},
        Words{"page", "list", "nope"}, Words{"page", "map", "nope"}, Words{"page", "dump", "nope"},
        Words{"prog", "load", object("demo"), "--arena", "nope"}, Words{"prog", "run", "nope"},
        Words{"prog", "unload", "nope"}, Words{"prog", "show", "nope"},
        Words{"prog", "dump", "xlated", "nope"}})
    refused(words, {3, ENOENT, "nope"});
  for (const Words& words :
       {Words{"prog", "run", "77"}, Words{"prog", "unload", "77"}, Words{"prog", "show", "77"},
        Words{"prog", "dump", "jited", "77"}, Words{"client", "show", "77"}})
    refused(words, {3, ENOENT, "77"});
  TempDir dir;
  refused({"prog", "load", dir.path() + "/missing.o"}, {3, ENOENT, "missing.o"});
  ok({"prog", "load", object("answers")});
  refused({"prog", "run", "echo", "--ctx-in", dir.path() + "/none"}, {3, ENOENT, "none"});
}

TEST_F(CommandErrors, Failed) {
  const uint64_t base = address(ok({"arena", "create", "heap", "--pages", "16"}), "user_vm_start");
  ok({"prog", "load", object("answers"), "--interpret"});
  TempDir dir;
  const std::string before = everything();
  refused({"arena", "create", "heap", "--pages", "16"}, {1, EEXIST, "heap"});
  const Words create{"arena", "create", "a", "--pages"};
  const auto with = [&](std::initializer_list<std::string> more) {
    Words words = create;
    words.insert(words.end(), more);
    return words;
  };
  refused(with({"2", "--addr", "0x7e00fffff000"}), {1, ERANGE, "4 GiB"});
  refused(with({"1", "--fault", "direct", "--segv-on-fault"}), {1, EINVAL, "fault is direct"});
  refused(with({"1", "--fault", "direct", "--fault-around", "16"}), {1, EINVAL, "served faults"});
  refused(with({"1", "--segv-on-fault", "--fault-around", "auto"}), {1, EINVAL, "fault-around"});
  refused(with({"16", "--addr", fmt::format("{:#x}", base)}), {1, EBUSY, "overlaps the arena at"});
  refused({"prog", "run", "echo"}, {1, EINVAL, "8 bytes of context, 0 were given"});
  refused({"prog", "run", "echo", "--ctx-in", "hex:00"},
          {1, EINVAL, "8 bytes of context, 1 were given"});
  refused({"prog", "run", "echo", "--data-in", "x"}, {3, ENOENT, "--data-in"});
  refused({"prog", "dump", "jited", "echo"}, {1, EOPNOTSUPP, "interpreter"});
  refused({"prog", "load", dir.path()}, {1, EISDIR, "not a regular file"});
  refused({"prog", "load", "/dev/null"}, {1, EINVAL, "not a regular file"});
  refused({"prog", "load", object("answers"), "--arena", "heap"}, {1, EINVAL, "no arena map"});
  refused({"prog", "run", "echo", "--ctx-in", dir.path()}, {1, EISDIR, dir.path()});
  EXPECT_EQ(everything(), before);
}

// The object's own arena would need a name that is taken; sharing it is what --arena is for.
TEST_F(CommandErrors, ArenaOfTheObjectExists) {
  ok({"prog", "load", object("globals")});
  const std::string before = everything();
  refused({"prog", "load", object("globals")}, {1, EEXIST, "--arena arena"});
  EXPECT_EQ(everything(), before);
  ok({"prog", "load", object("globals"), "--arena", "arena"});
}

// What holds an arena is named, so that a person knows what to end.
TEST_F(CommandErrors, DeleteWhileUsed) {
  ok({"arena", "create", "heap", "--pages", "1024"});
  const json::object loaded = ok({"prog", "load", object("segv"), "--arena", "heap"});
  auto child = toucher("heap");
  refused({"arena", "delete", "heap"}, {1, EBUSY, "alloc_at"});
  refused({"arena", "delete", "heap"}, {1, EBUSY, "process " + std::to_string(child->pid())});
  child->close_stdin();
  EXPECT_EQ(child->wait(), 0);
  refused({"arena", "delete", "heap"}, {1, EBUSY, "peek"});
  for (const json::value& program : list(loaded, "programs"))
    ok({"prog", "unload", std::to_string(integer(program.as_object(), "id"))});
  ok({"arena", "delete", "heap"});
}

TEST_F(CommandErrors, Permission) {
  ok({"arena", "create", "heap", "--pages", "16"});
  ok({"prog", "load", object("answers")});
  TempDir dir;
  ::chmod(dir.path().c_str(), 0755);
  const std::string secret = file(dir, "secret.o", "");
  ::chmod(secret.c_str(), 0600);
  const std::string before = everything();
  refused({"arena", "delete", "heap"}, {4, EPERM, "uid 0"}, kNobody);
  refused({"prog", "unload", "echo"}, {4, EPERM, "uid 0"}, kNobody);
  refused({"prog", "load", secret}, {4, EACCES, "secret.o"}, kNobody);
  EXPECT_EQ(everything(), before);
  // What it made itself it may take away, and so may root.
  for (const uid_t remover : {kNobody, uid_t{0}}) {
    ok({"arena", "create", "mine", "--pages", "16"}, kNobody);
    const json::object loaded = ok({"prog", "load", object("segv"), "--arena", "mine"}, kNobody);
    for (const json::value& program : list(loaded, "programs"))
      ok({"prog", "unload", std::to_string(integer(program.as_object(), "id"))}, remover);
    ok({"arena", "delete", "mine"}, remover);
  }
  ::chmod(broker_.socket().c_str(), 0600);
  refused({"arena", "list"}, {4, EACCES, "may not be used by this user"}, kNobody);
}

TEST_F(CommandErrors, Unreachable) {
  const std::string bin = std::string(UARENA_BIN_DIR) + "/uarena";
  TempDir dir;
  // Nothing there, no socket, a socket that nobody serves.
  const std::string stale = dir.path() + "/stale";
  {
    const Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    stale.copy(address.sun_path, stale.size());
    ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  const std::string plain_file = file(dir, "file", "");
  for (const auto& [path, error] : {std::pair<std::string, int>{dir.path() + "/nothing", ENOENT},
                                    {stale, ECONNREFUSED},
                                    {plain_file, ECONNREFUSED}}) {
    const RunOutput machine = run_command({bin, "-j", "-s", path, "daemon", "status"});
    EXPECT_EQ(machine.exit_code(), 5) << path;
    EXPECT_EQ(integer(document(machine), "errno"), error) << path;
    EXPECT_EQ(integer(document(machine), "exit_code"), 5) << path;
    const RunOutput person = run_command({bin, "-s", path, "daemon", "status"});
    EXPECT_EQ(person.exit_code(), 5);
    EXPECT_EQ(std::ranges::count(person.err, '\n'), 1) << person.err;
    EXPECT_THAT(person.err, HasSubstr(path));
  }
}

TEST_F(CommandErrors, RejectedObjects) {
  TempDir dir;
  std::ifstream good(object("demo"), std::ios::binary);
  const std::string elf{std::istreambuf_iterator<char>(good), {}};
  const std::vector<std::pair<std::string, std::string>> objects = {
      {file(dir, "text.o", "int main() { return 0; }\n"), "ELF"},
      {file(dir, "empty.o", ""), "0 bytes"},
      {file(dir, "short.o", elf.substr(0, 40)), "ELF"},
      {file(dir, "cut.o", elf.substr(0, elf.size() / 2)), ""},
      {std::string(UARENA_BIN_DIR) + "/toucher", ""},
      {object("queue_map"), "counters"},
      {object("refused_no_program"), "program"},
      {object("refused_two_arenas"), "arena"},
      {object("refused_no_arena"), "arena"},
      {object("refused_arena_too_small"), ""},
      {object("refused_undefined_function"), ""},
      {object("refused_core_relocation"), ""},
      {object("refused_kconfig_unknown"), ""},
      {object("refused_strange_section"), ""},
  };
  ok({"daemon", "status"});
  ASSERT_TRUE(broker_.wait_until_alone());
  const Resources before = broker_.resources();
  for (const auto& [path, sentence] : objects) {
    SCOPED_TRACE(path);
    const RunOutput machine = with_json({"prog", "load", path});
    EXPECT_EQ(machine.exit_code(), 7) << machine.out;
    EXPECT_THAT(text(document(machine), "error"), HasSubstr(sentence));
    EXPECT_GT(integer(document(machine), "errno"), 0);
    const RunOutput person = plain({"prog", "load", path});
    EXPECT_EQ(std::ranges::count(person.err, '\n'), 1) << person.err;
  }
  EXPECT_EQ(list(ok({"arena", "list"}), "arenas").size(), 0u);
  EXPECT_EQ(list(ok({"prog", "list"}), "programs").size(), 0u);
  EXPECT_TRUE(broker_.wait_for_resources(before));
}

// All programs of an object or none: the good first one goes, and so does the arena that was made.
TEST_F(CommandErrors, VerifierRejection) {
  ok({"prog", "load", object("answers")});  // the memory for code is made once
  ok({"prog", "unload", "echo"});
  ASSERT_TRUE(broker_.wait_until_alone());
  const Resources before = broker_.resources();
  refused({"prog", "load", object("second_is_bad")}, {7, EACCES, "program bad"});
  const RunOutput person = plain({"prog", "load", object("second_is_bad")});
  const std::string sentence = person.err.substr(person.err.rfind("uarena: "));
  EXPECT_THAT(sentence, HasSubstr("second_is_bad.bpf.c:21: return *(__u32*)*ctx"));
  EXPECT_THAT(sentence, ::testing::ContainsRegex("insn(truction)? [0-9]+"));
  EXPECT_EQ(list(ok({"arena", "list"}), "arenas").size(), 0u);
  EXPECT_EQ(list(ok({"prog", "list"}), "programs").size(), 0u);
  EXPECT_TRUE(broker_.wait_for_resources(before));
  // In an arena of others it leaves no page behind either.
  ok({"arena", "create", "heap", "--pages", "16"});
  refused({"prog", "load", object("second_is_bad"), "--arena", "heap"}, {7, EACCES, "program bad"});
  EXPECT_EQ(integer(ok({"arena", "show", "heap"}), "pages_allocated"), 0);
  EXPECT_EQ(integer(ok({"arena", "show", "heap"}), "programs"), 0);
}

// Each program's log once: figures of the good one, the path of the bad one, and what to change.
TEST_F(CommandErrors, VerifierLogOfARejection) {
  const RunOutput told = plain({"prog", "load", object("second_is_bad"), "--log-level", "1"});
  const auto times = [&](const std::string& words) {
    size_t count = 0;
    for (size_t at = told.err.find(words); at != std::string::npos;
         at = told.err.find(words, at + 1))
      ++count;
    return count;
  };
  EXPECT_EQ(times("processed "), 2u) << told.err;
  EXPECT_EQ(times("0: R1=ctx() R10=fp0\n"), 1u) << told.err;
  EXPECT_EQ(times("; return *(__u32*)*ctx;"), 1u) << told.err;
  EXPECT_EQ(times("hint: "), 1u) << told.err;
}

// A place that can't be written to is found before the program runs; a full disk only after it.
TEST_F(CommandErrors, OutputThatCannotBeWritten) {
  ok({"prog", "load", object("answers")});
  TempDir dir;
  const std::string context = "hex:" + le(0, 8);
  refused({"prog", "run", "echo", "--ctx-in", context, "--ctx-out", dir.path() + "/none/out"},
          {1, ENOENT, "none/out"});
  refused({"prog", "run", "echo", "--ctx-in", context, "--ctx-out", dir.path()},
          {1, EISDIR, dir.path()});
  const RunOutput mixed = with_json({"prog", "run", "echo", "--ctx-in", context, "--ctx-out", "-"});
  EXPECT_EQ(mixed.exit_code(), 2);
  EXPECT_THAT(text(document(mixed), "error"), HasSubstr("--ctx-out -"));
  EXPECT_EQ(integer(ok({"prog", "show", "echo"}), "run_cnt"), 0);
  // A run that is refused leaves the file as it was.
  const std::string kept = file(dir, "kept", "precious");
  refused({"prog", "run", "echo", "--ctx-out", kept}, {1, EINVAL, "8 bytes of context"});
  std::ifstream content(kept);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(content), {}), "precious");
  const RunOutput full =
      run_command({"/bin/sh", "-c",
                   UARENA_BIN_DIR "/uarena -s " + broker_.socket() + " arena list >/dev/full"});
  EXPECT_EQ(full.exit_code(), 1);
  EXPECT_EQ(full.err, "uarena: cannot write the output: No space left on device\n");
  refused({"prog", "run", "echo", "--ctx-in", "hex:" + le(0, 8), "--ctx-out", "/dev/full"},
          {1, ENOSPC, "/dev/full"});
}

}  // namespace
}  // namespace uarena::testing
