// One pass over the words. The first mistake is kept and the pass goes on, because a -j that
// stands behind it still decides in which form the mistake is told.
#include "tools/uarena/parser.h"

#include <algorithm>
#include <span>

#include "ipc/base/log.h"
#include "tools/uarena/help.h"

namespace uarena::cli {
namespace {

using Names = std::vector<std::vector<std::string_view>>;

std::string main_names(const Names& candidates) {
  std::string out;
  for (const auto& names : candidates) out += (out.empty() ? "" : ", ") + std::string(names[0]);
  return out;
}

class Parser {
 public:
  explicit Parser(std::span<const std::string> words) : words_(words) {}

  Invocation parse() {
    while (next_ < words_.size()) {
      const std::string& word = words_[next_++];
      if (only_arguments_ || word == "-" || !word.starts_with('-'))
        plain_word(word);
      else if (word == "--")
        only_arguments_ = true;
      else
        option(word);
    }
    finish();
    return std::move(result_);
  }

 private:
  void wrong(Error error) {
    if (!result_.error) result_.error = std::move(error);
  }
  template <typename... Args>
  void wrong(fmt::format_string<Args...> format, Args&&... args) {
    wrong(Error{EINVAL, fmt::format(format, std::forward<Args>(args)...), Why::usage});
  }

  void plain_word(const std::string& word) {
    if (result_.object == nullptr && word == "help") {
      help_ = true;
    } else if (result_.object == nullptr) {
      if (!object_failed_) find_object(word);
    } else if (result_.command == nullptr && !help_object_) {
      if (!command_failed_) find_command(word);
    } else if (!help_object_) {
      result_.arguments.push_back(word);
    }
  }

  void find_object(const std::string& word) {
    Names names;
    for (const Object& object : command_table()) names.push_back({object.name});
    names.push_back({"help"});
    auto found = match_prefix("", "object", word, names);
    if (!found) {
      object_failed_ = true;
      return wrong(found.error());
    }
    if (*found == command_table().size())
      help_ = true;
    else
      result_.object = &command_table()[*found];
  }

  void find_command(const std::string& word) {
    const auto& commands = result_.object->commands;
    Names names;
    for (const Command& command : commands) names.push_back(command.names);
    names.push_back({"help"});
    auto found = match_prefix(result_.object->name, "command", word, names);
    if (!found) {
      command_failed_ = true;
      return wrong(found.error());
    }
    if (*found == commands.size())
      help_object_ = help_ = true;
    else
      result_.command = &commands[*found];
  }

  void option(const std::string& word) {
    if (word == "--man") {
      result_.what = Invocation::What::man;
      return;
    }
    auto equals = word.find('=');
    std::string name = long_name(word.substr(0, equals));
    const Flag* flag = find_flag(name);
    if (flag == nullptr) {
      if (result_.command != nullptr)
        return wrong("unknown option {}; usage: {}", escaped(word),
                     usage_line(*result_.object, *result_.command));
      if (!object_failed_ && !command_failed_)
        wrong("unknown option {} before the command; there are {}", escaped(word), global_names());
      return;
    }
    std::string value;
    if (flag->value.empty() && equals != std::string::npos)
      return wrong("{} takes no value", flag->name);
    if (!flag->value.empty()) {
      if (equals != std::string::npos)
        value = word.substr(equals + 1);
      else if (next_ < words_.size() && !words_[next_].starts_with("--"))
        value = words_[next_++];
      else
        return wrong("{} needs a value: {} {}", flag->name, flag->name, flag->value);
    }
    if (!global_option(flag->name, value) &&
        !result_.flags.emplace(flag->name, std::move(value)).second)
      wrong("{} is given twice", flag->name);
  }

  static std::string long_name(const std::string& name) {
    static const std::map<std::string_view, std::string_view> kShort = {{"-s", "--socket"},
                                                                        {"-j", "--json"},
                                                                        {"-p", "--pretty"},
                                                                        {"-h", "--help"},
                                                                        {"-V", "--version"}};
    auto found = kShort.find(name);
    return std::string(found == kShort.end() ? name : found->second);
  }

  static std::string global_names() {
    std::string out;
    for (const Flag& flag : global_flags())
      out += (out.empty() ? "" : " ") + std::string(flag.name);
    return out;
  }

  const Flag* find_flag(std::string_view name) const {
    auto named = [&](const Flag& flag) { return flag.name == name; };
    if (result_.command != nullptr) {
      auto found = std::ranges::find_if(result_.command->flags, named);
      if (found != result_.command->flags.end()) return &*found;
    }
    auto found = std::ranges::find_if(global_flags(), named);
    return found == global_flags().end() ? nullptr : &*found;
  }

  // False: it is one of the command's own.
  bool global_option(std::string_view name, const std::string& value) {
    if (name == "--socket") {
      if (value.empty()) wrong("--socket needs the path of a socket");
      result_.socket = value;
    } else if (name == "--json") {
      if (result_.json == Style::Json::off) result_.json = Style::Json::compact;
    } else if (name == "--pretty") {
      result_.json = Style::Json::pretty;
    } else if (name == "--help") {
      help_ = true;
    } else if (name == "--version") {
      result_.what = Invocation::What::version;
    } else if (name == "--color") {
      static const std::map<std::string_view, ColourWish> kWhen = {{"auto", ColourWish::automatic},
                                                                   {"always", ColourWish::always},
                                                                   {"never", ColourWish::never}};
      auto found = kWhen.find(value);
      if (found == kWhen.end())
        wrong("--color {}: allowed are auto, always, never", escaped(value));
      else
        result_.colour = found->second;
    } else {
      return false;
    }
    return true;
  }

  void finish() {
    if (result_.what != Invocation::What::command) return;
    if (help_) {
      result_.what = Invocation::What::help;
      return;
    }
    if (result_.error) return;
    if (result_.object == nullptr) {
      Names names;
      for (const Object& object : command_table()) names.push_back({object.name});
      return wrong("an object is missing; there are {}; see uarena help", main_names(names));
    }
    if (result_.command == nullptr) take_default_command();
    if (result_.command != nullptr) check_arguments();
  }

  void take_default_command() {
    Names names;
    for (const Command& command : result_.object->commands) {
      if (command.names[0] == result_.object->default_command) result_.command = &command;
      names.push_back(command.names);
    }
    if (result_.command == nullptr)
      wrong("{}: a command is missing; there are {}", result_.object->name, main_names(names));
  }

  void check_arguments() {
    const Command& command = *result_.command;
    std::string usage = usage_line(*result_.object, command);
    size_t given = result_.arguments.size();
    if (given > command.arguments.size())
      return wrong("\"{}\" is one argument too many; usage: {}",
                   escaped(result_.arguments[command.arguments.size()]), usage);
    if (given < command.arguments.size() && !command.arguments[given].optional)
      return wrong("{} is missing; usage: {}", command.arguments[given].name, usage);
    for (size_t i = 0; i < given; i++) check_choice(command.arguments[i], result_.arguments[i]);
    for (const Flag& flag : command.flags) {
      if (flag.required && !result_.has(flag.name))
        return wrong("{} {} is missing; usage: {}", flag.name, flag.value, usage);
    }
  }

  void check_choice(const Argument& argument, std::string& word) {
    if (argument.choices.empty()) return;
    Names names;
    for (std::string_view choice : argument.choices) names.push_back({choice});
    auto found = match_prefix(result_.object->name, argument.name, word, names);
    if (!found) return wrong(found.error());
    word = argument.choices[*found];
  }

  std::span<const std::string> words_;
  size_t next_ = 0;
  Invocation result_;
  bool only_arguments_ = false;
  bool object_failed_ = false;   // told already: the words behind it mean nothing
  bool command_failed_ = false;  // likewise
  bool help_ = false;
  bool help_object_ = false;  // `OBJECT help`
};

}  // namespace

const std::string* Invocation::value(std::string_view flag) const {
  auto found = flags.find(flag);
  return found == flags.end() ? nullptr : &found->second;
}

const std::string* Invocation::argument(size_t index) const {
  return index < arguments.size() ? &arguments[index] : nullptr;
}

Invocation parse_command_line(const std::vector<std::string>& words) {
  return Parser(words).parse();
}

Result<size_t> match_prefix(std::string_view where, std::string_view kind, std::string_view word,
                            const Names& candidates) {
  std::vector<size_t> fits;
  std::string fitting;
  for (size_t i = 0; i < candidates.size(); i++) {
    if (std::ranges::find(candidates[i], word) != candidates[i].end()) return i;
    auto begins = [&](std::string_view name) { return !word.empty() && name.starts_with(word); };
    auto name = std::ranges::find_if(candidates[i], begins);
    if (name == candidates[i].end()) continue;
    fits.push_back(i);
    fitting += (fitting.empty() ? "" : " or ") + std::string(*name);
  }
  if (fits.size() == 1) return fits[0];
  const std::string colon = where.empty() ? "" : fmt::format("{}: ", where);
  if (fits.empty())
    return fail(Why::usage, EINVAL, "{}unknown {} \"{}\"; there are {}", colon, kind, escaped(word),
                main_names(candidates));
  return fail(Why::usage, EINVAL, "{}\"{}\" is ambiguous: {}", colon, escaped(word), fitting);
}

}  // namespace uarena::cli
