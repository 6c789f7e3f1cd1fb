// The real command against a broker of the test's own, with what every test of it needs: run it
// with and without -j, and check an error in both forms. A refusal must be one sentence: on
// standard output as a JSON document with -j, as one line on standard error without.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/broker_process.h"

namespace uarena::testing {

namespace json = boost::json;

constexpr uid_t kNobody = 65534;

class CommandFixture : public ::testing::Test {
 protected:
  using Words = std::vector<std::string>;

  RunOutput plain(const Words& words, uid_t uid = 0, const std::string& input = "") {
    Words argv{std::string(UARENA_BIN_DIR) + "/uarena", "-s", broker_.socket()};
    argv.insert(argv.end(), words.begin(), words.end());
    return run_command(argv, input, uid);
  }
  RunOutput with_json(Words words, uid_t uid = 0, const std::string& input = "") {
    words.insert(words.begin(), "-j");
    return plain(words, uid, input);
  }
  static json::object document(const RunOutput& output) {
    boost::system::error_code error;
    const json::value value = json::parse(output.out, error);
    EXPECT_FALSE(error) << output.out << output.err;
    return value.is_object() ? value.get_object() : json::object();
  }
  // Succeeds, says nothing on standard error, and answers one document.
  json::object ok(const Words& words, uid_t uid = 0) {
    const RunOutput output = with_json(words, uid);
    EXPECT_EQ(output.exit_code(), 0) << ::testing::PrintToString(words) << output.out;
    EXPECT_EQ(output.err, "") << ::testing::PrintToString(words);
    json::object answer = document(output);
    EXPECT_EQ(integer(answer, "version"), 1);
    return answer;
  }

  struct Refusal {
    int exit_code;
    int error;
    std::string sentence;  // a part of it
  };
  // Refused twice, with and without -j, in the same words.
  void refused(const Words& words, const Refusal& expected, uid_t uid = 0) {
    SCOPED_TRACE(::testing::PrintToString(words));
    const RunOutput machine = with_json(words, uid);
    EXPECT_EQ(machine.exit_code(), expected.exit_code) << machine.out << machine.err;
    const json::object answer = document(machine);
    EXPECT_EQ(integer(answer, "exit_code"), expected.exit_code);
    EXPECT_EQ(integer(answer, "errno"), expected.error) << machine.out;
    const std::string sentence = text(answer, "error");
    EXPECT_THAT(sentence, ::testing::HasSubstr(expected.sentence));
    EXPECT_EQ(sentence.find('\n'), std::string::npos) << sentence;

    const RunOutput person = plain(words, uid);
    EXPECT_EQ(person.exit_code(), expected.exit_code);
    EXPECT_EQ(person.out, "");
    const std::string line = "uarena: " + sentence + "\n";
    // A verifier's log may stand before the sentence; nothing else may.
    if (expected.exit_code == 7)
      EXPECT_TRUE(person.err.ends_with(line)) << person.err;
    else
      EXPECT_EQ(person.err, line);
  }

  // Members with their types: a missing one or one of another type is a test failure.
  static int64_t integer(const json::object& from, std::string_view key) {
    const json::value* found = from.if_contains(key);
    if (found == nullptr || !found->is_number() || found->is_double()) {
      ADD_FAILURE() << key << " is no integer in " << json::serialize(from);
      return -1;
    }
    return found->to_number<int64_t>();
  }
  static std::string text(const json::object& from, std::string_view key) {
    const json::value* found = from.if_contains(key);
    if (found == nullptr || !found->is_string()) {
      ADD_FAILURE() << key << " is no string in " << json::serialize(from);
      return "";
    }
    return std::string(found->get_string());
  }
  static json::array list(const json::object& from, std::string_view key) {
    const json::value* found = from.if_contains(key);
    if (found == nullptr || !found->is_array()) {
      ADD_FAILURE() << key << " is no list in " << json::serialize(from);
      return {};
    }
    return found->get_array();
  }
  // A 64-bit value, which JSON's numbers can't carry: "0x…".
  static uint64_t address(const json::object& from, std::string_view key) {
    const std::string hex = text(from, key);
    EXPECT_THAT(hex, ::testing::MatchesRegex("0x[0-9a-f]+")) << key;
    return hex.starts_with("0x") ? std::stoull(hex, nullptr, 16) : 0;
  }
  static std::string object(const std::string& name) {
    return std::string(UARENA_BPF_DIR) + "/" + name + ".bpf.o";
  }
  // Little-endian hex of a number, as --ctx-in takes it.
  static std::string le(uint64_t value, int bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string hex;
    for (int i = 0; i < bytes; ++i, value >>= 8) {
      hex += kDigits[value >> 4 & 15];
      hex += kDigits[value & 15];
    }
    return hex;
  }
  // A process that has `arena` attached until its input is closed.
  std::unique_ptr<ChildProcess> toucher(const std::string& arena, uid_t uid = 0) {
    auto child = std::make_unique<ChildProcess>(
        Words{std::string(UARENA_BIN_DIR) + "/toucher", arena, "--hold"},
        Words{"UARENA_SOCKET=" + broker_.socket()}, uid);
    EXPECT_THAT(child->read_line(), ::testing::StartsWith("attached"));
    return child;
  }
  static void touch(ChildProcess& child, const std::string& what) {
    child.write_line(what);
    EXPECT_THAT(child.read_line(), ::testing::StartsWith("ok"));
  }
  int64_t program_id(const json::object& loaded, std::string_view name) {
    for (const json::value& program : list(loaded, "programs"))
      if (text(program.as_object(), "name") == name) return integer(program.as_object(), "id");
    ADD_FAILURE() << "no program " << name;
    return -1;
  }

  // Members of the group 65534, kNobody among them, may load.
  BrokerProcess broker_{{"--load-group", std::to_string(kNobody)}};
};

}  // namespace uarena::testing
