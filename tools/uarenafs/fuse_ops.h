// Between FUSE and the tree: each request of the kernel becomes one question to the tree, and its
// answer or error becomes the reply. No state but the table of inodes and what is open.
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include <string>
#include <variant>
#include <vector>

#include "tools/uarenafs/handle_table.h"
#include "tools/uarenafs/inode_table.h"
#include "tools/uarenafs/tree.h"

namespace uarena::inspectfs {

// An open file: a text as it was when it was opened, or an arena's bytes.
using OpenFile = std::variant<std::string, std::unique_ptr<MemFile>>;

// An open directory: its entries as they were when it was read from the start.
struct OpenDirectory {
  Node node;
  std::vector<Entry> entries;
};

// What the operations get as libfuse's userdata.
struct FileSystem {
  explicit FileSystem(Tree& t) : tree(t) {}

  Tree& tree;
  InodeTable inodes;
  HandleTable<OpenFile> files;
  HandleTable<OpenDirectory> directories;
};

const fuse_lowlevel_ops& fuse_operations();

// The errno of a reply. EIO: the broker is gone or answers nonsense; ETIMEDOUT: it does not answer;
// EACCES: it is not for us.
int errno_of(const Error& error);

}  // namespace uarena::inspectfs
