// One peer on the event loop: records come in to a handler, answers go out in order, and the end is
// told exactly once. Two bounds keep one peer from costing the others: so many records per wake-up,
// then everyone else has a turn; and so much that waits to be sent, then the peer, which evidently
// does not read, is cut off.
//
// Threads: the loop's only.
#pragma once

#include <memory>

#include "ipc/base/fd.h"
#include "ipc/base/result.h"
#include "ipc/event_loop.h"
#include "ipc/scm_rights.h"

namespace uarena::ipc {

class Connection {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    // The next one comes after done().
    virtual void on_record(Record&& record) = 0;
    // The connection is over: no record will come, nothing can be sent. The code is kEndOfFile if
    // the peer closed in an orderly way. Always called from the loop, never from send() or close().
    virtual void on_close(const Error& reason) = 0;
  };

  static constexpr int kRecordsPerWakeup = 16;
  static constexpr size_t kMaxQueuedRecords = 64;
  static constexpr size_t kMaxQueuedBytes = size_t{1} << 20;

  // `socket` is a connected SOCK_SEQPACKET socket. `handler` outlives the connection and may
  // destroy it in either of its functions. Errors as EventLoop::watch.
  static Result<std::unique_ptr<Connection>> open(EventLoop& loop, Fd socket, Handler& handler);
  // Closes without on_close. What is queued is dropped.
  ~Connection();

  // Sends now or queues; after the end it does nothing. `record` owns its descriptors until sent.
  void send(Record&& record);
  // The record at hand has been answered. Only now does it leave the socket: a successor that takes
  // the socket over finds what this process had not answered.
  void done();
  // What is queued is dropped; on_close comes later, with this reason.
  void close(Error reason);

  size_t queued() const;

 private:
  struct Impl;
  explicit Connection(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace uarena::ipc
