// Help for a terminal. The manual page is in man_page.cc.
#include "tools/uarena/help.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace uarena::cli {
namespace {

constexpr size_t kWidth = 80;

std::string command_names(const Command& command) {
  std::string out;
  for (std::string_view name : command.names) out += (out.empty() ? "" : "|") + std::string(name);
  return out;
}

std::string argument_usage(const Argument& argument) {
  std::string word(argument.name);
  if (!argument.choices.empty()) word = fmt::format("{}", fmt::join(argument.choices, "|"));
  return argument.optional ? "[" + word + "]" : word;
}

std::string flag_usage(const Flag& flag) {
  return flag.value.empty() ? std::string(flag.name) : fmt::format("{} {}", flag.name, flag.value);
}

// Text broken at blanks, every line indented.
std::string wrapped(std::string_view text, size_t indent) {
  std::string out, line;
  auto finish = [&] {
    if (!line.empty()) out += std::string(indent, ' ') + std::exchange(line, "") + '\n';
  };
  while (!text.empty()) {
    auto blank = std::min(text.find(' '), text.size());
    std::string_view word = text.substr(0, blank);
    text.remove_prefix(std::min(blank + 1, text.size()));
    if (!line.empty() && indent + line.size() + 1 + word.size() > kWidth) finish();
    line += (line.empty() ? "" : " ") + std::string(word);
  }
  finish();
  return out;
}

// Terms with their explanations in a column beside them.
std::string glossary(const std::vector<std::pair<std::string, std::string_view>>& entries) {
  size_t widest = 0;
  for (const auto& [term, help] : entries) widest = std::max(widest, term.size());
  widest = std::min<size_t>(widest, 28);
  std::string out;
  for (const auto& [term, help] : entries) {
    std::string text = wrapped(help, widest + 4);
    bool fits = term.size() <= widest;
    std::string head = "  " + term;
    if (fits)
      out += head + text.substr(head.size());
    else
      out += head + '\n' + text;
  }
  return out;
}

std::string flags_help(const std::vector<Flag>& flags) {
  std::vector<std::pair<std::string, std::string_view>> entries;
  for (const Flag& flag : flags) entries.emplace_back(flag_usage(flag), flag.help);
  return glossary(entries);
}

}  // namespace

std::string usage_line(const Object& object, const Command& command) {
  std::string out = fmt::format("uarena {} {}", object.name, command_names(command));
  for (const Argument& argument : command.arguments) out += ' ' + argument_usage(argument);
  for (const Flag& flag : command.flags)
    out += flag.required ? ' ' + flag_usage(flag) : fmt::format(" [{}]", flag_usage(flag));
  return out;
}

std::string help_all() {
  std::string out =
      "uarena: look at and change what the broker uarenad keeps\n\n"
      "usage: uarena [-s SOCKET] [-j|-p] OBJECT COMMAND [ARGUMENTS]\n"
      "       uarena help | uarena OBJECT help | uarena OBJECT COMMAND --help\n";
  for (const Object& object : command_table()) {
    out += fmt::format("\n{}: {}\n", object.name, object.summary);
    std::vector<std::pair<std::string, std::string_view>> entries;
    for (const Command& command : object.commands)
      entries.emplace_back(fmt::format("{} {}", object.name, command_names(command)),
                           command.summary);
    out += glossary(entries);
  }
  out += "\noptions\n" + flags_help(global_flags());
  return out;
}

std::string help_object(const Object& object) {
  std::string out = fmt::format("uarena {}: {}\n", object.name, object.summary);
  for (const Command& command : object.commands)
    out += fmt::format("\n  {}\n{}", usage_line(object, command), wrapped(command.summary, 6));
  if (!object.default_command.empty())
    out += fmt::format("\nuarena {} alone is uarena {} {}\n", object.name, object.name,
                       object.default_command);
  return out;
}

std::string help_command(const Object& object, const Command& command) {
  std::string out =
      fmt::format("usage: {}\n\n{}\n", usage_line(object, command), wrapped(command.summary, 0));
  out += wrapped(command.details, 0);
  std::vector<std::pair<std::string, std::string_view>> arguments;
  for (const Argument& argument : command.arguments)
    arguments.emplace_back(argument_usage(argument), argument.help);
  if (!arguments.empty()) out += "\narguments\n" + glossary(arguments);
  if (!command.flags.empty()) out += "\noptions\n" + flags_help(command.flags);
  out += fmt::format("\nexample\n  {}\n", command.example);
  return out;
}

}  // namespace uarena::cli
