#include "ipc/mode_text.h"

#include <array>
#include <ranges>

#include "ipc/abi_accounts.h"
#include "ipc/base/log.h"

namespace uarena::ipc {
namespace {

constexpr std::string_view kRights = "rwxl";  // from the highest bit down
constexpr std::string_view kClasses = "ugo";
constexpr unsigned kRightBits = 4;

constexpr uint32_t bit_of(size_t right) { return 1U << (kRightBits - 1 - right); }
constexpr unsigned shift_of(size_t a_class) {
  return static_cast<unsigned>(kClasses.size() - 1 - a_class) * kRightBits;
}
static_assert(bit_of(0) == UARENA_RIGHT_READ && bit_of(3) == UARENA_RIGHT_LOAD);

// One of "u=rwxl", "go-w", "+r": whose rights, what becomes of them, and which.
bool apply(std::string_view clause, uint32_t& mode) {
  const size_t sign = clause.find_first_of("=+-");
  if (sign == clause.npos) return false;
  uint32_t rights = 0;
  for (const char c : clause.substr(sign + 1)) {
    const size_t right = kRights.find(c);
    if (right == kRights.npos) return false;
    rights |= bit_of(right);
  }
  std::string_view classes = clause.substr(0, sign);
  if (classes.empty() || classes == "a") classes = kClasses;
  for (const char c : classes) {
    const size_t found = kClasses.find(c);
    if (found == kClasses.npos) return false;
    const unsigned shift = shift_of(found);
    if (clause[sign] == '=') mode &= ~(((1U << kRightBits) - 1) << shift);
    if (clause[sign] == '-')
      mode &= ~(rights << shift);
    else
      mode |= rights << shift;
  }
  return true;
}

}  // namespace

std::string mode_text(uint32_t mode) {
  std::string text;
  for (size_t a_class = 0; a_class < kClasses.size(); ++a_class) {
    if (a_class != 0) text += ' ';
    for (size_t right = 0; right < kRights.size(); ++right)
      text += (mode >> shift_of(a_class) & bit_of(right)) != 0 ? kRights[right] : '-';
  }
  return text;
}

Result<uint32_t> changed_mode(uint32_t mode, std::string_view text) {
  bool readable = !text.empty();
  for (const auto part : std::views::split(text, ','))
    readable = readable && apply(std::string_view(part.begin(), part.end()), mode);
  if (readable) return mode;
  return fail(Why::usage, EINVAL,
              "mode {}: allowed are clauses like u=rwxl,g+r,o-wx: of u, g, o or a, then =, + or -, "
              "then of r (read), w (write), x (run programs), l (load programs)",
              text.empty() ? "''" : escaped(text));
}

}  // namespace uarena::ipc
