// Every command's success: the keys that scripts rely on, with their types, and what they say after
// something has really happened.
#include <unistd.h>

#include <fstream>

#include "tests/integration/command_fixture.h"
#include "tests/support/ways.h"

namespace uarena::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Command : public CommandFixture {};

TEST_F(Command, ArenaCreateShowListDelete) {
  const json::object made = ok({"arena", "create", "heap", "--pages", "4096", "--addr",
                                "0x7e1200000000", "--segv-on-fault", "--no-user-conv"});
  EXPECT_GT(integer(made, "id"), 0);
  EXPECT_EQ(text(made, "name"), "heap");
  EXPECT_EQ(address(made, "user_vm_start"), 0x7e1200000000u);
  EXPECT_EQ(address(made, "map_extra"), 0x7e1200000000u);
  EXPECT_EQ(integer(made, "max_entries"), 4096);
  EXPECT_EQ(integer(made, "map_flags"), 1 << 10 | 1 << 17 | 1 << 18);
  EXPECT_EQ(integer(made, "pages_allocated"), 0);
  EXPECT_EQ(integer(made, "clients"), 0);
  ok({"arena", "create", "other", "--pages", "1"});

  const json::object shown = ok({"arena", "show", "heap"});
  for (const auto& [key, value] : made) {
    const json::value* same = shown.if_contains(key);
    ASSERT_NE(same, nullptr) << key;
    EXPECT_EQ(*same, value) << key;
  }
  const json::array all = list(ok({"arena", "list"}), "arenas");
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(text(all[0].as_object(), "name"), "heap");
  EXPECT_EQ(ok({"arena"}), ok({"arena", "show"}));  // bpftool's habit
  EXPECT_EQ(ok({"a", "l"}), ok({"arena", "list"}));

  EXPECT_EQ(text(ok({"arena", "delete", "heap"}), "name"), "heap");
  EXPECT_EQ(list(ok({"arena", "list"}), "arenas").size(), 1u);
  // Its name and its address are free again.
  ok({"arena", "create", "heap", "--pages", "4096", "--addr", "0x7e1200000000"});
}

TEST_F(Command, PagesByOrigin) {
  answered_as_usual();
  const uint64_t base = address(ok({"arena", "create", "heap", "--pages", "64"}), "user_vm_start");
  ok({"prog", "load", object("kfuncs"), "--arena", "heap"});
  auto child = toucher("heap");
  touch(*child, "write 60 258");
  // struct kfunc_ctx: addr, cnt, node, flags, result
  const auto call = [&](const std::string& program, uint64_t page, uint32_t count) {
    const json::object ran =
        ok({"prog", "run", program, "--ctx-in",
            "hex:" + le(base + page * 4096, 8) + le(count, 4) + le(0xffffffff, 4) + le(0, 16)});
    return text(ran, "ctx_out").substr(48, 16);
  };
  EXPECT_EQ(call("alloc_pages", 10, 3), le(base + 10 * 4096, 8));
  EXPECT_EQ(call("reserve_pages", 20, 2), le(0, 8));

  const json::object pages = ok({"page", "list", "heap"});
  std::vector<std::string> found;
  for (const json::value& value : list(pages, "extents")) {
    const json::object& extent = value.as_object();
    const auto page = static_cast<uint64_t>(integer(extent, "page"));
    EXPECT_EQ(address(extent, "address"), base + page * 4096);
    found.push_back(std::to_string(page) + "+" + std::to_string(integer(extent, "count")) + " " +
                    text(extent, "origin"));
  }
  EXPECT_THAT(found, ElementsAre("10+3 program", "20+2 reserved", "60+1 fault"));
  EXPECT_EQ(json::serialize(ok({"page", "map", "heap"})), json::serialize(pages));

  const json::object dumped = ok({"page", "dump", "heap", "--range", "0x3c000:16"});
  const json::object piece = list(dumped, "pieces").at(0).as_object();
  EXPECT_EQ(address(piece, "address"), base + 60 * 4096);
  EXPECT_EQ(text(piece, "hex"), le(258, 8) + le(0, 8));
  // Looking allocates nothing, and the drawing names every origin.
  ok({"page", "dump", "heap", "--range", "0:262144"});
  EXPECT_EQ(integer(ok({"arena", "show", "heap"}), "pages_allocated"), 4);
  const RunOutput drawn = plain({"page", "map", "heap"});
  for (const char* origin : {"program", "reserved", "fault"})
    EXPECT_THAT(drawn.out, HasSubstr(origin));
}

TEST_F(Command, ProgLoadMakesTheArenaOfItsMaps) {
  const json::object loaded = ok({"prog", "load", object("globals")});
  const json::object program = list(loaded, "programs").at(0).as_object();
  EXPECT_GT(integer(program, "id"), 0);
  EXPECT_EQ(text(program, "name"), "globals");
  EXPECT_EQ(text(program, "section"), "syscall");
  EXPECT_GT(integer(program, "jited_bytes"), 0);
  EXPECT_EQ(text(loaded, "arena"), "arena");
  std::vector<std::string> types;
  for (const json::value& map : list(loaded, "maps")) {
    EXPECT_GT(integer(map.as_object(), "id"), 0);
    EXPECT_NE(text(map.as_object(), "name"), "");
    types.push_back(text(map.as_object(), "type"));
  }
  EXPECT_THAT(types, ::testing::IsSupersetOf({"arena", "array"}));
  EXPECT_EQ(integer(ok({"arena", "show", "arena"}), "programs"), 1);
  EXPECT_EQ(ok({"prog", "show", "globals"}), ok({"prog", "show", "1"}));
  EXPECT_EQ(list(ok({"prog", "list"}), "programs").size(), 1u);
  for (const char* what : {"xlated", "jited"}) {
    const json::object listing = ok({"prog", "dump", what, "globals"});
    EXPECT_EQ(text(listing, "what"), what);
    EXPECT_GT(list(listing, "lines").size(), 10u);
  }
  EXPECT_EQ(integer(ok({"prog", "unload", "globals"}), "id"), 1);
  EXPECT_EQ(list(ok({"prog", "list"}), "programs").size(), 0u);
  // The arena stays, without users, and can go now.
  EXPECT_EQ(integer(ok({"arena", "show", "arena"}), "programs"), 0);
  ok({"arena", "delete", "arena"});
}

TEST_F(Command, ProgRunCompiledAndInterpreted) {
  for (const char* mode : {"--interpret", ""}) {
    SCOPED_TRACE(mode);
    Words load{"prog", "load", object("answers")};
    if (*mode != '\0') load.push_back(mode);
    const json::object loaded = ok(load);
    const std::string id = std::to_string(program_id(loaded, "echo"));
    EXPECT_EQ(integer(list(loaded, "programs").at(0).as_object(), "jited_bytes") == 0,
              *mode != '\0');
    // By id and by name, the return value as a signed number whatever it is, the context back.
    for (const auto& [hex, retval] : {std::pair<std::string, int64_t>{"fbffffff", -5},
                                      {"ffffff7f", 0x7fffffff},
                                      {"00000080", -0x80000000ll}}) {
      const json::object ran = ok({"prog", "run", id, "--ctx-in", "hex:" + hex + "00000000"});
      EXPECT_EQ(integer(ran, "retval"), retval);
      EXPECT_EQ(integer(ran, "repeat"), 1);
      EXPECT_GE(integer(ran, "duration_ns"), 0);
      EXPECT_EQ(text(ran, "ctx_out"), hex + "01000000");
    }
    const json::object many =
        ok({"prog", "run", "echo", "--ctx-in", "hex:" + le(0, 8), "--repeat", "1000"});
    EXPECT_EQ(integer(many, "repeat"), 1000);
    EXPECT_EQ(text(many, "ctx_out"), le(0, 4) + le(1000, 4));  // one context for all of them
    EXPECT_EQ(integer(ok({"prog", "show", id}), "run_cnt"), 1003);
    for (const json::value& program : list(loaded, "programs"))
      ok({"prog", "unload", std::to_string(integer(program.as_object(), "id"))});
  }
}

// A packet goes in and comes back, as bytes in hex and through files.
TEST_F(Command, ProgRunWithAPacket) {
  ok({"prog", "load", object("packets")});
  const std::string packet = le(0, 13) + "07" + "aa";
  json::object ran = ok({"prog", "run", "count_in_packet", "--data-in", "hex:" + packet});
  EXPECT_EQ(integer(ran, "retval"), 8);
  EXPECT_EQ(text(ran, "data_out"), le(0, 13) + "08" + "aa");
  ran = ok({"prog", "run", "count_in_packet", "--data-in", "hex:" + packet, "--repeat", "3"});
  EXPECT_EQ(integer(ran, "retval"), 10);
  // The context beside it: length, packet type, mark.
  ran = ok({"prog", "run", "mark", "--data-in", "hex:" + packet, "--ctx-in",
            "hex:" + le(0, 8) + le(41, 4)});
  EXPECT_EQ(integer(ran, "retval"), 15);
  EXPECT_EQ(text(ran, "ctx_out").substr(16, 8), le(42, 4));
  const RunOutput piped =
      plain({"prog", "run", "count_in_packet", "--data-in", "-"}, 0, std::string(14, '\0'));
  EXPECT_EQ(piped.exit_code(), 0) << piped.err;
  refused({"prog", "run", "count_in_packet"}, {1, EINVAL, ""});
  refused({"prog", "run", "count_in_packet", "--data-in", "hex:00"}, {1, EINVAL, ""});
}

TEST_F(Command, ProgLogAndStreams) {
  ok({"prog", "load", object("packets")});
  const auto print = [this] {
    EXPECT_EQ(integer(ok({"prog", "run", "print", "--data-in", "hex:" + le(0, 20)}), "retval"), 0);
  };
  EXPECT_EQ(plain({"prog", "log", "print"}).out, "");
  print();
  EXPECT_EQ(plain({"prog", "log", "print"}).out, "packet has 20 bytes\n");
  EXPECT_EQ(list(ok({"prog", "log", "print"}), "lines").at(0), "packet has 20 bytes");
  print();
  EXPECT_EQ(plain({"prog", "log", "print", "--stream", "stdout"}).out, "packet packet ");
  EXPECT_EQ(plain({"prog", "log", "print", "--stream", "stderr"}).out, "packet packet ");
  EXPECT_EQ(plain({"prog", "log", "mark", "--stream", "stderr"}).out, "");
  refused({"prog", "log", "print", "--stream", "stdin"}, {2, EINVAL, "--stream"});
  refused({"prog", "log", "nobody"}, {3, ENOENT, "nobody"});
  EXPECT_EQ(with_json({"prog", "log", "print", "--follow"}).exit_code(), 2);
}

// What was printed before, what is printed meanwhile, and an end with the program.
TEST_F(Command, ProgLogFollows) {
  const json::object loaded = ok({"prog", "load", object("packets")});
  const auto print = [this](int bytes) {
    ok({"prog", "run", "print", "--data-in", "hex:" + le(0, bytes)});
  };
  print(20);
  ChildProcess follower({std::string(UARENA_BIN_DIR) + "/uarena", "-s", broker_.socket(), "prog",
                         "log", "print", "--follow"});
  EXPECT_EQ(follower.read_line(), "packet has 20 bytes");
  print(30);
  print(40);
  EXPECT_EQ(follower.read_line(), "packet has 30 bytes");
  EXPECT_EQ(follower.read_line(), "packet has 40 bytes");
  ok({"prog", "unload", std::to_string(program_id(loaded, "print"))});
  EXPECT_EQ(follower.read_line(), "");
  EXPECT_EQ(follower.wait(), 0);
}

// A plain search through 60,000 bytes, which takes the kernel's verifier too long, ends as it
// should.
TEST_F(Command, ProgRunLongLoops) {
  for (const char* mode : {"--interpret", ""}) {
    Words load{"prog", "load", object("endless")};
    if (*mode != '\0') load.push_back(mode);
    ok(load);
    const json::object ran =
        ok({"prog", "run", "search", "--ctx-in", "hex:" + le(60000, 4) + le(0, 4)});
    EXPECT_EQ(text(ran, "ctx_out"), le(60000, 4) + le(60000 - 2, 4));
    for (const char* name : {"search", "wait_for_flag"}) ok({"prog", "unload", name});
    ok({"arena", "delete", "arena"});
  }
}

TEST_F(Command, ProgRunThatDoesNotEndIsEnded) {
  const json::object loaded = ok({"prog", "load", object("endless")});
  const RunOutput ran = with_json({"prog", "run", "wait_for_flag"});
  EXPECT_EQ(ran.exit_code(), 1);
  const json::object answer = document(ran);
  EXPECT_EQ(integer(answer, "errno"), ETIMEDOUT);
  EXPECT_THAT(text(answer, "error"),
              ::testing::ContainsRegex("program wait_for_flag ran for 10 s and was ended at insn "
                                       "[0-9]+ \\(.*endless.bpf.c:[0-9]+: while .*"));
  EXPECT_EQ(integer(ok({"prog", "show", "wait_for_flag"}), "ended_cnt"), 1);
  const json::object arena = ok({"arena", "show", "arena"});
  EXPECT_EQ(integer(arena, "cut_off_runs"), 1);
  EXPECT_EQ(text(arena, "cut_off_why"), "limit");
  EXPECT_EQ(text(arena, "cut_off_name"), "wait_for_flag");
}

TEST_F(Command, ProgRunReadsAndWritesFiles) {
  ok({"prog", "load", object("answers")});
  TempDir dir;
  std::ofstream(dir.path() + "/in", std::ios::binary) << std::string("\x07\0\0\0\0\0\0\0", 8);
  ok({"prog", "run", "echo", "--ctx-in", dir.path() + "/in", "--ctx-out", dir.path() + "/out"});
  std::ifstream out(dir.path() + "/out", std::ios::binary);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(out), {}),
            std::string("\x07\0\0\0\x01\0\0\0", 8));
  const RunOutput piped = with_json({"prog", "run", "echo", "--ctx-in", "-"}, 0, "12345678");
  EXPECT_EQ(piped.exit_code(), 0) << piped.out;
  EXPECT_EQ(text(document(piped), "ctx_out"), "3132333436363738");
}

TEST_F(Command, TwoObjectsShareAnArena) {
  const uint64_t base =
      address(ok({"arena", "create", "heap", "--pages", "1024"}), "user_vm_start");
  const json::object one = ok({"prog", "load", object("demo"), "--arena", "heap"});
  const json::object two = ok({"prog", "load", object("segv"), "--arena", "heap"});
  EXPECT_EQ(integer(one, "arena_id"), integer(two, "arena_id"));
  EXPECT_EQ(text(two, "arena"), "heap");
  // What the first allocates the second sees; both have an alloc_at, so a name is not enough.
  const std::string pages = le(base + 500 * 4096, 8) + le(1, 4) + le(0, 12);
  const auto run_of = [&](const json::object& loaded) {
    const std::string id = std::to_string(program_id(loaded, "alloc_at"));
    return text(ok({"prog", "run", id, "--ctx-in", "hex:" + pages}), "ctx_out").substr(32);
  };
  EXPECT_EQ(run_of(one), le(base + 500 * 4096, 8));
  EXPECT_EQ(run_of(two), le(0, 8));
  refused({"prog", "run", "alloc_at", "--ctx-in", "hex:" + pages}, {2, EINVAL, "is ambiguous"});
}

// K83: in an arena that is in use the globals are left as they stand there.
TEST_F(Command, GlobalsMeetTakenPages) {
  ok({"arena", "create", "heap", "--pages", "1024"});
  auto child = toucher("heap");
  touch(*child, "write 0 4711");
  const json::object loaded = ok({"prog", "load", object("globals"), "--arena", "heap"});
  const std::string id = std::to_string(program_id(loaded, "globals"));
  const std::string out = text(ok({"prog", "run", id, "--ctx-in", "hex:" + le(0, 40)}), "ctx_out");
  EXPECT_EQ(out.substr(48, 16), le(4711, 8));
  EXPECT_EQ(integer(ok({"arena", "show", "heap"}), "pages_allocated"), 1);
}

TEST_F(Command, ClientsAndDaemon) {
  answered_as_usual();
  ok({"arena", "create", "heap", "--pages", "64"});
  auto child = toucher("heap", kNobody);
  touch(*child, "write 1 1");
  touch(*child, "write 2 1");
  const json::array clients = list(ok({"client", "list"}), "clients");
  ASSERT_EQ(clients.size(), 2u);  // it and the command itself
  const json::object& client = clients[0].as_object();
  EXPECT_EQ(integer(client, "pid"), child->pid());
  EXPECT_EQ(integer(client, "uid"), kNobody);
  EXPECT_EQ(integer(client, "arenas"), 1);
  EXPECT_EQ(integer(client, "faults"), 2);
  EXPECT_EQ(ok({"client", "show", std::to_string(integer(client, "id"))}).at("pid"),
            client.at("pid"));
  const json::object status = ok({"daemon", "status"});
  EXPECT_EQ(integer(status, "pid"), broker_.pid());
  EXPECT_EQ(integer(status, "arenas"), 1);
  EXPECT_EQ(integer(status, "pages_allocated"), 2);
  EXPECT_EQ(integer(status, "faults_served"), 2);
}

// Nobody counts its faults, but it is there.
TEST_F(Command, AClientOfADirectArena) {
  ok({"arena", "create", "heap", "--pages", "64", "--fault", "direct"});
  auto child = toucher("heap", kNobody);
  touch(*child, "write 1 1");
  const json::array clients = list(ok({"client", "list"}), "clients");
  ASSERT_EQ(clients.size(), 2U);
  EXPECT_EQ(integer(clients[0].as_object(), "arenas"), 1);
  EXPECT_EQ(integer(clients[0].as_object(), "faults"), 0);
}

// $UARENA_OPTIONS says what is left open, and a wrong word is told.
TEST_F(Command, OptionsOfTheEnvironment) {
  const auto create = [&](const std::string& options, Words words) {
    ::setenv("UARENA_OPTIONS", options.c_str(), 1);
    words.insert(words.begin(), {"arena", "create", "--pages", "4"});
    const RunOutput output = plain(words);
    ::unsetenv("UARENA_OPTIONS");
    return output;
  };
  EXPECT_EQ(create("direct", {"a"}).exit_code(), 0);
  EXPECT_EQ(text(ok({"arena", "show", "a"}), "fault"), "direct");
  EXPECT_EQ(create("direct", {"b", "--fault", "served"}).exit_code(), 0);
  EXPECT_EQ(text(ok({"arena", "show", "b"}), "fault"), "served");
  EXPECT_EQ(create("direct", {"c", "--segv-on-fault"}).exit_code(), 0);
  EXPECT_EQ(text(ok({"arena", "show", "c"}), "fault"), "served");
  EXPECT_EQ(create("fault-around=16", {"d"}).exit_code(), 0);
  EXPECT_EQ(integer(ok({"arena", "show", "d"}), "fault_around"), 16);
  const RunOutput wrong = create("exact,fish", {"e"});
  EXPECT_EQ(wrong.exit_code(), 2);
  EXPECT_THAT(wrong.err, ::testing::HasSubstr("UARENA_OPTIONS has \"fish\"; allowed are direct,"));
}

// -p is the same document, and a person's form of everything ends well too.
TEST_F(Command, OtherForms) {
  ok({"arena", "create", "heap", "--pages", "1024"});
  ok({"prog", "load", object("demo"), "--arena", "heap"});
  for (const Words& words :
       {Words{"arena"}, Words{"arena", "show", "heap"}, Words{"page", "list", "heap"},
        Words{"page", "map", "heap"}, Words{"page", "dump", "heap"}, Words{"prog"},
        Words{"prog", "show", "build"}, Words{"prog", "dump", "x", "build"},
        Words{"prog", "dump", "j", "1"}, Words{"daemon"}}) {
    SCOPED_TRACE(::testing::PrintToString(words));
    const RunOutput person = plain(words);
    EXPECT_EQ(person.exit_code(), 0) << person.err;
    EXPECT_NE(person.out, "");
    EXPECT_EQ(person.err, "");
    EXPECT_EQ(person.out.find('\x1b'), std::string::npos);  // no colour into a file
    Words pretty = words;
    pretty.push_back("-p");
    const RunOutput indented = plain(pretty);
    EXPECT_EQ(indented.exit_code(), 0);
    if (words[0] != "daemon") {
      EXPECT_EQ(document(indented), ok(words));
    }
  }
}

}  // namespace
}  // namespace uarena::testing
