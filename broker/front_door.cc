#include "broker/front_door.h"

#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <optional>

#include "ipc/base/log.h"

namespace uarena::broker {
namespace {

constexpr std::string_view kKeptPrefix = "listener-";

std::string kept_name(const ipc::SocketFile& file) {
  return fmt::format("{}{:x}-{:x}", kKeptPrefix, file.device(), file.inode());
}

// The file of a predecessor's socket, by what its name in the store says.
std::optional<ipc::SocketFile> file_of(const NamedFd& kept) {
  const char* const end = kept.name.data() + kept.name.size();
  dev_t device = 0;
  ino_t inode = 0;
  const auto first = std::from_chars(kept.name.data() + kKeptPrefix.size(), end, device, 16);
  if (first.ec != std::errc{} || first.ptr == end || *first.ptr != '-') return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, inode, 16);
  if (second.ec != std::errc{} || second.ptr != end) return std::nullopt;
  return ipc::SocketFile::find(ipc::path_of(kept.fd.get()), device, inode);
}

// The directory of a default socket may not be there yet; one that the user named must be.
void make_socket_directory(const std::string& socket) {
  const auto directory = std::filesystem::path(socket).parent_path();
  std::error_code unknown;  // then mkdir says why
  if (directory.filename() != "uarena" || std::filesystem::exists(directory, unknown)) return;
  if (::mkdir(directory.c_str(), ::geteuid() == 0 ? 0755 : 0700) != 0)
    log(LogLevel::warning, "daemon.socket_directory",
        {{"path", directory.string()}, {"errno", errno}});
}

// Of what predecessors have left, the one on which clients can find us. Others are closed, and
// their files removed: they would lead nowhere.
std::optional<ipc::BoundSocket> predecessors(const Options& options, Inherited& inherited,
                                             FdStore& store) {
  std::optional<ipc::BoundSocket> chosen;
  for (NamedFd& kept : inherited.take_prefixed(kKeptPrefix)) {
    auto file = file_of(kept);
    if (!chosen && file && ipc::check_listening(kept.fd.get()) &&
        ipc::path_of(kept.fd.get()) == options.socket &&
        ::chmod(options.socket.c_str(), options.socket_mode) == 0) {
      chosen = ipc::BoundSocket{std::move(kept.fd), std::move(*file)};
      continue;
    }
    log(LogLevel::warning, "daemon.listener_dropped",
        {{"name", kept.name}, {"path", ipc::path_of(kept.fd.get())}});
    if (auto removed = store.remove(kept.name); !removed)
      log(LogLevel::warning, "daemon.not_removed",
          {{"errno", removed.error().code}, {"error", removed.error().message}});
  }
  return chosen;
}

}  // namespace

Result<FrontDoor> FrontDoor::open(ipc::EventLoop& loop, const Options& options,
                                  Inherited& inherited, FdStore& store,
                                  ipc::Listener::Handler handler) {
  auto given = inherited.take_listener();
  if (!given) return std::unexpected(given.error());
  if (*given) {
    auto listener = ipc::Listener::adopt(loop, std::move(**given), std::move(handler));
    if (!listener) return std::unexpected(listener.error());
    return FrontDoor(store, std::move(*listener));
  }
  if (auto kept = predecessors(options, inherited, store)) {
    auto listener = ipc::Listener::adopt(loop, std::move(kept->socket), std::move(handler),
                                         std::move(kept->file));
    if (!listener) return std::unexpected(listener.error());
    FrontDoor door(store, std::move(*listener));
    door.kept_as_ = kept_name(door.listener_->file());
    return door;
  }
  make_socket_directory(options.socket);
  auto listener =
      ipc::Listener::bind(loop, options.socket, options.socket_mode, std::move(handler));
  if (!listener) return std::unexpected(listener.error());
  FrontDoor door(store, std::move(*listener));
  door.keep();
  return door;
}

void FrontDoor::keep() {
  kept_as_ = kept_name(listener_->file());
  if (auto put = store_->put(kept_as_, listener_->socket()); !put)
    log(LogLevel::warning, "daemon.listener_not_kept",
        {{"errno", put.error().code}, {"error", put.error().message}});
}

FrontDoor::~FrontDoor() {
  if (!listener_) return;
  listener_.reset();
  if (kept_as_.empty()) return;
  if (auto removed = store_->remove(kept_as_); !removed)
    log(LogLevel::warning, "daemon.not_removed",
        {{"errno", removed.error().code}, {"error", removed.error().message}});
}

std::string FrontDoor::path() const { return ipc::path_of(listener_->socket()); }

}  // namespace uarena::broker
