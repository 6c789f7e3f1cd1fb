// What the text files say, to the letter; their keys are those of the command.
#include "tools/uarenafs/text_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "ipc/codec.h"
#include "tools/uarena/views.h"

namespace uarena::inspectfs {
namespace {

std::vector<std::string> keys(const std::string& text) {
  std::vector<std::string> found;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    found.push_back(line.substr(0, line.find(": ")));
  return found;
}

std::vector<std::string> keys(const boost::json::object& object) {
  std::vector<std::string> found;
  for (const auto& member : object) found.emplace_back(member.key());
  return found;
}

TEST(TextFiles, KeysAreThoseOfTheCommand) {
  EXPECT_EQ(keys(info_text({})), keys(cli::arena_json({})));
  EXPECT_EQ(keys(client_text({})), keys(cli::client_json({})));
  EXPECT_EQ(keys(program_text({})), keys(cli::program_json({})));
}

TEST(TextFiles, Info) {
  uarena_arena_info arena{};
  arena.id = 3;
  arena.user_vm_start = 0x7e9000000000;
  arena.max_entries = 1048576;
  arena.map_flags = 1024;
  arena.pages_allocated = 17;
  arena.pages_reserved = 1;
  arena.clients = 2;
  arena.programs = 4;
  arena.faults = 5;
  arena.blocks = 16;
  arena.owner_uid = 1000;
  arena.owner_gid = 100;
  arena.mode = 0xfe8;
  arena.cut_off_runs = 2;
  arena.cut_off_program = 9;
  arena.cut_off_ns = 77;
  ipc::set_text(arena.cut_off_name, "sum");
  arena.cut_off_why = UARENA_CUT_OFF_LIMIT;
  ipc::set_text(arena.name, "heap");
  EXPECT_EQ(
      info_text(arena),
      "id: 3\nname: heap\nuser_vm_start: 0x7e9000000000\nmap_extra: 0x0\n"
      "max_entries: 1048576\nmap_flags: 1024\nfault: served\nfault_around: 1\npages_allocated: 17\n"
      "pages_reserved: 1\nclients: 2\nprograms: 4\nfaults: 5\nblocks: 16\nblocks_unallocated: "
      "0\nblocks_missing: 1\nowner_uid: 1000\nowner_gid: 100\nmode: rwxl rwx- r---\n"
      "cut_off_runs: 2\ncut_off_program: 9\ncut_off_name: sum\ncut_off_ns: 77\ncut_off_why: "
      "limit\n");
}

TEST(TextFiles, Pages) {
  uarena_arena_info arena{};
  arena.user_vm_start = 0x7e9000000000;
  const uarena_page_extent extents[] = {{0, 16, UARENA_ORIGIN_PROGRAM, 0},
                                        {16, 1, UARENA_ORIGIN_FAULT, 0},
                                        {1048574, 1, UARENA_ORIGIN_CLIENT, 0},
                                        {1048575, 1, UARENA_ORIGIN_RESERVED, 0},
                                        {UINT32_MAX, UINT32_MAX, 9, 0}};
  EXPECT_EQ(pages_text(arena, extents),
            "0 16 program 0x7e9000000000-0x7e9000010000\n"
            "16 1 fault 0x7e9000010000-0x7e9000011000\n"
            "1048574 1 client 0x7e90ffffe000-0x7e90fffff000\n"
            "1048575 1 reserved 0x7e90fffff000-0x7e9100000000\n"
            "4294967295 4294967295 unknown 0x8e8ffffff000-0x9e8fffffe000\n");
  EXPECT_EQ(pages_text(arena, {}), "");
}

TEST(TextFiles, WhatPeersChoseIsEscaped) {
  uarena_client_info client{};
  client.id = 9;
  client.pid = 4711;
  client.signal = 1;
  std::memcpy(client.comm, "a\nuid: 0\x1b[2J\"\\\xff", 16);  // not terminated
  EXPECT_EQ(client_text(client),
            "id: 9\npid: 4711\nuid: 0\ncomm: a\\x0auid: 0\\x1b[2J\\\"\\\\\\xff\narenas: 0\n"
            "programs: 0\nfaults: 0\nsyscalls_served: 0\nsegv: signal\n");
  uarena_prog_info program{};
  std::memset(program.name, '\n', sizeof program.name);
  ipc::set_text(program.section, "s\r");
  ipc::set_text(program.object, "o\t");
  EXPECT_EQ(keys(program_text(program)), keys(cli::program_json({})));
  EXPECT_THAT(program_text(program), ::testing::HasSubstr("section: s\\x0d\nobject: o\\x09\n"));
}

}  // namespace
}  // namespace uarena::inspectfs
