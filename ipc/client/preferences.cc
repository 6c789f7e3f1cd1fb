#include "ipc/client/preferences.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "ipc/base/log.h"

namespace uarena::ipc {
namespace {

constexpr std::string_view kAround = "fault-around=";

bool read_around(std::string_view text, uint32_t* around) {
  if (text == "auto") {
    *around = UARENA_FAULT_AROUND_AUTO;
    return true;
  }
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *around);
  return error == std::errc() && end == text.data() + text.size() && *around >= 1 &&
         *around <= UARENA_MAX_FAULT_AROUND;
}

bool read_word(std::string_view word, Preferences* preferences) {
  if (word == "direct")
    preferences->faults.fault = UARENA_FAULT_DIRECT;
  else if (word == "exact")
    preferences->exact = true;
  else if (word == "user-mode-only")
    preferences->user_mode_only = true;
  else
    return word.starts_with(kAround) &&
           read_around(word.substr(kAround.size()), &preferences->faults.around);
  return true;
}

}  // namespace

Result<Preferences> parse_preferences(std::string_view words) {
  Preferences preferences;
  while (!words.empty()) {
    const std::string_view word = words.substr(0, words.find(','));
    words.remove_prefix(std::min(words.size(), word.size() + 1));
    if (!read_word(word, &preferences))
      return fail(
          Why::usage, EINVAL,
          "UARENA_OPTIONS has \"{}\"; allowed are direct, fault-around=1..{} or =auto, exact, "
          "user-mode-only, with commas between them",
          escaped(word), UARENA_MAX_FAULT_AROUND);
  }
  return preferences;
}

Result<Preferences> preferences() {
  const char* words = ::secure_getenv("UARENA_OPTIONS");
  return parse_preferences(words == nullptr ? "" : words);
}

}  // namespace uarena::ipc
