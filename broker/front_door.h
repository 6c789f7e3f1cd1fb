// The socket that clients come to, in the order of whose it is: the service manager's, which it
// passes as `listener` and whose file is its own; a predecessor's, which comes out of the store
// with the clients that wait on it; or a new one under the path of the options.
//
// What a broker has bound itself it puts into the store at once, under a name that tells its file's
// identity (listener-DEVICE-INODE, hexadecimal): the successor goes on with the same socket, and
// whoever is stopped in the end removes the file, unless another has taken its place.
#pragma once

#include <memory>
#include <string>

#include "broker/fd_store.h"
#include "broker/inherited.h"
#include "broker/options.h"
#include "ipc/listener.h"

namespace uarena::broker {

class FrontDoor {
 public:
  static Result<FrontDoor> open(ipc::EventLoop& loop, const Options& options, Inherited& inherited,
                                FdStore& store, ipc::Listener::Handler handler);
  FrontDoor(FrontDoor&&) = default;
  // Closes it for good: the file goes, if it is ours, and so does what the store has of it.
  ~FrontDoor();

  std::string path() const;  // where it really is

 private:
  FrontDoor(FdStore& store, std::unique_ptr<ipc::Listener> listener)
      : store_(&store), listener_(std::move(listener)) {}
  void keep();

  FdStore* store_;
  std::unique_ptr<ipc::Listener> listener_;
  std::string kept_as_;
};

}  // namespace uarena::broker
