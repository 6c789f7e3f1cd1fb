// Between FUSE and the tree: each request of the kernel becomes one question to the tree, and its
// answer or error becomes the reply. No state but the table of inodes and what is open.
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "tools/uarenafs/inode_table.h"
#include "tools/uarenafs/tree.h"

namespace uarena::inspectfs {

// What the operations get as libfuse's userdata.
struct FileSystem {
  Tree& tree;
  InodeTable inodes;
};

const fuse_lowlevel_ops& fuse_operations();

// The errno of a reply. EIO: the broker is gone or answers nonsense; ETIMEDOUT: it does not answer;
// EACCES: it is not for us.
int errno_of(const Error& error);

}  // namespace uarena::inspectfs
