// The connection to the kernel's FUSE: how it comes to be (a mount of ours, or one that was passed
// to us), who reads its requests, and how it ends.
//
// Requests are read and answered by a few threads, so that one that waits for the broker holds up
// no other. Those that have nothing to do wait on a descriptor each, by which they can be told to
// stop at any moment. (libfuse's own loop ends its threads by cancelling them, and can miss a
// signal.)
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "ipc/base/fd.h"
#include "ipc/base/result.h"
#include "tools/uarenafs/fuse_ops.h"
#include "tools/uarenafs/mount_point.h"

namespace uarena::inspectfs {

class Session {
 public:
  static constexpr unsigned kThreads = 8;

  // Mounts; the mount point is given back by the destructor. With `allow_other` for all users.
  static Result<std::unique_ptr<Session>> mount(FileSystem& files, MountPoint point,
                                                bool allow_other);
  // Serves what is mounted already, on a connection of which nothing has been read. EBUSY: somebody
  // has answered its INIT before us.
  static Result<std::unique_ptr<Session>> adopt(FileSystem& files, Fd fuse);
  ~Session();

  // Where it is mounted; empty when somebody else mounted it.
  const std::string& mountpoint() const { return point_.path(); }
  void start();
  // Readable when the threads have ended by themselves: the file system was unmounted.
  int ended_fd() const { return ended_.get(); }
  // Waits until every request that was read is answered: as long as the broker's limit, at most.
  void stop();

 private:
  explicit Session(FileSystem& files) : files_(files) {}
  Result<void> create(bool allow_other);
  Result<void> connect(const std::string& where);
  Result<void> answer_init();
  void work();
  bool next_request(const Fd& poll, fuse_buf& request);

  FileSystem& files_;
  MountPoint point_;
  Fd stop_, ended_;  // eventfds
  fuse_session* session_ = nullptr;
  std::atomic<bool> stopping_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace uarena::inspectfs
