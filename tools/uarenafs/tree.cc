#include "tools/uarenafs/tree.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "ipc/base/page.h"
#include "ipc/codec.h"
#include "tools/uarenafs/text_files.h"

namespace uarena::inspectfs {
namespace {

// What a large reader takes at once; the largest read that one FUSE request carries.
constexpr blksize_t kMemBlock = 1 << 20;
constexpr uint64_t kStatBlock = 512;

timespec now() {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME, &time);
  return time;
}

std::unexpected<Error> no_such(std::string_view what) {
  return fail(Why::not_found, ENOENT, "there is no such {}", what);
}

// The record with that id, or ENOENT.
template <typename T>
Result<T> with_id(Result<std::vector<T>> records, uint64_t id, std::string_view what) {
  if (!records) return std::unexpected(std::move(records.error()));
  const auto found = std::ranges::find(*records, id, &T::id);
  if (found == records->end()) return no_such(what);
  return *found;
}

// In an open file, "no such arena" is not about a name.
template <typename T>
Result<T> in_open_file(Result<T> answer) {
  if (!answer && answer.error().why == Why::not_found) answer.error().code = ESTALE;
  return answer;
}

}  // namespace

Tree::Tree(BrokerPool& broker) : broker_(broker), mounted_(now()) {}

template <typename Question>
auto Tree::ask(const Node& node, Question&& question)
    -> std::invoke_result_t<Question, ipc::Inspector&> {
  return broker_.ask([&](ipc::Inspector& broker,
                         uint64_t epoch) -> std::invoke_result_t<Question, ipc::Inspector&> {
    if (node.epoch != epoch)
      return fail(Why::not_found, ESTALE, "the broker that this belonged to has ended");
    return question(broker);
  });
}

Result<uarena_arena_info> Tree::arena(const Node& node) {
  return ask(node, [&](ipc::Inspector& broker) { return broker.arena(node.arena); });
}

Result<std::vector<uarena_client_info>> Tree::clients(const Node& node) {
  return ask(node, [&](ipc::Inspector& broker) { return broker.clients(node.arena); });
}

Result<std::vector<uarena_prog_info>> Tree::programs(const Node& node) {
  auto all = ask(node, [](ipc::Inspector& broker) { return broker.programs(); });
  if (all) std::erase_if(*all, [&](const uarena_prog_info& p) { return p.arena_id != node.arena; });
  return all;
}

Result<Node> Tree::child(const Node& directory, std::string_view name) {
  switch (directory.kind) {
    case Kind::root:
      // No other name can be an arena's; asking would say the same with EINVAL.
      if (!ipc::check_name("", name)) return no_such("arena");
      return broker_.ask([&](ipc::Inspector& broker, uint64_t epoch) -> Result<Node> {
        auto info = broker.arena(std::string(name));
        if (!info) return std::unexpected(std::move(info.error()));
        return Node{Kind::arena, epoch, info->id, 0};
      });
    case Kind::arena:
    case Kind::program:
      for (const FixedEntry& entry : fixed_entries(directory.kind))
        if (entry.name == name)
          return Node{entry.kind, directory.epoch, directory.arena, directory.object};
      return no_such("file");
    case Kind::clients:
    case Kind::programs: {
      const auto id = id_of_name(name);
      if (!id) return no_such("id");
      return Node{directory.kind == Kind::clients ? Kind::client : Kind::program, directory.epoch,
                  directory.arena, *id};
    }
    default:
      return fail(ENOTDIR, "this is no directory");
  }
}

// A name that is none would make entries that nobody can open, and "/" in one worse things: the
// broker does not allow it, and we don't rely on that.
Result<std::vector<Entry>> Tree::arenas() {
  return broker_.ask([](ipc::Inspector& broker, uint64_t epoch) -> Result<std::vector<Entry>> {
    auto arenas = broker.arenas();
    if (!arenas) return std::unexpected(std::move(arenas.error()));
    std::vector<Entry> entries;
    for (const uarena_arena_info& arena : *arenas) {
      const auto name = ipc::get_text(arena.name);
      if (ipc::check_name("", name) && name != "." && name != "..")
        entries.push_back({std::string(name), {Kind::arena, epoch, arena.id, 0}});
    }
    return entries;
  });
}

Result<std::vector<Entry>> Tree::entries(const Node& directory) {
  if (directory.kind == Kind::root) return arenas();
  // Of what is gone nothing is listed, not even what each arena or program has.
  if (auto there = attributes(directory); !there) return std::unexpected(std::move(there.error()));
  std::vector<Entry> entries;
  const auto add = [&](std::string name, Kind kind, uint64_t object) {
    entries.push_back({std::move(name), {kind, directory.epoch, directory.arena, object}});
  };
  const auto add_ids = [&](const auto& records, Kind kind) {
    for (const auto& record : *records) add(fmt::format("{}", record.id), kind, record.id);
  };
  for (const FixedEntry& entry : fixed_entries(directory.kind))
    add(std::string(entry.name), entry.kind, directory.object);
  if (directory.kind == Kind::clients) {
    auto attached = clients(directory);
    if (!attached) return std::unexpected(std::move(attached.error()));
    add_ids(attached, Kind::client);
  } else if (directory.kind == Kind::programs) {
    auto users = programs(directory);
    if (!users) return std::unexpected(std::move(users.error()));
    add_ids(users, Kind::program);
  }
  return entries;
}

Result<Tree::Text> Tree::owned_text(const Node& node) {
  switch (node.kind) {
    case Kind::info: {
      auto info = arena(node);
      if (!info) return std::unexpected(std::move(info.error()));
      return Text{info_text(*info), info->owner_uid};
    }
    case Kind::pages: {
      auto info = arena(node);
      if (!info) return std::unexpected(std::move(info.error()));
      auto extents =
          ask(node, [&](ipc::Inspector& broker) { return broker.page_extents(node.arena); });
      if (!extents) return std::unexpected(std::move(extents.error()));
      return Text{pages_text(*info, *extents), info->owner_uid, *info};
    }
    case Kind::client: {
      auto client = with_id(clients(node), node.object, "client");
      if (!client) return std::unexpected(std::move(client.error()));
      return Text{client_text(*client), client->uid};
    }
    case Kind::program:
    case Kind::program_info: {
      auto program = with_id(programs(node), node.object, "program");
      if (!program) return std::unexpected(std::move(program.error()));
      return Text{program_text(*program), program->owner_uid};
    }
    default:
      return fail(EINVAL, "this is no text file");
  }
}

Result<std::string> Tree::text(const Node& node) {
  auto text = owned_text(node);
  if (!text) return std::unexpected(std::move(text.error()));
  return std::move(text->text);
}

struct stat Tree::common(const Node& node) const {
  struct stat st{};
  st.st_ino = inode_number(node);
  st.st_mode = is_directory(node.kind) ? S_IFDIR | 0555 : S_IFREG | 0444;
  st.st_nlink = 1;  // for directories: nobody counts what is inside
  st.st_uid = ::geteuid();
  st.st_gid = ::getegid();
  st.st_blksize = kPageSize;
  st.st_atim = st.st_mtim = st.st_ctim = mounted_;
  return st;
}

// Whoever may read the arena may read what is in it, and the kernel sees to that
// (default_permissions): this process may have more rights than who reads through it.
static void as_arena(struct stat& st, const uarena_arena_info& arena) {
  constexpr std::pair<unsigned, mode_t> kReaders[] = {{8, S_IRUSR}, {4, S_IRGRP}, {0, S_IROTH}};
  st.st_uid = arena.owner_uid;
  st.st_gid = arena.owner_gid;
  st.st_mode &= ~mode_t{0777};
  for (const auto& [shift, bit] : kReaders)
    if ((arena.mode >> shift & UARENA_RIGHT_READ) != 0) st.st_mode |= bit;
}

Result<struct stat> Tree::attributes(const Node& node) {
  struct stat st = common(node);
  // The root is there with or without a broker.
  if (node.kind == Kind::root) return st;
  if (node.kind == Kind::arena || node.kind == Kind::clients || node.kind == Kind::programs ||
      node.kind == Kind::memory) {
    auto info = arena(node);
    if (!info) return std::unexpected(std::move(info.error()));
    st.st_uid = info->owner_uid;
    if (node.kind != Kind::memory) return st;
    as_arena(st, *info);
    st.st_size = static_cast<off_t>(info->max_entries * kPageSize);
    st.st_blocks = static_cast<blkcnt_t>(info->blocks * (kPageSize / kStatBlock));
    st.st_blksize = kMemBlock;
    return st;
  }
  auto text = owned_text(node);
  if (!text) return std::unexpected(std::move(text.error()));
  st.st_uid = text->uid;
  if (text->contents_of) as_arena(st, *text->contents_of);
  if (is_directory(node.kind)) return st;
  st.st_size = static_cast<off_t>(text->text.size());
  st.st_blocks = static_cast<blkcnt_t>((text->text.size() + kStatBlock - 1) / kStatBlock);
  return st;
}

Result<std::unique_ptr<MemFile>> Tree::open_memory(const Node& node) {
  auto info = arena(node);
  if (!info) return std::unexpected(std::move(info.error()));
  MemFile::Source source;
  source.extents = [this, node] {
    return in_open_file(
        ask(node, [&](ipc::Inspector& broker) { return broker.page_extents(node.arena); }));
  };
  source.read = [this, node](uint64_t offset, uint32_t length) {
    return in_open_file(ask(node, [&](ipc::Inspector& broker) {
      return broker.page_read(node.arena, offset, length);
    }));
  };
  return std::make_unique<MemFile>(info->max_entries * kPageSize, std::move(source));
}

}  // namespace uarena::inspectfs
