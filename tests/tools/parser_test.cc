// The table of commands and the parser that works by it.
#include "tools/uarena/parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tools/uarena/help.h"

namespace uarena::cli {
namespace {

using testing::HasSubstr;
using What = Invocation::What;

std::string error_of(const std::vector<std::string>& words) {
  Invocation call = parse_command_line(words);
  if (!call.error) return "";
  EXPECT_EQ(call.error->why, Why::usage);
  EXPECT_EQ(call.error->code, EINVAL);
  return call.error->message;
}

std::string command_of(const std::vector<std::string>& words) {
  Invocation call = parse_command_line(words);
  if (call.error) return call.error->message;
  return fmt::format("{} {}", call.object->name, call.command->names[0]);
}

TEST(CommandTable, EveryRowIsComplete) {
  for (const Object& object : command_table()) {
    EXPECT_FALSE(object.summary.empty()) << object.name;
    std::set<std::string_view> names;
    for (const Command& command : object.commands) {
      for (std::string_view name : command.names)
        EXPECT_TRUE(names.insert(name).second) << object.name << " " << name;
      EXPECT_FALSE(command.summary.empty() || command.summary.ends_with('.')) << command.names[0];
      EXPECT_TRUE(command.details.ends_with('.')) << command.names[0];
      EXPECT_TRUE(command.example.starts_with("uarena ")) << command.names[0];
      EXPECT_NE(command.run, nullptr);
      bool optional = false;
      for (const Argument& argument : command.arguments) {
        EXPECT_FALSE(argument.help.empty());
        EXPECT_TRUE(!optional || argument.optional) << "optional arguments are last";
        optional = argument.optional;
      }
      for (const Flag& flag : command.flags) {
        EXPECT_TRUE(flag.name.starts_with("--") && !flag.help.empty());
        for (const Flag& global : global_flags()) EXPECT_NE(flag.name, global.name);
      }
    }
  }
}

TEST(CommandTable, EveryExampleParsesToItsOwnCommand) {
  for (const Object& object : command_table()) {
    for (const Command& command : object.commands) {
      std::vector<std::string> words;
      std::string_view rest = command.example.substr(std::string_view("uarena ").size());
      while (!rest.empty()) {
        auto blank = std::min(rest.find(' '), rest.size());
        words.emplace_back(rest.substr(0, blank));
        rest.remove_prefix(std::min(blank + 1, rest.size()));
      }
      Invocation call = parse_command_line(words);
      EXPECT_FALSE(call.error) << command.example << ": " << call.error->message;
      EXPECT_EQ(call.command, &command) << command.example;
    }
  }
}

TEST(CommandTable, HasTheCommandsOfThisVersion) {
  std::string all;
  for (const Object& object : command_table()) {
    all += std::string(object.name) + ":";
    for (const Command& command : object.commands)
      for (std::string_view name : command.names) all += " " + std::string(name);
    all += "\n";
  }
  EXPECT_EQ(all,
            "arena: show list create delete chmod chown trace\n"
            "page: list show map dump\n"
            "prog: show list load run dump log unload\n"
            "client: show list\n"
            "daemon: status\n");
}

TEST(Parser, FullForm) {
  Invocation call = parse_command_line({"-s", "/tmp/s", "-j", "arena", "create", "heap", "--pages",
                                        "16", "--segv-on-fault", "--addr=0x7e9000000000"});
  ASSERT_FALSE(call.error) << call.error->message;
  EXPECT_EQ(call.object->name, "arena");
  EXPECT_EQ(call.command->names[0], "create");
  EXPECT_EQ(call.arguments, std::vector<std::string>{"heap"});
  EXPECT_EQ(*call.value("--pages"), "16");
  EXPECT_EQ(*call.value("--addr"), "0x7e9000000000");
  EXPECT_TRUE(call.has("--segv-on-fault"));
  EXPECT_FALSE(call.has("--no-user-conv"));
  EXPECT_EQ(call.value("--fault"), nullptr);
  EXPECT_EQ(call.socket, "/tmp/s");
  EXPECT_EQ(call.json, Style::Json::compact);
}

TEST(Parser, OptionsMayStandAnywhere) {
  Invocation call = parse_command_line({"page", "dump", "--range", "0:16", "heap", "-p"});
  ASSERT_FALSE(call.error) << call.error->message;
  EXPECT_EQ(call.json, Style::Json::pretty);
  EXPECT_EQ(*call.argument(0), "heap");
  EXPECT_EQ(call.argument(1), nullptr);
  EXPECT_EQ(parse_command_line({"-p", "-j", "arena"}).json, Style::Json::pretty);
  EXPECT_EQ(parse_command_line({"-j", "-p", "arena"}).json, Style::Json::pretty);
  EXPECT_EQ(parse_command_line({"--color", "never", "arena"}).colour, ColourWish::never);
}

TEST(Parser, PrefixesAndSynonyms) {
  EXPECT_EQ(command_of({"a", "cr", "heap", "--pages", "1"}), "arena create");
  EXPECT_EQ(command_of({"arena", "list"}), "arena show");
  EXPECT_EQ(command_of({"arena", "l"}), "arena show");
  EXPECT_EQ(command_of({"pa", "m", "heap"}), "page map");
  EXPECT_EQ(command_of({"prog", "loa", "x.o"}), "prog load");
  EXPECT_EQ(command_of({"c"}), "client show");
  EXPECT_EQ(command_of({"daemon"}), "daemon status");
  EXPECT_EQ(command_of({"arena"}), "arena show");
  EXPECT_EQ(*parse_command_line({"prog", "dump", "x", "3"}).argument(0), "xlated");
  EXPECT_EQ(*parse_command_line({"prog", "dump", "ji", "3"}).argument(0), "jited");
}

TEST(Parser, AmbiguousPrefixesNameTheCandidates) {
  EXPECT_EQ(error_of({"p", "list"}), "\"p\" is ambiguous: page or prog");
  EXPECT_EQ(error_of({"prog", "l"}), "prog: \"l\" is ambiguous: list or load or log");
}

TEST(Parser, UnknownWordsNameWhatExists) {
  EXPECT_EQ(error_of({"top"}),
            "unknown object \"top\"; there are arena, page, prog, client, daemon, help");
  EXPECT_EQ(error_of({"prog", "logs", "3"}),
            "prog: unknown command \"logs\"; there are show, load, run, dump, log, unload, help");
  EXPECT_EQ(error_of({"daemon", "metrics"}),
            "daemon: unknown command \"metrics\"; there are status, help");
  EXPECT_EQ(error_of({"prog", "dump", "asm", "3"}),
            "prog: unknown WHAT \"asm\"; there are xlated, jited");
  EXPECT_EQ(error_of({""}),
            "unknown object \"\"; there are arena, page, prog, client, daemon, help");
  EXPECT_THAT(error_of({"\x1b[2J"}), HasSubstr("unknown object \"\\x1b[2J\""));
}

TEST(Parser, MissingWords) {
  EXPECT_EQ(error_of({}),
            "an object is missing; there are arena, page, prog, client, daemon; see uarena help");
  EXPECT_EQ(error_of({"page"}), "page: a command is missing; there are list, map, dump");
  EXPECT_EQ(error_of({"page", "list"}), "NAME is missing; usage: uarena page list|show NAME");
  EXPECT_EQ(error_of({"prog", "dump", "xlated"}),
            "ID|NAME is missing; usage: uarena prog dump xlated|jited ID|NAME");
  EXPECT_THAT(error_of({"arena", "create", "heap"}),
              testing::StartsWith("--pages N is missing; usage: uarena arena create NAME --pages N "
                                  "[--segv-on-fault]"));
}

TEST(Parser, WrongOptions) {
  EXPECT_EQ(error_of({"arena", "list", "a", "b"}),
            "\"b\" is one argument too many; usage: uarena arena show|list [NAME]");
  EXPECT_EQ(error_of({"client", "list", "--pages", "3"}),
            "unknown option --pages; usage: uarena client show|list [ID]");
  EXPECT_THAT(error_of({"--pages", "3", "arena"}),
              HasSubstr("unknown option --pages before the command; there are --socket --json"));
  EXPECT_EQ(error_of({"arena", "create", "h", "--pages"}), "--pages needs a value: --pages N");
  EXPECT_EQ(error_of({"arena", "create", "h", "--pages", "--segv-on-fault"}),
            "--pages needs a value: --pages N");
  EXPECT_EQ(error_of({"arena", "create", "h", "--pages", "1", "--pages=2"}),
            "--pages is given twice");
  EXPECT_EQ(error_of({"arena", "create", "h", "--segv-on-fault=yes", "--pages", "1"}),
            "--segv-on-fault takes no value");
  EXPECT_EQ(error_of({"--color", "blue", "arena"}),
            "--color blue: allowed are auto, always, never");
  EXPECT_EQ(error_of({"-s", "", "arena"}), "--socket needs the path of a socket");
  EXPECT_THAT(error_of({"-x", "arena"}), HasSubstr("unknown option -x"));
}

TEST(Parser, TheFirstMistakeIsToldInTheFormAskedForLater) {
  Invocation call = parse_command_line({"arena", "crate", "--pages", "3", "-j"});
  ASSERT_TRUE(call.error);
  EXPECT_THAT(call.error->message, HasSubstr("unknown command \"crate\""));
  EXPECT_EQ(call.json, Style::Json::compact);
}

TEST(Parser, DashesAsArguments) {
  Invocation call = parse_command_line({"prog", "run", "--ctx-in", "-", "--", "-5"});
  ASSERT_FALSE(call.error) << call.error->message;
  EXPECT_EQ(*call.value("--ctx-in"), "-");
  EXPECT_EQ(*call.argument(0), "-5");
}

TEST(Parser, HelpInEveryPlace) {
  EXPECT_EQ(parse_command_line({"help"}).what, What::help);
  EXPECT_EQ(parse_command_line({"-h"}).what, What::help);
  Invocation object = parse_command_line({"prog", "help"});
  EXPECT_EQ(object.what, What::help);
  EXPECT_EQ(object.object->name, "prog");
  EXPECT_EQ(object.command, nullptr);
  // Help needs none of the command's arguments.
  Invocation command = parse_command_line({"prog", "run", "--help"});
  EXPECT_EQ(command.what, What::help);
  EXPECT_EQ(command.command->names[0], "run");
  EXPECT_EQ(parse_command_line({"help", "prog", "run"}).command->names[0], "run");
  EXPECT_EQ(parse_command_line({"--version"}).what, What::version);
  EXPECT_EQ(parse_command_line({"--man"}).what, What::man);
}

TEST(Parser, HelpOnWhatDoesNotExistIsAnError) {
  EXPECT_THAT(error_of({"arena", "crate", "--help"}), HasSubstr("unknown command"));
  EXPECT_THAT(error_of({"help", "fish"}), HasSubstr("unknown object"));
}

TEST(Help, NamesEverything) {
  std::string all = help_all();
  for (const Object& object : command_table()) {
    std::string of_object = help_object(object);
    for (const Command& command : object.commands) {
      EXPECT_THAT(all, HasSubstr(std::string(command.summary)));
      EXPECT_THAT(of_object, HasSubstr(usage_line(object, command)));
      std::string text = help_command(object, command);
      EXPECT_THAT(text, HasSubstr(usage_line(object, command)));
      EXPECT_THAT(text, HasSubstr(std::string(command.example)));
      for (const Flag& flag : command.flags) EXPECT_THAT(text, HasSubstr(std::string(flag.name)));
      for (const Argument& argument : command.arguments)
        EXPECT_THAT(text, HasSubstr(std::string(argument.help.substr(0, 8))));
    }
  }
}

}  // namespace
}  // namespace uarena::cli
