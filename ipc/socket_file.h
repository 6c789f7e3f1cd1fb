// A listening socket under a path, and the file that belongs to it.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

#include "ipc/base/fd.h"
#include "ipc/base/result.h"

namespace uarena::ipc {

// Removes the socket file when it is destroyed, unless another file has taken its place.
class SocketFile {
 public:
  SocketFile() = default;
  SocketFile(std::string path, const struct stat& identity)
      : path_(std::move(path)), device_(identity.st_dev), inode_(identity.st_ino) {}
  SocketFile(SocketFile&& other) noexcept
      : path_(std::exchange(other.path_, {})), device_(other.device_), inode_(other.inode_) {}
  SocketFile& operator=(SocketFile&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(device_, other.device_);
    std::swap(inode_, other.inode_);
    return *this;
  }
  ~SocketFile();

  // The file at that path, if it is still the one with this identity.
  static std::optional<SocketFile> find(const std::string& path, dev_t device, ino_t inode);
  dev_t device() const { return device_; }
  ino_t inode() const { return inode_; }

 private:
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

struct BoundSocket {
  Fd socket;  // listening, non-blocking, close-on-exec
  SocketFile file;
};

// See Listener::bind. A stale file is one on which connecting is refused; checking and replacing it
// happens under a lock on the directory, so that two brokers that start at once can't each remove
// the other's.
Result<BoundSocket> bind_socket_file(const std::string& path, mode_t mode, int backlog);

// The path that a socket is bound to, "@…" for an abstract one, "" for none.
std::string path_of(int socket);

// Is it a Unix socket with records that accepts connections? EINVAL, ENOTSOCK, EBADF: it is none.
Result<void> check_listening(int socket);

}  // namespace uarena::ipc
