// The configuration file is written by hand and read with the broker's rights: one that crashes the
// parser stops the service, one that is misread gives somebody more than the administrator wrote.
//
// Samples are files in the several ways in which TOML says the same (tables, dotted keys, inline
// tables, numbers of other bases), half of them with one mistake or with damage. A sample says in
// comments what has to come of it ("#= user 7 pages 5", "#! refused"), so it can be replayed by
// itself; damage takes those away. Checked: an error is one sentence that names a line of the file
// and has EINVAL; the limits of an accepted file are exactly those that it says, no more; and
// written out plainly they are read as the same.
#include <fmt/format.h>

#include <charconv>
#include <sstream>

#include "broker/config.h"
#include "tests/fuzz/damage.h"
#include "tests/fuzz/driver.h"

namespace uarena::fuzz {
namespace {

using namespace broker;

constexpr std::string_view kName = "uarenad.toml";  // what messages call it

// Who is meant ("", "user" or "group"; whose number), and how much of what.
struct Limit {
  std::string kind;
  uint32_t id = 0;
  size_t resource = 0;
  uint64_t amount = 0;
  auto operator<=>(const Limit&) const = default;
};
using Limits = std::vector<Limit>;  // in order

std::string name_of(size_t resource) { return std::string(kResourceNames[resource]); }

Limits limits_of(const LimitTable& table) {
  Limits all;
  const auto add = [&](const char* kind, uint32_t id, const LimitSet& set) {
    for (size_t n = 0; n < kResources; ++n)
      if (set[n]) all.push_back({kind, id, n, *set[n]});
  };
  add("", 0, table.everybody);
  for (const auto& [id, set] : table.groups) add("group", id, set);
  for (const auto& [id, set] : table.users) add("user", id, set);
  return all;
}

// "#= user 7 pages 5" and "#= - 0 pages 5".
std::string expectation(const Limit& limit) {
  return fmt::format("#= {} {} {} {}\n", limit.kind.empty() ? "-" : limit.kind, limit.id,
                     name_of(limit.resource), limit.amount);
}

struct Expected {
  bool whole = false;  // the sample says what comes of it
  bool refused = false;
  Limits limits;
};

Expected read_expected(std::string_view text) {
  Expected expected;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    if (line == "#whole") expected.whole = true;
    if (line == "#! refused") expected.refused = true;
    if (!line.starts_with("#= ")) continue;
    std::istringstream words(line.substr(3));
    Limit limit;
    std::string resource;
    words >> limit.kind >> limit.id >> resource >> limit.amount;
    if (limit.kind == "-") limit.kind.clear();
    const auto found = std::ranges::find(kResourceNames, resource);
    limit.resource = static_cast<size_t>(found - kResourceNames.begin());
    expected.limits.push_back(limit);
  }
  std::ranges::sort(expected.limits);
  return expected;
}

std::string plainly(const Limits& limits) {
  std::string text = "limits = {}\n";
  if (!limits.empty()) text.clear();
  for (const Limit& limit : limits) {
    const std::string whose = limit.kind.empty() ? "" : fmt::format("{}.{}.", limit.kind, limit.id);
    const std::string amount =
        limit.amount == kUnlimited ? "\"unlimited\"" : std::to_string(limit.amount);
    text += fmt::format("limits.{}{} = {}\n", whose, name_of(limit.resource), amount);
  }
  return text;
}

// --- samples ---

std::string amount_text(Random& random, uint64_t amount) {
  if (amount == kUnlimited) return random.one_in(2) ? "\"unlimited\"" : "'unlimited'";
  switch (random.below(5)) {
    case 0:
      return fmt::format("{:#x}", amount);
    case 1:
      return fmt::format("{:#o}", amount).insert(amount == 0 ? 0 : 1, amount == 0 ? "" : "o");
    case 2:
      return fmt::format("{:#b}", amount);
    case 3:
      return fmt::format("+{}", amount);
    default:
      return std::to_string(amount);
  }
}

// root and 0 are two names of one.
std::string whose_text(Random& random, uint32_t id) {
  if (id == 0 && random.one_in(2)) return random.one_in(2) ? "root" : "\"root\"";
  return random.one_in(4) ? fmt::format("'{}'", id) : std::to_string(id);
}

std::string assignments(Random& random, std::span<const Limit> limits, std::string_view separator) {
  std::string text;
  for (const Limit& limit : limits) {
    if (!text.empty()) text += separator;
    text += name_of(limit.resource) + (random.one_in(2) ? " = " : "=") +
            amount_text(random, limit.amount);
  }
  return text;
}

// The limits of one user or group, or of everybody.
std::string section(Random& random, std::span<const Limit> limits) {
  const Limit& one = limits.front();
  if (one.kind.empty()) return "[limits]\n" + assignments(random, limits, "\n") + "\n";
  const std::string whose = one.kind + "." + whose_text(random, one.id);
  if (random.one_in(2))
    return fmt::format("[limits.{}]  # {}\n{}\n", whose, random.bits(),
                       assignments(random, limits, random.one_in(2) ? "\n" : "\n\n"));
  return fmt::format("[limits.{}]\n{} = {{ {} }}\n", one.kind, whose_text(random, one.id),
                     assignments(random, limits, ", "));
}

// Each a file's end that makes the file wrong, wherever it stands.
std::string mistake(Random& random) {
  const std::string deep = [&] {
    std::string keys = "x";
    for (uint64_t n = random.below(3000); n > 0; --n) keys += ".x";
    return keys;
  }();
  const std::string brackets(random.below(3000), random.one_in(2) ? '[' : '{');
  const std::string all[] = {
      "[limits.user.77]\npages = -1\n",
      "[limits.user.77]\npages = 1.5\n",
      "[limits.user.77]\npages = 9223372036854775808\n",
      "[limits.user.77]\npages = \"unlimited \"\n",
      "[limits.user.77]\npages = [1]\n",
      "[limits.user.77]\npages = 1\npages = 2\n",
      "[limits.user.77]\nPages = 1\n",
      "[limits.user.4294967296]\n",
      "[limits.user.\"\"]\n",
      "[limits.user.\"root\\u0000\"]\npages = 1\n",
      "[limits.user.\"77 \"]\npages = 1\n",
      "[limits.user.\"\\u001b[2J\"]\npages = 1\n",
      "[limits.user.root]\narenas = 1\n[limits.user.0]\narenas = 2\n",
      "[limits.group.0]\npages = 1\n[limits.group.00]\narenas = 2\n",
      "[[limits.user.77]]\npages = 1\n",
      "[other]\n",
      "[\"limits\\n\"]\n",
      "[limits.user.77\n",
      "x = \"\xff\xfe\"\n",
      "[" + deep + "]\n",
      "[limits.user.77." + deep + "]\n",
      "x = " + brackets + "\n",
  };
  return all[random.below(std::size(all))];
}

Limits some_limits(Random& random) {
  Limits limits;
  for (uint64_t n = random.below(8); n > 0; --n) {
    Limit limit;
    limit.kind = random.one_in(3) ? "" : random.one_in(2) ? "user" : "group";
    if (!limit.kind.empty()) limit.id = static_cast<uint32_t>(random.below(4) * 1000);
    limit.resource = random.below(kResources);
    limit.amount = random.one_in(4) ? kUnlimited : extreme(random) & INT64_MAX;
    const auto same = [&](const Limit& other) {
      return other.kind == limit.kind && other.id == limit.id && other.resource == limit.resource;
    };
    if (std::ranges::none_of(limits, same)) limits.push_back(limit);
  }
  std::ranges::sort(limits);
  return limits;
}

// Sections of one user or group each; "[limits.user]" stands in a file once, so the inline form is
// taken for its first user alone.
std::string sample(Random& random) {
  const Limits limits = some_limits(random);
  std::string text = "#whole\n";
  std::string kinds;  // that have a table by now
  for (size_t n = 0; n < limits.size();) {
    size_t end = n + 1;
    while (end < limits.size() && limits[end].kind == limits[n].kind &&
           limits[end].id == limits[n].id)
      ++end;
    const auto some = std::span(limits).subspan(n, end - n);
    std::string written = section(random, some);
    const std::string table = fmt::format("[limits.{}]\n", limits[n].kind);
    while (written.starts_with(table) && kinds.find(limits[n].kind) != std::string::npos)
      written = section(random, some);
    if (!limits[n].kind.empty()) kinds += limits[n].kind;
    text += written;
    n = end;
  }
  for (const Limit& limit : limits) text += expectation(limit);
  return text;
}

class ConfigTarget final : public Target {
 public:
  std::vector<std::byte> make(Random& random) override {
    std::string text = sample(random);
    const uint64_t what = random.below(4);
    if (what == 0) text += mistake(random) + "#! refused\n";
    if (what != 1) return bytes_of_text(text);
    Bytes bytes = bytes_of_text(text.substr(text.find('\n') + 1));
    for (uint64_t n = 1 + random.below(3); n > 0; --n) damage(random, bytes);
    return bytes;
  }

  std::string run(std::span<const std::byte> input, Progress& progress) override {
    const std::string_view text = text_of(input);
    const auto expected = read_expected(text);
    const auto config = parse_config_untrusted(text, kName);
    if (!config) {
      if (expected.whole && !expected.refused) return "refused: " + config.error().message;
      return wrong_error(config.error(), text);
    }
    progress.accepted(0);
    const Limits limits = limits_of(config->limits);
    if (expected.whole && expected.refused) return "a file with a mistake was accepted";
    if (expected.whole && limits != expected.limits) return "limits that are not those of the file";
    const auto again = parse_config_untrusted(plainly(limits), kName);
    if (!again) return "its own limits are refused: " + again.error().message;
    return limits_of(again->limits) == limits ? "" : "its limits, written out, are others";
  }

 private:
  // "NAME:LINE: sentence"
  static std::string wrong_error(const Error& error, std::string_view text) {
    if (auto wrong = wrong_refusal(error, "the configuration"); !wrong.empty()) return wrong;
    if (error.code != EINVAL) return fmt::format("refused with errno {}", error.code);
    std::string_view rest = error.message;
    if (!rest.starts_with(kName) || rest.substr(kName.size(), 1) != ":")
      return "an error of no file";
    rest.remove_prefix(kName.size() + 1);
    int64_t line = 0;
    const auto [end, none] = std::from_chars(rest.data(), rest.data() + rest.size(), line);
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
    const auto lines = std::ranges::count(text, '\n') + 1;
    if (none != std::errc() || line < 1 || line > lines || !rest.starts_with(": "))
      return fmt::format("no line of {}: {}", lines, error.message);
    return {};
  }
};

}  // namespace
}  // namespace uarena::fuzz

int main(int argc, char** argv) {
  uarena::fuzz::ConfigTarget target;
  return uarena::fuzz::fuzz_main(argc, argv, "config", target);
}
