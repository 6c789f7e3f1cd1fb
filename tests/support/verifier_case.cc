// One pass over each file; a header line is a word and what follows it.
#include "tests/support/verifier_case.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace uarena::test {
namespace {

constexpr std::array<std::string_view, 4> kClasses = {"length", "version", "internals",
                                                      "privilege"};

// Takes the first word off `text`.
std::string take_word(std::string& text) {
  const size_t end = std::min(text.find(' '), text.size());
  std::string word = text.substr(0, end);
  text.erase(0, std::min(text.find_first_not_of(' ', end), text.size()));
  return word;
}

// "R1_rw=P5" becomes "R1=5".
std::string without_marks(std::string text) {
  for (const std::string_view mark : {"_rw", "_w", "_r"})
    for (size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + 1))
      if (text.substr(at + mark.size()).starts_with('=')) text.erase(at, mark.size());
  for (size_t at = text.find("=P"); at != std::string::npos; at = text.find("=P", at))
    text.erase(at + 1, 1);
  return text;
}

bool is_error_name(const std::string& word) {
  return word.size() > 2 && word[0] == 'E' && std::ranges::all_of(word, [](char c) {
           return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
         });
}

bool read_kernel_line(std::string rest, VerifierCase& c) {
  const std::string verb = take_word(rest);
  if (verb == "says") {
    std::string text = rest;
    const std::string first = take_word(text);
    if (is_error_name(first)) {
      c.kernel_error = first;
      rest = text;
    }
    c.kernel_message = rest;
    return true;
  }
  if (verb != "accept" && verb != "reject") return false;
  std::string name = take_word(rest);
  if (!name.ends_with(':') || rest.empty()) return false;
  name.pop_back();
  const auto found = std::ranges::find(kClasses, name);
  if (found == kClasses.end()) return false;
  c.difference =
      Difference{verb == "accept", static_cast<DifferenceClass>(found - kClasses.begin()), rest};
  return true;
}

bool read_header_line(const std::string& line, VerifierCase& c) {
  std::string rest = line;
  const std::string word = take_word(rest);
  if (word == "accept") {
    c.accept = true;
    return rest.empty();
  }
  if (word == "reject") {
    c.error = take_word(rest);
    c.message = rest;
    return is_error_name(c.error) && !rest.empty();
  }
  if (word == "section") return !(c.section = rest).empty();
  if (word == "limit") return (c.limit = std::strtoull(rest.c_str(), nullptr, 10)) > uint64_t{0};
  if (word == "no_address") return c.no_address = rest.empty();
  if (word == "unprivileged") return c.unprivileged = rest.empty();
  if (word == "kernel") return read_kernel_line(rest, c);
  if (word == "state") {
    const std::string at = take_word(rest);
    const bool only_ours = rest.starts_with("ours ");
    if (only_ours) take_word(rest);
    c.states.push_back({at, rest, only_ours});
    return !rest.empty();
  }
  if (word != "ctx" && word != "stack" && word != "fact" && word != "zeroed") return false;
  std::istringstream in(line);
  c.findings.emplace_back(std::istream_iterator<std::string>(in),
                          std::istream_iterator<std::string>());
  return c.findings.back().size() == (word == "ctx" || word == "zeroed" ? 2u : 3u);
}

Result<void> read_file(const std::filesystem::path& path, std::vector<VerifierCase>& cases) {
  std::ifstream in(path);
  const std::string file = path.stem();
  bool in_header = false, any = false;
  size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.starts_with("=== ")) {
      VerifierCase c;
      c.name = line.substr(4);
      c.file = file;
      c.line = number;
      cases.push_back(std::move(c));
      in_header = any = true;
    } else if (!any) {
      continue;  // the file's own comment
    } else if (line == "---" && in_header) {
      in_header = false;
      if (!cases.back().accept && cases.back().error.empty())
        return fail(EINVAL, "{}.txt:{}: no verdict before this line", file, number);
    } else if (in_header) {
      if (!read_header_line(line, cases.back()))
        return fail(EINVAL, "{}.txt:{}: not a header line: {}", file, number, line);
    } else {
      cases.back().text += line + "\n";
    }
  }
  return {};
}

}  // namespace

std::string_view name_of(DifferenceClass c) { return kClasses[static_cast<size_t>(c)]; }

void PrintTo(const VerifierCase& c, std::ostream* out) { *out << c.file << ".txt:" << c.line; }

Result<std::vector<VerifierCase>> read_verifier_cases() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(UARENA_SOURCE_DIR "/tests/jit/verifier/cases"))
    files.push_back(entry.path());
  std::ranges::sort(files);
  std::vector<VerifierCase> cases;
  for (const auto& path : files)
    if (auto done = read_file(path, cases); !done) return std::unexpected(done.error());
  return cases;
}

bool log_says(std::string_view log, size_t insn, std::string_view text) {
  const std::string start = std::to_string(insn) + ": (";
  for (size_t at = 0; at < log.size();) {
    const size_t end = std::min(log.find('\n', at), log.size());
    const std::string line(log.substr(at, end - at));
    at = end + 1;
    const size_t note = line.find(" ; ");
    if (!line.starts_with(start) || note == std::string::npos) continue;
    const std::string said = without_marks(line.substr(note + 3));
    if (said.find(text) != std::string::npos) return true;
  }
  return false;
}

std::vector<VerifierCase> verifier_cases_or_die() {
  auto cases = read_verifier_cases();
  if (!cases) {
    std::fprintf(stderr, "%s\n", cases.error().message.c_str());
    std::abort();
  }
  return std::move(*cases);
}

}  // namespace uarena::test
