// One connected client: the connection that carries records, the session that answers them, and the
// timer for what the handshake waits for.
#pragma once

#include <functional>
#include <memory>

#include "broker/session.h"
#include "ipc/connection.h"
#include "ipc/event_loop.h"

namespace uarena::broker {

class Client final : public ipc::Connection::Handler {
 public:
  // `ended` is called once, from the loop, with the reason, and may destroy this.
  static Result<std::unique_ptr<Client>> open(ipc::EventLoop& loop, Fd socket,
                                              std::unique_ptr<Session> session,
                                              std::function<void(Error)> ended);

  Session& session() { return *session_; }
  const Session& session() const { return *session_; }

 private:
  Client(ipc::EventLoop& loop, std::unique_ptr<Session> session, std::function<void(Error)> ended)
      : loop_(loop), session_(std::move(session)), ended_(std::move(ended)) {}
  void on_record(ipc::Record&& record) override;
  void on_close(const Error& reason) override;
  void watch_deadline();

  ipc::EventLoop& loop_;
  std::unique_ptr<Session> session_;
  std::function<void(Error)> ended_;
  std::unique_ptr<ipc::Connection> connection_;
  std::optional<Session::Time> deadline_;
  ipc::EventLoop::Timer timer_;
};

}  // namespace uarena::broker
