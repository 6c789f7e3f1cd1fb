// The one table of what `uarena` can do. The parser, `help`, every `--help` and the manual page
// are made from it, so that a command can't exist without its help, nor help without a command.
//
// Each object (arena, page, prog, client, daemon) brings its rows from the file of its name, where
// the rows stand beside the functions that do the work; command_table.cc puts them together.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ipc/base/result.h"

namespace uarena::cli {

class Context;

struct Argument {
  std::string_view name;  // as the usage line shows it
  std::string_view help;
  bool optional = false;
  std::vector<std::string_view> choices;  // when not empty: one of these, or a prefix of one
};

struct Flag {
  std::string_view name;   // with its dashes
  std::string_view value;  // what follows it in the usage line; empty: nothing follows
  std::string_view help;
  bool required = false;
};

struct Command {
  std::vector<std::string_view> names;  // the first is its name, the others are synonyms
  std::vector<Argument> arguments;      // optional ones last
  std::vector<Flag> flags;
  std::string_view summary;  // one line without a full stop
  std::string_view details;  // sentences
  std::string_view example;  // one command line
  Result<void> (*run)(Context&);
};

struct Object {
  std::string_view name;
  std::string_view summary;
  std::vector<Command> commands;
  std::string_view default_command;  // what `uarena OBJECT` alone does; empty: nothing
};

// Options that every command takes, before OBJECT or anywhere after it.
const std::vector<Flag>& global_flags();
// In the order in which help lists them. Lives as long as the program.
const std::vector<Object>& command_table();

Object arena_object();
Object page_object();
Object prog_object();
Object client_object();
Object daemon_object();

}  // namespace uarena::cli
