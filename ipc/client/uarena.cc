// The C library's connection, arenas and attachments; its pages are in uarena_pages.cc and its
// programs in uarena_prog.cc. Each function checks its pointers, makes its calls in C++, and turns
// what comes back into numbers; uarena.h says what they promise.
#include <algorithm>
#include <cstring>

#include "ipc/client/connection_handle.h"
#include "ipc/client/last_error.h"

using uarena::ipc::ArenaSpec;
using uarena::ipc::Attachment;
using uarena::ipc::AttachWay;
using uarena::ipc::check_conn;
using uarena::ipc::check_text;
using uarena::ipc::guarded;
using uarena::ipc::Inspector;
using uarena::ipc::last_error;
using uarena::ipc::Preferences;

namespace {

using uarena::fail;
using uarena::Result;
using uarena::Why;

void fill(uarena_info* out, const uarena_arena_info& info) {
  if (out == nullptr) return;
  *out = {};
  out->id = info.id;
  out->user_vm_start = info.user_vm_start;
  out->map_extra = info.map_extra;
  out->max_entries = info.max_entries;
  out->map_flags = info.map_flags;
  out->pages_allocated = info.pages_allocated;
  out->pages_reserved = info.pages_reserved;
  out->clients = info.clients;
  out->programs = info.programs;
  out->faults = info.faults;
  out->blocks = info.blocks;
  out->cut_off_runs = info.cut_off_runs;
  out->cut_off_program = info.cut_off_program;
  uarena::ipc::set_text(out->name, uarena::ipc::get_text(info.name));
}

Result<int> give(uarena_info* out, const Result<uarena_arena_info>& info) {
  if (!info) return std::unexpected(info.error());
  fill(out, *info);
  return 0;
}

Result<int> done(const Result<void>& result) {
  if (!result) return std::unexpected(result.error());
  return 0;
}

static_assert(UARENA_SERVED == UARENA_FAULT_SERVED && UARENA_DIRECT == UARENA_FAULT_DIRECT &&
              UARENA_AROUND_AUTO == UARENA_FAULT_AROUND_AUTO);

// As much of it as the caller knows; what he knows and we do not must be 0.
Result<uarena_create_opts> read_options(const uarena_create_opts* given) {
  uarena_create_opts options{};
  if (given == nullptr) return options;
  if (given->sz < sizeof given->sz)
    return fail(Why::usage, EINVAL, "opts->sz is {}, it must be sizeof(struct uarena_create_opts)",
                given->sz);
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  for (size_t i = sizeof options; i < given->sz; ++i)
    if (bytes[i] != 0)
      return fail(Why::usage, E2BIG, "opts has {} bytes of which this library knows {}", given->sz,
                  sizeof options);
  std::memcpy(&options, given, std::min(given->sz, sizeof options));
  if (options.reserved != 0) return fail(Why::usage, EINVAL, "opts->reserved is not 0");
  return options;
}

Result<int> create(uarena_conn* conn, const char* name, const uarena_attr* attr,
                   const uarena_create_opts* opts, uarena_info* info) {
  if (auto ok = check_conn(conn); !ok) return done(ok);
  if (auto ok = check_text("the arena's name", name); !ok) return done(ok);
  if (attr == nullptr) return fail(Why::usage, EINVAL, "attr is NULL");
  auto options = read_options(opts);
  if (!options) return std::unexpected(options.error());
  ArenaSpec spec;
  spec.map_type = attr->map_type;
  spec.key_size = attr->key_size;
  spec.value_size = attr->value_size;
  spec.max_entries = attr->max_entries;
  spec.map_flags = attr->map_flags;
  spec.map_extra = attr->map_extra;
  if (opts != nullptr) spec.faults = {options->fault, options->fault_around};
  spec.mode = options->mode;
  return give(info, conn->broker.create_arena(name, spec));
}

// What $UARENA_OPTIONS asks for is asked only of arenas that have it.
Result<AttachWay> attach_way(uarena_conn& conn, uint64_t arena_id, unsigned flags) {
  const Preferences& preferred = conn.broker.link().preferences();
  AttachWay way{(flags & UARENA_EXACT) != 0, preferred.user_mode_only,
                (flags & UARENA_READONLY) != 0};
  if (!way.exact && preferred.exact) {
    auto arena = conn.broker.arena(arena_id);
    if (!arena) return std::unexpected(std::move(arena.error()));
    way.exact = (arena->map_flags & UARENA_F_SEGV_ON_FAULT) != 0;
  }
  return way;
}

Result<int> attach(uarena_conn* conn, uint64_t arena_id, unsigned flags, void** base) {
  if (auto ok = check_conn(conn); !ok) return done(ok);
  if (base == nullptr) return fail(Why::usage, EINVAL, "base is NULL");
  if (flags != 0 && flags != UARENA_EXACT && flags != UARENA_READONLY)
    return fail(Why::usage, EINVAL,
                "flags is {:#x}, allowed are 0, UARENA_EXACT or UARENA_READONLY", flags);
  if (auto ok = conn->control().check_process(); !ok) return done(ok);
  const std::lock_guard lock(conn->mutex);
  if (conn->attachments.contains(arena_id))
    return fail(EALREADY, "arena {} is attached already on this connection", arena_id);
  auto way = attach_way(*conn, arena_id, flags);
  if (!way) return std::unexpected(std::move(way.error()));
  auto attachment = Attachment::attach(conn->control(), arena_id, *way);
  if (!attachment) return std::unexpected(std::move(attachment.error()));
  *base = attachment->base();
  conn->attachments.emplace(arena_id, std::move(*attachment));
  return 0;
}

// In the process that connected: a child of it has the connection, but not the mappings.
Result<void> check_here(uarena_conn* conn) {
  if (auto ok = check_conn(conn); !ok) return ok;
  return conn->control().check_process();
}

// For whoever holds the connection's lock.
Result<Attachment*> attached(uarena_conn& conn, uint64_t arena_id) {
  const auto found = conn.attachments.find(arena_id);
  if (found == conn.attachments.end())
    return fail(Why::not_found, ENOENT, "arena {} is not attached on this connection", arena_id);
  return &found->second;
}

Result<int> detach(uarena_conn* conn, uint64_t arena_id) {
  if (auto ok = check_here(conn); !ok) return done(ok);
  const std::lock_guard lock(conn->mutex);
  auto attachment = attached(*conn, arena_id);
  if (!attachment) return std::unexpected(std::move(attachment.error()));
  (*attachment)->detach(conn->control());
  conn->attachments.erase(arena_id);
  return 0;
}

Result<int> syscalls_served(uarena_conn* conn, uint64_t arena_id) {
  if (auto ok = check_here(conn); !ok) return done(ok);
  const std::lock_guard lock(conn->mutex);
  auto attachment = attached(*conn, arena_id);
  if (!attachment) return std::unexpected(std::move(attachment.error()));
  return (*attachment)->syscalls_served() ? 1 : 0;
}

}  // namespace

extern "C" {

int uarena_connect(const char* socket_path, uarena_conn** conn) {
  return static_cast<int>(guarded([&]() -> Result<int> {
    if (conn == nullptr) return fail(Why::usage, EINVAL, "conn is NULL");
    if (socket_path != nullptr && *socket_path == '\0')
      return fail(Why::usage, EINVAL, "the socket's path is empty");
    auto broker = Inspector::connect(socket_path != nullptr ? socket_path : "");
    if (!broker) return std::unexpected(std::move(broker.error()));
    *conn = new uarena_conn(std::move(*broker));
    return 0;
  }));
}

void uarena_close(uarena_conn* conn) {
  if (conn == nullptr) return;
  guarded([&]() -> Result<int> {
    const bool forked = !conn->control().check_process();
    const bool lost = !forked && conn->control().is_lost();
    for (auto& [id, attachment] : conn->attachments) {
      if (forked)
        attachment.forget();
      else if (lost)
        attachment.drop();
      else
        attachment.detach(conn->control());
    }
    return 0;
  });
  delete conn;
}

const char* uarena_error(void) { return last_error().message.c_str(); }
int uarena_why(void) { return static_cast<int>(last_error().why); }
const char* uarena_log(void) { return last_error().log.c_str(); }

int uarena_create(uarena_conn* conn, const char* name, const struct uarena_attr* attr,
                  struct uarena_info* info) {
  return static_cast<int>(guarded([&] { return create(conn, name, attr, nullptr, info); }));
}

int uarena_create_with(uarena_conn* conn, const char* name, const struct uarena_attr* attr,
                       const struct uarena_create_opts* opts, struct uarena_info* info) {
  return static_cast<int>(guarded([&] { return create(conn, name, attr, opts, info); }));
}

int uarena_find(uarena_conn* conn, const char* name, struct uarena_info* info) {
  return static_cast<int>(guarded([&]() -> Result<int> {
    if (auto ok = check_conn(conn); !ok) return done(ok);
    if (auto ok = check_text("the arena's name", name); !ok) return done(ok);
    return give(info, conn->broker.arena(std::string(name)));
  }));
}

int uarena_stat(uarena_conn* conn, uint64_t arena_id, struct uarena_info* info) {
  return static_cast<int>(guarded([&]() -> Result<int> {
    if (auto ok = check_conn(conn); !ok) return done(ok);
    return give(info, conn->broker.arena(arena_id));
  }));
}

int uarena_delete(uarena_conn* conn, uint64_t arena_id) {
  return static_cast<int>(guarded([&]() -> Result<int> {
    if (auto ok = check_conn(conn); !ok) return done(ok);
    return done(conn->broker.delete_arena(arena_id));
  }));
}

int uarena_chmod(uarena_conn* conn, uint64_t arena_id, uint32_t mode) {
  return static_cast<int>(guarded([&]() -> Result<int> {
    if (auto ok = check_conn(conn); !ok) return done(ok);
    return give(nullptr, conn->broker.set_access(arena_id, {}, {}, mode));
  }));
}

int uarena_chown(uarena_conn* conn, uint64_t arena_id, uint32_t uid, uint32_t gid) {
  const auto given = [](uint32_t id) {
    return id == UINT32_MAX ? std::optional<uint32_t>() : std::optional(id);
  };
  return static_cast<int>(guarded([&]() -> Result<int> {
    if (auto ok = check_conn(conn); !ok) return done(ok);
    return give(nullptr, conn->broker.set_access(arena_id, given(uid), given(gid), {}));
  }));
}

int uarena_attach(uarena_conn* conn, uint64_t arena_id, unsigned flags, void** base) {
  return static_cast<int>(guarded([&] { return attach(conn, arena_id, flags, base); }));
}

int uarena_detach(uarena_conn* conn, uint64_t arena_id) {
  return static_cast<int>(guarded([&] { return detach(conn, arena_id); }));
}

int uarena_syscalls_served(uarena_conn* conn, uint64_t arena_id) {
  return static_cast<int>(guarded([&] { return syscalls_served(conn, arena_id); }));
}

}  // extern "C"
