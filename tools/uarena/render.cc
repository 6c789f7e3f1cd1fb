// Tables, JSON and colour: see the header.
#include "tools/uarena/render.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "tools/uarena/text.h"

namespace uarena::cli {
namespace {

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : value;
}

// What setlocale would choose for LC_CTYPE, read without switching this process's locale.
bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    std::string value(environment(name));
    if (value.empty()) continue;
    std::ranges::transform(value, value.begin(), [](unsigned char c) { return std::tolower(c); });
    return value.contains("utf-8") || value.contains("utf8");
  }
  return false;
}

unsigned terminal_width(int fd) {
  constexpr unsigned kDefault = 80, kMost = 1000;
  std::string_view columns = environment("COLUMNS");
  if (auto number = parse_number("COLUMNS", columns, 1, kMost); !columns.empty() && number)
    return static_cast<unsigned>(*number);
  winsize window{};
  if (::ioctl(fd, TIOCGWINSZ, &window) == 0 && window.ws_col > 0)
    return std::min<unsigned>(window.ws_col, kMost);
  return kDefault;
}

bool wants_colour(int fd, ColourWish wish) {
  if (wish != ColourWish::automatic) return wish == ColourWish::always;
  return environment("NO_COLOR").empty() && environment("TERM") != "dumb" && ::isatty(fd) == 1;
}

const char* escape_sequence(Colour colour) {
  switch (colour) {
    case Colour::none:
      return "";
    case Colour::bold:
      return "\x1b[1m";
    case Colour::dim:
      return "\x1b[2m";
    case Colour::red:
      return "\x1b[31m";
    case Colour::green:
      return "\x1b[32m";
    case Colour::yellow:
      return "\x1b[33m";
    case Colour::cyan:
      return "\x1b[36m";
    case Colour::magenta:
      return "\x1b[35m";
  }
  return "";
}

void write_pretty(std::string& out, const boost::json::value& value, size_t depth) {
  auto line = [&](size_t level) { out.append(1, '\n').append(2 * level, ' '); };
  if (const auto* object = value.if_object(); object != nullptr && !object->empty()) {
    out += '{';
    bool first = true;
    for (const auto& [key, member] : *object) {
      if (!std::exchange(first, false)) out += ',';
      line(depth + 1);
      out += boost::json::serialize(boost::json::string(key)) + ": ";
      write_pretty(out, member, depth + 1);
    }
    line(depth);
    out += '}';
  } else if (const auto* array = value.if_array(); array != nullptr && !array->empty()) {
    out += '[';
    bool first = true;
    for (const auto& element : *array) {
      if (!std::exchange(first, false)) out += ',';
      line(depth + 1);
      write_pretty(out, element, depth + 1);
    }
    line(depth);
    out += ']';
  } else {
    out += boost::json::serialize(value);
  }
}

}  // namespace

Style detect_style(std::FILE* out, ColourWish wish, Style::Json json) {
  int fd = ::fileno(out);
  return Style{json, wants_colour(fd, wish), locale_is_utf8(), terminal_width(fd)};
}

// A failed write stays in the stream's error flag until flush() reports it.
void Output::text(std::string_view text) { std::fwrite(text.data(), 1, text.size(), out_); }

void Output::note(std::string_view text) {
  std::fflush(out_);  // so that both streams keep their order on one terminal
  std::fwrite(text.data(), 1, text.size(), err_);
  std::fflush(err_);
}

void Output::json(const boost::json::object& body) {
  boost::json::object document{{"version", kJsonVersion}};
  for (const auto& member : body) document.insert(member);
  text(json_text(document, style_.json) + '\n');
}

ExitCode Output::error(const Error& error) {
  ExitCode code = exit_code_of(error);
  std::string sentence = printable(error.message);
  if (json())
    json({{"error", sentence}, {"errno", error.code}, {"exit_code", static_cast<int>(code)}});
  else
    note(fmt::format("uarena: {}\n", sentence));
  return code;
}

Result<void> Output::flush() {
  errno = 0;
  if (std::fflush(out_) != 0 || std::ferror(out_) != 0)
    return fail_errno(errno != 0 ? errno : EIO, "cannot write the output");
  return {};
}

std::string Output::paint(Colour colour, std::string_view text) const {
  if (!style_.colour || colour == Colour::none || text.empty()) return std::string(text);
  return fmt::format("{}{}\x1b[0m", escape_sequence(colour), text);
}

std::string json_text(const boost::json::value& value, Style::Json style) {
  if (style != Style::Json::pretty) return boost::json::serialize(value);
  std::string out;
  write_pretty(out, value, 0);
  return out;
}

boost::json::string json_hex(uint64_t value) { return boost::json::string(hex(value)); }
boost::json::value json_count(uint64_t value) { return boost::json::value(value); }

void Table::row(std::vector<std::string> cells) {
  UARENA_ASSERT(cells.size() == columns_.size(), "{} cells, {} columns", cells.size(),
                columns_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::text(const Output& output) const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns_.size(); i++) {
    widths.push_back(columns_[i].title.size());
    for (const auto& row : rows_) widths[i] = std::max(widths[i], row[i].size());
  }
  auto padded = [&](size_t i, std::string_view cell) {
    if (columns_[i].align == Align::right) return fmt::format("{:>{}}", cell, widths[i]);
    if (i + 1 == columns_.size()) return std::string(cell);
    return fmt::format("{:<{}}", cell, widths[i]);
  };
  std::string head, body;
  for (size_t i = 0; i < columns_.size(); i++)
    head += (i == 0 ? "" : "  ") + padded(i, columns_[i].title);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < columns_.size(); i++) body += (i == 0 ? "" : "  ") + padded(i, row[i]);
    body += '\n';
  }
  return output.paint(Colour::bold, head) + '\n' + body;
}

std::string properties(const Output& output,
                       const std::vector<std::pair<std::string_view, std::string>>& lines) {
  size_t widest = 0;
  for (const auto& [name, value] : lines) widest = std::max(widest, name.size());
  std::string out;
  for (const auto& [name, value] : lines)
    out += output.paint(Colour::bold, name) + std::string(widest + 2 - name.size(), ' ') + value +
           '\n';
  return out;
}

}  // namespace uarena::cli
