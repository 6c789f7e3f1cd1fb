// How `uarena` speaks: tables with colour for a person, versioned JSON for a script.
//
// Commands hand over facts; what they look like (aligned, coloured, compact, pretty) is decided
// here once, from the options, the environment and where the output goes.
#pragma once

#include <boost/json.hpp>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/base/result.h"
#include "tools/uarena/exit_codes.h"

namespace uarena::cli {

// Rises when a key changes its meaning or goes; a new key does not count.
inline constexpr int kJsonVersion = 1;

enum class Colour { none, bold, dim, red, green, yellow, cyan, magenta };

struct Style {
  enum class Json { off, compact, pretty };
  Json json = Json::off;
  bool colour = false;
  bool utf8 = false;    // the terminal shows UTF-8
  unsigned width = 80;  // columns
};

enum class ColourWish { automatic, always, never };
// Environment and terminal of this process: NO_COLOR, TERM, LC_ALL/LC_CTYPE/LANG, COLUMNS, isatty
// and the window size of `out`.
Style detect_style(std::FILE* out, ColourWish wish, Style::Json json);

class Output {
 public:
  // `out` and `err` are borrowed.
  Output(std::FILE* out, std::FILE* err, Style style) : out_(out), err_(err), style_(style) {}

  const Style& style() const { return style_; }
  bool json() const { return style_.json != Style::Json::off; }

  void text(std::string_view text);            // to standard output
  void note(std::string_view text);            // to standard error: remarks, logs
  void json(const boost::json::object& body);  // one document, "version" first
  // One line on standard error, or the error object on standard output with JSON.
  ExitCode error(const Error& error);
  // Pushes everything out. A full disk or a closed pipe is an Error.
  Result<void> flush();

  std::string paint(Colour colour, std::string_view text) const;

 private:
  std::FILE* out_;
  std::FILE* err_;
  Style style_;
};

// The document as text: compact, or indented by two blanks with one member per line.
std::string json_text(const boost::json::value& value, Style::Json style);
// Addresses and other 64-bit values: "0x…" strings, since many readers of JSON hold doubles.
boost::json::string json_hex(uint64_t value);
// Counters, ids and times: numbers.
boost::json::value json_count(uint64_t value);

// Columns aligned by their widest cell; the last one is not padded. Cells must be printable ASCII.
class Table {
 public:
  enum class Align { left, right };
  struct Column {
    std::string_view title;
    Align align = Align::left;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // As many cells as there are columns.
  void row(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  std::string text(const Output& output) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// "Name:    value" lines, values aligned.
std::string properties(const Output& output,
                       const std::vector<std::pair<std::string_view, std::string>>& lines);

}  // namespace uarena::cli
