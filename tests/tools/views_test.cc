// What scripts and people read, held by golden files: tests/tools/golden/NAME.{json,txt}.
// UARENA_UPDATE_GOLDEN=1 rewrites them; look at the difference before it is committed.
#include "tools/uarena/views.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "tests/tools/captured_output.h"
#include "tools/uarena/account_views.h"
#include "tools/uarena/fault_views.h"

namespace uarena::cli {
namespace {

template <size_t N>
void put(char (&field)[N], std::string_view text) {
  std::memset(field, 0, N);
  std::memcpy(field, text.data(), std::min(N, text.size()));
}

uarena_arena_info heap() {
  uarena_arena_info arena{};
  arena.id = 1;
  arena.user_vm_start = 0x7e9000000000;
  arena.max_entries = 1048576;
  arena.map_flags = 1u << 10;
  arena.pages_allocated = 1234;
  arena.pages_reserved = 2;
  arena.clients = 2;
  arena.programs = 3;
  arena.faults = 1200;
  arena.blocks = 1234;
  arena.owner_uid = 1000;
  arena.owner_gid = 100;
  arena.mode = 0xfe8;
  arena.cut_off_runs = 1;
  arena.cut_off_program = 7;
  arena.cut_off_ns = 1'700'000'000'000'000'000;
  put(arena.cut_off_name, "build");
  put(arena.name, "heap");
  return arena;
}

uarena_arena_info strict() {
  uarena_arena_info arena{};
  arena.id = 12;
  arena.user_vm_start = 0x7e9100000000;
  arena.map_extra = 0x7e9100000000;
  arena.max_entries = 16;
  arena.map_flags = 1u << 10 | 1u << 17 | 1u << 18;
  put(arena.name, "strict");
  return arena;
}

PageMapInput pages() {
  return {"heap",
          0x7e9000000000,
          1048576,
          {{0, 3, UARENA_ORIGIN_PROGRAM, 0},
           {5, 1, UARENA_ORIGIN_FAULT, 0},
           {7, 1, UARENA_ORIGIN_CLIENT, 0},
           {1048575, 1, UARENA_ORIGIN_RESERVED, 0}}};
}

uarena_prog_info program(uint64_t id, std::string_view name) {
  uarena_prog_info info{};
  info.id = id;
  info.arena_id = 1;
  info.run_cnt = 4;
  info.run_time_ns = 8000;
  info.ended_cnt = 1;
  info.insns = 180;
  info.jited_bytes = 1016;
  info.ctx_size = 16;
  put(info.name, name);
  put(info.section, "syscall");
  put(info.object, "demo");
  return info;
}

uarena_prog_info interpreted() {
  uarena_prog_info info{};
  info.id = 9;
  info.insns = 2;
  put(info.name, "answer");
  put(info.section, "syscall");
  put(info.object, "small");
  return info;
}

LoadedObject loaded() {
  LoadedObject object;
  object.programs = {program(3, "build"), program(4, "sum")};
  uarena_map_info arena{}, bss{};
  arena.id = 1;
  arena.type = 33;
  arena.max_entries = 1048576;
  arena.map_flags = 1u << 10;
  put(arena.name, "arena");
  bss.id = 2;
  bss.type = 2;
  bss.value_size = 64;
  bss.max_entries = 1;
  put(bss.name, "demo.bss");
  object.maps = {arena, bss};
  object.arena_id = 1;
  object.arena = "arena";
  return object;
}

RunOutcome outcome() {
  return {0xffffffff00000000u | static_cast<uint32_t>(-12),
          1234,
          10,
          {std::byte{0x0a}, std::byte{0}, std::byte{0xff}}};
}

uarena_client_info client(uint64_t id, std::string_view comm, uint32_t signal) {
  uarena_client_info info{};
  info.id = id;
  info.pid = 4711;
  info.uid = 1000;
  info.arenas = 1;
  info.programs = 2;
  info.faults = 70000;
  info.full = 1;
  info.signal = signal;
  put(info.comm, comm);
  return info;
}

uarena_fault_stats fault_stats() {
  uarena_fault_stats stats{};
  stats.installed = 1100;
  stats.present = 80;
  stats.deferred = 1;
  stats.discarded = 2;
  stats.denied = 16;
  stats.errors = 1;
  stats.signalled = 12;
  stats.poisoned = 4;
  stats.unexpected = 1;
  stats.pending = 3;
  stats.p50_ns = 4200;
  stats.p99_ns = 31000;
  stats.p999_ns = 90000;
  stats.max_ns = 12'000'000;
  return stats;
}

uarena_arena_stats_reply arena_stats() {
  uarena_arena_stats_reply stats{};
  stats.faults = fault_stats();
  stats.pages_program = 100;
  stats.pages_fault = 1100;
  stats.pages_client = 34;
  stats.pages_reserved = 2;
  return stats;
}

uarena_attachment_info attachment(uint64_t id, std::string_view name, uint32_t map_flags) {
  uarena_attachment_info info{};
  info.arena_id = id;
  info.map_flags = map_flags;
  info.pages_fault = 9;
  info.pages_reserved = 1;
  put(info.arena_name, name);
  return info;
}

ClientFaults client_faults() {
  auto served = attachment(1, "heap", 1u << 10);
  served.syscalls = UARENA_SYSCALLS_SERVED;
  served.faults = fault_stats();
  auto strict = attachment(12, "strict", 1u << 10 | 1u << 17);
  strict.refusal = UARENA_REFUSAL_POISON;
  return {fault_stats(), {served, strict}};
}

TraceView trace() {
  TraceView view{"heap", 1767225599000000000, 5003, 312, false, {}};
  for (uint32_t outcome = UARENA_OUTCOME_INSTALLED; outcome <= UARENA_OUTCOME_ERROR; ++outcome) {
    uarena_traced_fault fault{};
    fault.number = 4996 + outcome;
    fault.time_ns = 1767225600000000042 + outcome;
    fault.client_id = 7;
    fault.address = 0x7e9000000123 + outcome * 0x1000;
    fault.latency_ns = 4200 * (outcome + 1);
    fault.thread = 4711 + outcome;
    fault.outcome = outcome;
    fault.flags = outcome % 2 != 0 ? UARENA_TRACED_WRITE | UARENA_TRACED_TID : UARENA_TRACED_TID;
    view.faults.push_back(fault);
  }
  uarena_traced_fault poisoned = view.faults[UARENA_OUTCOME_DENIED];
  poisoned.number = 5002;
  poisoned.refusal = UARENA_REFUSAL_POISON;
  poisoned.thread = 2;
  poisoned.flags = UARENA_TRACED_WRITE;
  view.faults.push_back(poisoned);
  return view;
}

// Of a user with limits, one without, and the broker.
std::vector<uarena_account_info> accounts() {
  std::vector<uarena_account_info> all(3);
  for (auto& account : all)
    for (auto& use : account.of) use.limit = UINT64_MAX;
  all[0].id = 1;
  all[0].of[UARENA_RESOURCE_CONNECTIONS].used = 2;
  all[1].id = 1001;
  all[1].uid = 1000;
  all[1].of[UARENA_RESOURCE_PAGES] = {262144, 262144, 17};
  all[1].of[UARENA_RESOURCE_ARENAS] = {3, 16, 0};
  all[1].of[UARENA_RESOURCE_CPU_MS] = {85, 100, 4};
  all[2].id = UARENA_ACCOUNT_BROKER;
  all[2].of[UARENA_RESOURCE_PAGES] = {262150, 1048576, 0};
  return all;
}

uarena_status_reply status() {
  uarena_status_reply info{};
  info.started_ns = 1767225600000000000;  // 2026-01-01
  info.arenas = 2;
  info.clients = 3;
  info.programs = 4;
  info.pages_allocated = 1234;
  info.faults_served = 1200;
  info.faults_refused = 7;
  info.pid = 99;
  info.fault_threads = 2;
  info.runner_threads = 4;
  info.uffd_features = 0x1ffff;
  info.uffd_full = 1;
  info.can_signal_others = 0;
  info.exact = 1;
  info.fault_p50_ns = 4200;
  info.fault_p99_ns = 31000;
  put(info.version, "0.1.0");
  return info;
}

void expect_golden(const std::string& name, const std::string& text) {
  std::string path = std::string(UARENA_SOURCE_DIR) + "/tests/tools/golden/" + name;
  if (std::getenv("UARENA_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << text;
  std::ifstream file(path);
  ASSERT_TRUE(file.is_open()) << path;
  std::ostringstream golden;
  golden << file.rdbuf();
  EXPECT_EQ(text, golden.str()) << path;
}

// The document in both forms; the compact one must say the same.
void expect_json(const std::string& name, const boost::json::object& body) {
  CapturedOutput pretty({.json = Style::Json::pretty}), compact({.json = Style::Json::compact});
  pretty.output.json(body);
  compact.output.json(body);
  expect_golden(name, pretty.out.text());
  std::string line = compact.out.text();
  EXPECT_EQ(std::ranges::count(line, '\n'), 1);
  EXPECT_EQ(boost::json::parse(line), boost::json::parse(pretty.out.text()));
}

TEST(Views, JsonGolden) {
  std::vector<uarena_arena_info> arenas = {heap(), strict()};
  std::vector<uarena_prog_info> programs = {program(3, "build"), interpreted()};
  std::vector<uarena_client_info> clients = {client(7, "walker", 1), client(8, "toucher", 0)};
  LoadedObject no_arena{.programs = {interpreted()}, .maps = {}, .arena = {}, .log = "0: exit\n"};
  expect_json("arena_create.json", arena_json(heap()));
  expect_json("arena_show.json", arena_json(heap(), arena_stats()));
  expect_json("arena_trace.json", trace_json(trace()));
  expect_json("arena_list.json", arenas_json(arenas));
  expect_json("arena_list_empty.json", arenas_json({}));
  expect_json("page_list.json", pages_json(pages()));
  expect_json("prog_load.json", loaded_json(loaded()));
  expect_json("prog_load_no_arena.json", loaded_json(no_arena));
  expect_json("prog_list.json", programs_json(programs));
  expect_json("prog_show.json", program_json(interpreted()));
  expect_json("prog_run.json", run_json(outcome()));
  expect_json("prog_dump.json", listing_json(3, "xlated", "0: r0 = 0\n\n1: exit\n"));
  expect_json("client_list.json", clients_json(clients));
  expect_json("client_show.json", client_json(clients[1], client_faults()));
  boost::json::object with_accounts = status_json(status());
  with_accounts["accounts"] = accounts_json(accounts());
  expect_json("daemon_status.json", with_accounts);
}

TEST(Views, TextGolden) {
  CapturedOutput captured;
  const Output& output = captured.output;
  std::vector<uarena_arena_info> arenas = {heap(), strict()};
  std::vector<uarena_prog_info> programs = {program(3, "build"), interpreted()};
  std::vector<uarena_client_info> clients = {client(7, "walker", 1), client(8, "toucher", 0)};
  expect_golden("arena_create.txt", arena_text(heap(), output));
  expect_golden("arena_show.txt", arena_text(heap(), arena_stats(), output));
  expect_golden("arena_trace.txt", trace_title(output) + trace_lines(trace()));
  expect_golden("arena_list.txt", arenas_text(arenas, output));
  expect_golden("page_list.txt", pages_text(pages(), output));
  expect_golden("prog_load.txt", loaded_text(loaded(), output));
  expect_golden("prog_list.txt", programs_text(programs, arenas, output));
  expect_golden("prog_show.txt", program_text(program(3, "build"), arenas, output));
  expect_golden("prog_run.txt", run_text(outcome(), true, true, output));
  expect_golden("client_list.txt", clients_text(clients, output));
  expect_golden("client_show.txt", client_text(clients[1], client_faults(), output));
  expect_golden("daemon_status.txt", status_text(status(), output));
  expect_golden("daemon_accounts.txt", accounts_text(accounts(), output));
}

// An arena that was deleted while the lists were asked for.
TEST(Views, AnArenaWithoutANameIsItsId) {
  CapturedOutput captured;
  EXPECT_THAT(program_text(program(3, "build"), {}, captured.output),
              testing::HasSubstr(" id 1\n"));
  const std::vector<uarena_prog_info> programs = {program(3, "build")};
  EXPECT_THAT(programs_text(programs, {}, captured.output), testing::HasSubstr("  id 1  "));
}

// What somebody did to the memory file behind the broker's back, as far as its count of pages
// shows.
TEST(Views, PagesOfTheFileThatNobodyAllocatedAndMissingOnes) {
  const auto line = [](uint64_t blocks) {
    CapturedOutput captured;
    uarena_arena_info arena = heap();
    arena.blocks = blocks;
    const std::string text = arena_text(arena, captured.output);
    const size_t at = text.find("memory file");
    return text.substr(at, text.find('\n', at) - at);
  };
  EXPECT_EQ(line(1234), "memory file    1,234 pages");
  EXPECT_EQ(line(1237), "memory file    1,237 pages, 3 of them not allocated");
  EXPECT_EQ(line(0), "memory file    0 pages, 1,234 allocated ones are missing");
  uarena_arena_info arena = heap();
  arena.blocks = 1240;
  EXPECT_EQ(arena_json(arena).at("blocks_unallocated"), 6);
  EXPECT_EQ(arena_json(arena).at("blocks_missing"), 0);
  arena.blocks = 1200;
  EXPECT_EQ(arena_json(arena).at("blocks_unallocated"), 0);
  EXPECT_EQ(arena_json(arena).at("blocks_missing"), 34);
}

TEST(Views, EmptyListsSaySo) {
  CapturedOutput captured;
  EXPECT_EQ(arenas_text({}, captured.output), "no arenas\n");
  EXPECT_EQ(programs_text({}, {}, captured.output), "no programs\n");
  EXPECT_EQ(clients_text({}, captured.output), "no clients\n");
  EXPECT_EQ(pages_text({"heap", 0, 1, {}}, captured.output), "no pages\n");
}

// Lines about what did not happen are left out.
TEST(Views, FaultsThatAreNone) {
  CapturedOutput captured;
  EXPECT_EQ(arena_text(strict(), {}, captured.output).find("denied by"), std::string::npos);
  const Lines lines = fault_stats_lines({});
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].second,
            "0: 0 installed, 0 present, 0 deferred, 0 discarded, 0 denied, 0 error");
  EXPECT_EQ(lines[1].second, "0");
  EXPECT_EQ(trace_lines({}), "");
  EXPECT_EQ(trace_lines({"heap", 9, 1, 0, true, {}}),
            "... another broker goes on; what was not shown is lost\n");
  EXPECT_EQ(trace_lines({"heap", 9, 2, 1, false, {}}), "... 1 fault was overwritten\n");
}

// What a broker of a later version may say.
TEST(Views, UnknownOutcomes) {
  TraceView view{"heap", 9, 2, 0, false, {uarena_traced_fault{}}};
  view.faults[0].outcome = 99;
  EXPECT_THAT(trace_lines(view), testing::HasSubstr("  unknown  "));
  EXPECT_EQ(boost::json::value(trace_json(view)).at("faults").at(0).at("outcome"), "unknown");
}

TEST(Views, RunShowsTheContextOnlyWhenAsked) {
  CapturedOutput captured;
  const RunOutcome ran{.r0 = 5,
                       .duration_ns = 90,
                       .repeat = 1,
                       .ctx = {std::byte{1}},
                       .data = {std::byte{2}, std::byte{3}}};
  const std::string line = "retval 5 (0x5), duration 90 ns\n";
  EXPECT_EQ(run_text(ran, false, false, captured.output), line);
  const std::string packet = run_text(ran, false, true, captured.output);
  EXPECT_TRUE(packet.starts_with(line + "packet\n")) << packet;
  EXPECT_NE(packet.find("0203"), std::string::npos) << packet;
  EXPECT_EQ(run_json(ran).at("data_out"), "0203");
}

TEST(Views, RetvalIsTheLow32BitsSigned) {
  EXPECT_EQ(run_json({.r0 = 0xffffffff, .ctx = {}}).at("retval").as_int64(), -1);
  EXPECT_EQ(run_json({.r0 = 0x17fffffff, .ctx = {}}).at("retval").as_int64(), INT32_MAX);
  EXPECT_EQ(run_json({.r0 = 0x80000000, .ctx = {}}).at("retval").as_int64(), INT32_MIN);
}

TEST(Views, NamesOfPeersCantDriveTheTerminalOrBreakJson) {
  CapturedOutput captured;
  uarena_client_info evil = client(7, "\x1b[31m\n\"\xff", 1);
  std::vector<uarena_client_info> clients = {evil};
  EXPECT_THAT(clients_text(clients, captured.output),
              testing::HasSubstr("\\x1b[31m\\x0a\\\"\\xff"));
  std::string json = boost::json::serialize(client_json(evil));
  for (char c : json) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << json;
  // A field without a terminating NUL ends with the field.
  uarena_client_info full = client(7, "0123456789abcdef", 1);
  EXPECT_EQ(wire_name(full.comm), "0123456789abcdef");
}

TEST(Views, ProgramsAreFoundByTheirOnlyName) {
  std::vector<uarena_prog_info> programs = {program(3, "build"), program(4, "sum"),
                                            program(8, "sum")};
  EXPECT_EQ(find_program(programs, "build").value(), 3u);
  auto several = find_program(programs, "sum");
  ASSERT_FALSE(several.has_value());
  EXPECT_EQ(several.error().why, Why::usage);
  EXPECT_EQ(several.error().message,
            "\"sum\" is ambiguous: programs 4, 8 have that name; use an ID");
  // A name is no prefix.
  auto none = find_program(programs, "buil");
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().why, Why::not_found);
}

}  // namespace
}  // namespace uarena::cli
