// One function for each table of the file; a Place says where in the file one is, for messages.
#include "broker/config.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <vector>

// Errors are values here, as everywhere.
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
// The parser asserts what files need not obey ("[;"), and then looks once more and has an error for
// it. Without NDEBUG so that no compiler is told to take the assertions for true.
#undef NDEBUG
#define TOML_ASSERT(expression) static_cast<void>(0)
#include <toml++/toml.h>

#include "ipc/base/fd.h"
#include "ipc/base/log.h"

namespace uarena::broker {
namespace {

constexpr size_t kMostBytes = size_t{1} << 20;
// A group with very many members has a long line, and getgrnam_r(3) has to hold all of it.
constexpr size_t kDatabaseLine = size_t{1} << 20;

class Parser {
 public:
  explicit Parser(std::string_view name) : name_(name) {}

  Result<Config> config(const toml::table& root) {
    for (const auto& [key, value] : root) {
      if (key.str() != "limits" && key.str() != "broker") return unknown(key, "broker, limits");
      const toml::table* table = value.as_table();
      if (table == nullptr) return wrong(value, "{} is a table", key.str());
      auto read = key.str() == "limits" ? limits(*table) : broker(*table);
      if (!read) return std::unexpected(read.error());
    }
    return std::move(config_);
  }

 private:
  Result<void> broker(const toml::table& table) {
    for (const auto& [key, value] : table) {
      if (key.str() != "pages") return unknown(key, "pages");
      auto amount = amount_of(key, value);
      if (!amount) return std::unexpected(amount.error());
      config_.pages_of_broker = *amount;
    }
    return {};
  }

  Result<void> limits(const toml::table& table) {
    for (const auto& [key, value] : table) {
      if (key.str() == "user" || key.str() == "group") {
        if (auto read = limits_of(key.str(), value); !read) return read;
      } else if (auto read = amount(key, value, config_.limits.everybody); !read) {
        return read;
      }
    }
    return {};
  }

  Result<void> limits_of(std::string_view kind, const toml::node& node) {
    const toml::table* names = node.as_table();
    if (names == nullptr) return wrong(node, "limits.{0} is a table of {0}s", kind);
    for (const auto& [name, value] : *names) {
      const auto number =
          kind == "user" ? uid_of(std::string(name.str())) : gid_of(std::string(name.str()));
      if (!number) return wrong(name, "there is no {} '{}'", kind, escaped(name.str()));
      const toml::table* amounts = value.as_table();
      if (amounts == nullptr) return wrong(value, "limits.{}.{} is a table", kind, name.str());
      auto& sets = kind == "user" ? config_.limits.users : config_.limits.groups;
      const auto [place, first] = sets.try_emplace(*number);
      if (!first)  // which of two amounts would count depends on how they are written
        return wrong(name, "{} {} has a table already, '{}' is the same", kind, *number,
                     escaped(name.str()));
      LimitSet& set = place->second;
      for (const auto& [key, entry] : *amounts)
        if (auto read = amount(key, entry, set); !read) return read;
    }
    return {};
  }

  Result<void> amount(const toml::key& key, const toml::node& value, LimitSet& set) {
    const auto resource = std::ranges::find(kResourceNames, key.str());
    if (resource == kResourceNames.end())
      return unknown(key, fmt::format("{}, user, group", fmt::join(kResourceNames, ", ")));
    auto read = amount_of(key, value);
    if (!read) return std::unexpected(read.error());
    set[static_cast<size_t>(resource - kResourceNames.begin())] = *read;
    return {};
  }

  Result<uint64_t> amount_of(const toml::key& key, const toml::node& value) const {
    if (value.value_exact<std::string_view>() == "unlimited") return kUnlimited;
    const auto number = value.value_exact<int64_t>();
    if (!number || *number < 0)
      return wrong(value, "{} is a number from 0 on, or \"unlimited\"", key.str());
    return static_cast<uint64_t>(*number);
  }

  static std::optional<uint32_t> number(const std::string& text) {
    uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() ? std::optional(value)
                                                                    : std::nullopt;
  }
  // The databases' functions see a name up to its first NUL: another name.
  static bool ends_early(const std::string& name) { return name.find('\0') != std::string::npos; }
  static std::optional<uint32_t> uid_of(const std::string& name) {
    if (const auto value = number(name)) return value;
    if (ends_early(name)) return {};
    std::vector<char> line(kDatabaseLine);
    passwd entry{};
    passwd* found = nullptr;
    if (::getpwnam_r(name.c_str(), &entry, line.data(), line.size(), &found) != 0) return {};
    return found == nullptr ? std::nullopt : std::optional(entry.pw_uid);
  }
  static std::optional<uint32_t> gid_of(const std::string& name) {
    if (const auto value = number(name)) return value;
    if (ends_early(name)) return {};
    std::vector<char> line(kDatabaseLine);
    group entry{};
    group* found = nullptr;
    if (::getgrnam_r(name.c_str(), &entry, line.data(), line.size(), &found) != 0) return {};
    return found == nullptr ? std::nullopt : std::optional(entry.gr_gid);
  }

  std::unexpected<Error> unknown(const toml::key& key, std::string_view allowed) const {
    return wrong(key, "'{}' is unknown here, allowed are {}", escaped(key.str()), allowed);
  }
  template <typename Where, typename... Args>
  std::unexpected<Error> wrong(const Where& where, fmt::format_string<Args...> format,
                               Args&&... args) const {
    return fail(EINVAL, "{}:{}: {}", name_, where.source().begin.line,
                fmt::format(format, std::forward<Args>(args)...));
  }

  std::string name_;
  Config config_;
};

}  // namespace

Result<Config> parse_config_untrusted(std::string_view text, std::string_view name) {
  // Outside comments nothing that means something here is other than ASCII. The parser's question
  // whether a letter like "ä" is a space has no answer (3.3: it goes where its authors said that
  // nothing goes), so it does not see any.
  std::string ascii(text);
  std::ranges::replace_if(ascii, [](char c) { return static_cast<unsigned char>(c) > 0x7f; }, '?');
  const toml::parse_result parsed = toml::parse(ascii, name);
  if (!parsed)
    return fail(EINVAL, "{}:{}: {}", name, parsed.error().source().begin.line,
                escaped(parsed.error().description()));
  return Parser(name).config(parsed.table());
}

Result<Config> read_config(const std::string& path) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail_errno(errno, "cannot open the configuration {}", path);
  std::string text;
  for (;;) {
    char block[4096];
    const ssize_t n = ::read(file.get(), block, sizeof block);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "cannot read the configuration {}", path);
    if (n == 0) break;
    text.append(block, static_cast<size_t>(n));
    if (text.size() > kMostBytes)
      return fail(EFBIG, "the configuration {} has more than {} bytes", path, kMostBytes);
  }
  return parse_config_untrusted(text, path);
}

}  // namespace uarena::broker
