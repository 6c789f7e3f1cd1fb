// The state is shared with the callbacks, which hold it while they run: the handler may destroy the
// Connection from inside them.
#include "ipc/connection.h"

#include <deque>

#include "ipc/close_untrusted.h"

namespace uarena::ipc {

struct Connection::Impl {
  EventLoop& loop;
  Fd socket;
  Handler* handler;  // null: the Connection is gone
  EventLoop::Watch readable;
  // A dup, since one descriptor can be watched once; there only while something is queued.
  Fd write_side;
  EventLoop::Watch writable;
  std::deque<Record> queue;
  size_t queued_bytes = 0;
  bool closed = false;
  bool at_hand = false;  // a record has been handed over and is not done

  Impl(EventLoop& l, Fd s, Handler& h) : loop(l), socket(std::move(s)), handler(&h) {}

  void receive();
  Result<void> await_records(const std::shared_ptr<Impl>& self);
  void flush();
  Result<void> await_room(const std::shared_ptr<Impl>& self);
  void end(const std::shared_ptr<Impl>& self, Error reason);
  void release();
};

// The end of the wake-up is the watch's business: it calls again as long as records are there.
void Connection::Impl::receive() {
  for (int i = 0; i < kRecordsPerWakeup && !closed; ++i) {
    Result<Record> record = peek_record(socket.get(), Wait::no);
    if (record) {
      at_hand = true;
      handler->on_record(std::move(*record));
      if (!at_hand) continue;
      readable.reset();  // until it is done
      return;
    }
    if (record.error().code == EAGAIN) return;
    closed = true;
    release();
    handler->on_close(record.error());
  }
}

void Connection::Impl::flush() {
  while (!queue.empty()) {
    const Result<void> sent = send_record(socket.get(), queue.front(), Wait::no);
    if (!sent && sent.error().code == EAGAIN) return;
    if (!sent) {
      closed = true;
      release();
      handler->on_close(sent.error());
      return;
    }
    queued_bytes -= queue.front().bytes.size();
    queue.pop_front();
  }
  writable.reset();
  write_side.reset();
}

Result<void> Connection::Impl::await_room(const std::shared_ptr<Impl>& self) {
  write_side = socket.dup();
  if (!write_side) return fail_errno(errno, "cannot wait for room to send");
  auto watch = loop.watch(write_side.get(), EventLoop::Readiness::write, [self] { self->flush(); });
  if (!watch) return std::unexpected(std::move(watch.error()));
  writable = std::move(*watch);
  return {};
}

Result<void> Connection::Impl::await_records(const std::shared_ptr<Impl>& self) {
  auto watch = loop.watch(socket.get(), EventLoop::Readiness::read,
                          [self] { std::shared_ptr<Impl>(self)->receive(); });
  if (!watch) return std::unexpected(std::move(watch.error()));
  readable = std::move(*watch);
  return {};
}

// Ends from outside the loop's callbacks; the handler is told in one of its own.
void Connection::Impl::end(const std::shared_ptr<Impl>& self, Error reason) {
  if (closed) return;
  closed = true;
  release();
  loop.post([self, reason = std::move(reason)] {
    if (self->handler != nullptr) self->handler->on_close(reason);
  });
}

void Connection::Impl::release() {
  readable.reset();
  writable.reset();
  write_side.reset();
  close_connection(std::move(socket));
  queue.clear();
  queued_bytes = 0;
}

Connection::Connection(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<Connection>> Connection::open(EventLoop& loop, Fd socket, Handler& handler) {
  auto impl = std::make_shared<Impl>(loop, std::move(socket), handler);
  if (auto watched = impl->await_records(impl); !watched) return std::unexpected(watched.error());
  return std::unique_ptr<Connection>(new Connection(std::move(impl)));
}

Connection::~Connection() {
  impl_->closed = true;
  impl_->handler = nullptr;
  impl_->release();
}

void Connection::send(Record&& record) {
  Impl& impl = *impl_;
  if (impl.closed) return;
  Record taken = std::move(record);
  if (impl.queue.empty()) {
    const Result<void> sent = send_record(impl.socket.get(), taken, Wait::no);
    if (sent) return;
    if (sent.error().code != EAGAIN) return impl.end(impl_, sent.error());
    if (auto ok = impl.await_room(impl_); !ok) return impl.end(impl_, ok.error());
  }
  if (impl.queue.size() >= kMaxQueuedRecords ||
      impl.queued_bytes + taken.bytes.size() > kMaxQueuedBytes)
    return impl.end(impl_, {ENOBUFS, fmt::format("the peer does not read: {} records of {} bytes "
                                                 "wait to be sent",
                                                 impl.queue.size(), impl.queued_bytes)});
  impl.queued_bytes += taken.bytes.size();
  impl.queue.push_back(std::move(taken));
}

void Connection::done() {
  Impl& impl = *impl_;
  if (impl.closed || !impl.at_hand) return;
  drop_record(impl.socket.get());
  impl.at_hand = false;
  if (impl.readable) return;
  if (auto ok = impl.await_records(impl_); !ok) impl.end(impl_, ok.error());
}

void Connection::close(Error reason) { impl_->end(impl_, std::move(reason)); }

size_t Connection::queued() const { return impl_->queue.size(); }

}  // namespace uarena::ipc
