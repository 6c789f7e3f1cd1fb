// Nothing is cached: names and attributes are valid for no time, and files are read with direct_io,
// so that whoever looks sees what is, not what was.
#include "tools/uarenafs/fuse_ops.h"

#include <fcntl.h>

#include <algorithm>
#include <memory>
#include <new>

#include "ipc/base/log.h"

namespace uarena::inspectfs {
namespace {

FileSystem& file_system(fuse_req_t request) {
  return *static_cast<FileSystem*>(fuse_req_userdata(request));
}

Error not_open() { return {EBADF, "the kernel asks for an open file that it has closed"}; }

void refuse(fuse_req_t request, const Error& error) {
  log(LogLevel::debug, "request.failed", {{"errno", error.code}, {"error", error.message}});
  fuse_reply_err(request, errno_of(error));
}

// Runs an operation's body with the node. libfuse is C: no exception may get into it, and there is
// only one, for want of memory. A body replies as its last act.
template <typename Body>
void with_node(fuse_req_t request, fuse_ino_t number, Body&& body) {
  try {
    const auto node = file_system(request).inodes.find(number);
    if (!node) return refuse(request, Error{ESTALE, "the kernel asks for a file that it forgot"});
    body(file_system(request), *node);
  } catch (const std::bad_alloc&) {
    refuse(request, Error{ENOMEM, "there is no memory for an answer"});
  }
}

void op_init(void*, fuse_conn_info* connection) {
  // A pipe per thread, for payloads that this file system does not have.
  connection->want &= ~unsigned{FUSE_CAP_SPLICE_READ};
}

void op_lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  with_node(request, parent, [&](FileSystem& fs, const Node& directory) {
    auto node = fs.tree.child(directory, name);
    if (!node) return refuse(request, node.error());
    auto attributes = fs.tree.attributes(*node);
    if (!attributes) return refuse(request, attributes.error());
    fuse_entry_param entry{};
    entry.attr = *attributes;
    entry.ino = fs.inodes.hold(*node);
    // An answer that did not arrive is not held by the kernel.
    if (fuse_reply_entry(request, &entry) != 0) fs.inodes.forget(entry.ino, 1);
  });
}

void op_forget(fuse_req_t request, fuse_ino_t number, uint64_t times) {
  file_system(request).inodes.forget(number, times);
  fuse_reply_none(request);
}

void op_forget_multi(fuse_req_t request, size_t count, fuse_forget_data* forgets) {
  for (size_t i = 0; i < count; ++i)
    file_system(request).inodes.forget(forgets[i].ino, forgets[i].nlookup);
  fuse_reply_none(request);
}

void op_getattr(fuse_req_t request, fuse_ino_t number, fuse_file_info*) {
  with_node(request, number, [&](FileSystem& fs, const Node& node) {
    auto attributes = fs.tree.attributes(node);
    if (!attributes) return refuse(request, attributes.error());
    fuse_reply_attr(request, &*attributes, 0);
  });
}

Result<OpenFile> open_file(Tree& tree, const Node& node) {
  if (node.kind == Kind::memory) {
    auto memory = tree.open_memory(node);
    if (!memory) return std::unexpected(std::move(memory.error()));
    return std::move(*memory);
  }
  auto text = tree.text(node);
  if (!text) return std::unexpected(std::move(text.error()));
  return std::move(*text);
}

void op_open(fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
  with_node(request, number, [&](FileSystem& fs, const Node& node) {
    // A mount that somebody else made need not be read-only.
    if ((info->flags & O_ACCMODE) != O_RDONLY)
      return refuse(request, Error{EROFS, "nothing can be written here"});
    auto file = open_file(fs.tree, node);
    if (!file) return refuse(request, file.error());
    info->fh = fs.files.add(std::make_shared<OpenFile>(std::move(*file)));
    info->direct_io = 1;
    // An answer that did not arrive is no open file.
    if (fuse_reply_open(request, info) != 0) fs.files.remove(info->fh);
  });
}

void op_release(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  file_system(request).files.remove(info->fh);
  fuse_reply_err(request, 0);
}

void op_read(fuse_req_t request, fuse_ino_t number, size_t size, off_t offset,
             fuse_file_info* info) {
  with_node(request, number, [&](FileSystem& fs, const Node&) {
    const auto file = fs.files.find(info->fh);
    if (!file) return refuse(request, not_open());
    const auto at = static_cast<uint64_t>(offset);
    if (const auto* text = std::get_if<std::string>(file.get())) {
      const auto rest = std::string_view(*text).substr(std::min<uint64_t>(at, text->size()));
      fuse_reply_buf(request, rest.data(), std::min(size, rest.size()));
      return;
    }
    auto bytes = std::get<std::unique_ptr<MemFile>>(*file)->read(at, size);
    if (!bytes) return refuse(request, bytes.error());
    fuse_reply_buf(request, reinterpret_cast<const char*>(bytes->data()), bytes->size());
  });
}

// A text is all data, with the hole that every file has at its end.
Result<uint64_t> seek(OpenFile& file, uint64_t offset, int whence) {
  if (whence != SEEK_DATA && whence != SEEK_HOLE)
    return fail(EINVAL, "whence is {}, allowed are SEEK_DATA and SEEK_HOLE", whence);
  if (auto* memory = std::get_if<std::unique_ptr<MemFile>>(&file))
    return whence == SEEK_DATA ? (*memory)->seek_data(offset) : (*memory)->seek_hole(offset);
  const uint64_t size = std::get<std::string>(file).size();
  if (offset >= size) return fail(ENXIO, "{} lies behind the end {}", offset, size);
  return whence == SEEK_DATA ? offset : size;
}

void op_lseek(fuse_req_t request, fuse_ino_t number, off_t offset, int whence,
              fuse_file_info* info) {
  with_node(request, number, [&](FileSystem& fs, const Node&) {
    const auto file = fs.files.find(info->fh);
    if (!file) return refuse(request, not_open());
    auto found = seek(*file, static_cast<uint64_t>(offset), whence);
    if (!found) return refuse(request, found.error());
    fuse_reply_lseek(request, static_cast<off_t>(*found));
  });
}

void op_opendir(fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
  with_node(request, number, [&](FileSystem& fs, const Node& node) {
    info->fh = fs.directories.add(std::make_shared<OpenDirectory>(OpenDirectory{node, {}}));
    if (fuse_reply_open(request, info) != 0) fs.directories.remove(info->fh);
  });
}

void op_releasedir(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  file_system(request).directories.remove(info->fh);
  fuse_reply_err(request, 0);
}

Result<void> list(Tree& tree, OpenDirectory& directory) {
  auto entries = tree.entries(directory.node);
  if (!entries) return std::unexpected(std::move(entries.error()));
  directory.entries = {{".", directory.node}, {"..", parent_of(directory.node)}};
  std::ranges::move(*entries, std::back_inserter(directory.entries));
  return {};
}

// The offset of an entry is the number of those up to it. The kernel lets only one thread at a time
// read an open directory.
void op_readdir(fuse_req_t request, fuse_ino_t number, size_t size, off_t offset,
                fuse_file_info* info) {
  with_node(request, number, [&](FileSystem& fs, const Node&) {
    const auto directory = fs.directories.find(info->fh);
    if (!directory) return refuse(request, not_open());
    if (offset == 0) {
      if (auto ok = list(fs.tree, *directory); !ok) return refuse(request, ok.error());
    }
    std::string reply(size, '\0');
    size_t used = 0;
    for (auto i = static_cast<size_t>(offset); i < directory->entries.size(); ++i) {
      const Entry& entry = directory->entries[i];
      struct stat st{};
      st.st_ino = inode_number(entry.node);
      st.st_mode = is_directory(entry.node.kind) ? S_IFDIR : S_IFREG;
      const size_t need = fuse_add_direntry(request, reply.data() + used, size - used,
                                            entry.name.c_str(), &st, static_cast<off_t>(i + 1));
      if (need > size - used) break;
      used += need;
    }
    fuse_reply_buf(request, reply.data(), used);
  });
}

}  // namespace

int errno_of(const Error& error) {
  switch (error.why) {
    case Why::unreachable:
      return error.code == ETIMEDOUT ? ETIMEDOUT : EIO;
    case Why::permission:
      return EACCES;
    case Why::version:
      return EIO;
    default:
      return error.code == EPROTO ? EIO : error.code;
  }
}

const fuse_lowlevel_ops& fuse_operations() {
  static constexpr fuse_lowlevel_ops kOperations = [] {
    fuse_lowlevel_ops ops{};
    ops.init = op_init;
    ops.lookup = op_lookup;
    ops.forget = op_forget;
    ops.forget_multi = op_forget_multi;
    ops.getattr = op_getattr;
    ops.open = op_open;
    ops.release = op_release;
    ops.read = op_read;
    ops.lseek = op_lseek;
    ops.opendir = op_opendir;
    ops.releasedir = op_releasedir;
    ops.readdir = op_readdir;
    return ops;
  }();
  return kOperations;
}

}  // namespace uarena::inspectfs
