// The questions of the parity table: each belongs to a row of docs/kernel-parity.md and is asked of
// an arena of the live kernel's and of ours by the same code. An answer is a line of text. It names
// pages by number, so that the addresses of the two may differ, and errors by errno.
#pragma once

#include <fmt/format.h>

#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "tests/parity/side.h"

namespace uarena::testing {

struct Question {
  const char* row;  // "K30"
  const char* asked;
  std::string (*answer)(Side& side);
};

// A row of which no question is in the table, and why.
struct NotAsked {
  const char* rows;  // as docs/kernel-parity.md numbers them: "K39", "K42-K43"
  const char* why;
};
std::span<const NotAsked> rows_not_asked();

std::span<const Question> creation_questions();
std::span<const Question> mapping_questions();
std::span<const Question> own_mapping_questions();
std::span<const Question> fault_questions();
std::span<const Question> page_questions();
std::span<const Question> program_questions();
// All of them, in the order of the rows.
std::vector<Question> parity_questions();

// Words of answers.
inline std::string errno_name(int error) {
  if (error == 0) return "ok";
  const char* name = ::strerrorname_np(error);
  return name != nullptr ? name : std::to_string(error);
}
// What a system call came to that returns -1 and sets errno, or something else.
inline std::string call_result(long result) { return errno_name(result == -1 ? errno : 0); }
inline std::string call_result(const void* at) {
  return errno_name(at == reinterpret_cast<void*>(-1) ? errno : 0);
}
inline std::string joined(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, ", "));
}

}  // namespace uarena::testing
