// From the words of the command line to one command with its arguments, by the table.
//
// Grammar as in bpftool: `uarena [OPTIONS] OBJECT COMMAND [ARGUMENT…] [--flag [VALUE]…]`. Objects
// and commands may be shortened to any prefix that fits only one; `--flag=VALUE` is the same as
// `--flag VALUE`; options may stand anywhere; everything after `--` is an argument.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/base/result.h"
#include "tools/uarena/command_table.h"
#include "tools/uarena/render.h"

namespace uarena::cli {

struct Invocation {
  enum class What { command, help, version, man };
  What what = What::command;
  const Object* object = nullptr;    // help: null for all objects
  const Command* command = nullptr;  // help: null for all of the object's
  std::vector<std::string> arguments;
  std::map<std::string_view, std::string, std::less<>> flags;  // by Flag::name; "" if it has none

  std::string socket;  // empty: not given
  Style::Json json = Style::Json::off;
  ColourWish colour = ColourWish::automatic;

  // Set when the words make no command; what stands above is then what could be understood, so
  // that the error comes in the form that was asked for.
  std::optional<Error> error;

  bool has(std::string_view flag) const { return flags.contains(flag); }
  // Null when the flag is not there.
  const std::string* value(std::string_view flag) const;
  // Null when the optional argument is not there.
  const std::string* argument(size_t index) const;
};

// `words` without the program's name.
Invocation parse_command_line(const std::vector<std::string>& words);

// The candidate that `word` names: exactly, or as the only one that it begins. Otherwise null.
// What was expected is in the sentence: "arena: unknown command \"crate\"; there are …" or
// "arena: \"l\" may be list or load".
Result<size_t> match_prefix(std::string_view where, std::string_view kind, std::string_view word,
                            const std::vector<std::vector<std::string_view>>& candidates);

}  // namespace uarena::cli
