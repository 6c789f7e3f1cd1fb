// The words are those of chmod(1) and chown(1). Names of users and groups are looked up here, by
// whoever asks: the broker knows numbers.
#include "tools/uarena/access.h"

#include <grp.h>
#include <pwd.h>

#include <optional>

#include "ipc/base/log.h"
#include "ipc/mode_text.h"
#include "tools/uarena/context.h"
#include "tools/uarena/text.h"
#include "tools/uarena/views.h"

namespace uarena::cli {
namespace {

// One below what chown(2) takes for "as it is".
constexpr uint64_t kLastId = UINT32_MAX - 1;

// getpwnam(3) and getgrnam(3) are no matter for threads here: there is one.
Result<uint32_t> id_of(const std::string& name, bool is_user) {
  const std::string_view kind = is_user ? "user" : "group";
  if (!name.empty() && name.find_first_not_of("0123456789") == name.npos) {
    auto number = parse_number(kind, name, 0, kLastId);
    if (!number) return std::unexpected(number.error());
    return static_cast<uint32_t>(*number);
  }
  if (is_user)
    if (const passwd* entry = ::getpwnam(name.c_str())) return entry->pw_uid;
  if (!is_user)
    if (const group* entry = ::getgrnam(name.c_str())) return entry->gr_gid;
  return fail(Why::usage, EINVAL, "there is no {} '{}'", kind, escaped(name));
}

Result<void> change(Context& context, const uarena_arena_info& arena, std::optional<uint32_t> uid,
                    std::optional<uint32_t> gid, std::optional<uint32_t> mode) {
  auto broker = context.broker();
  if (!broker) return std::unexpected(broker.error());
  auto changed = (*broker)->set_access(arena.id, uid, gid, mode);
  if (!changed) return std::unexpected(changed.error());
  Output& output = context.output();
  if (output.json())
    output.json(arena_json(*changed));
  else
    output.text(arena_text(*changed, output));
  return {};
}

Result<void> chmod(Context& context) {
  const std::string& text = *context.call().argument(0);
  if (auto readable = ipc::changed_mode(0, text); !readable)
    return std::unexpected(readable.error());
  auto arena = context.arena_named(*context.call().argument(1));
  if (!arena) return std::unexpected(arena.error());
  return change(context, *arena, {}, {}, ipc::changed_mode(arena->mode, text).value());
}

Result<void> chown(Context& context) {
  const std::string& text = *context.call().argument(0);
  const size_t colon = text.find(':');
  std::optional<uint32_t> uid, gid;
  if (colon != 0) {
    auto user = id_of(text.substr(0, colon), true);
    if (!user) return std::unexpected(user.error());
    uid = *user;
  }
  if (colon != text.npos) {
    auto group = id_of(text.substr(colon + 1), false);
    if (!group) return std::unexpected(group.error());
    gid = *group;
  }
  auto arena = context.arena_named(*context.call().argument(1));
  if (!arena) return std::unexpected(arena.error());
  return change(context, *arena, uid, gid, {});
}

}  // namespace

Command chmod_command() {
  return {
      .names = {"chmod"},
      .arguments = {{"MODE", "clauses like u=rwxl,g+r,o-wx", false, {}},
                    {"NAME", "the arena", false, {}}},
      .flags = {},
      .summary = "change who may do what with an arena",
      .details =
          "Clauses are as those of chmod(1): of u (owner), g (group), o (others) or a (all), "
          "then =, + or -, then rights: r looks at pages and attaches read-only, w attaches and "
          "allocates, x runs programs that are bound to the arena, l binds programs to it. It "
          "is for the owner and root. What is attached or runs already goes on.",
      .example = "uarena arena chmod g=rwx,o= heap",
      .run = chmod};
}

Command chown_command() {
  return {
      .names = {"chown"},
      .arguments = {{"USER[:GROUP]", "names or numbers; :GROUP alone changes the group", false, {}},
                    {"NAME", "the arena", false, {}}},
      .flags = {},
      .summary = "change the owner or the group of an arena",
      .details =
          "The owner is changed by root, and pays for the arena from then on; the group "
          "also by the owner, to one that he is in.",
      .example = "uarena arena chown alice:staff heap",
      .run = chown};
}

}  // namespace uarena::cli
