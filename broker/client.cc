#include "broker/client.h"

namespace uarena::broker {

Result<std::unique_ptr<Client>> Client::open(ipc::EventLoop& loop, Fd socket,
                                             std::unique_ptr<Session> session,
                                             std::function<void(Error)> ended) {
  std::unique_ptr<Client> client(new Client(loop, std::move(session), std::move(ended)));
  auto connection = ipc::Connection::open(loop, std::move(socket), *client);
  if (!connection) return std::unexpected(connection.error());
  client->connection_ = std::move(*connection);
  client->session_->answers_go_to([self = client.get()](ipc::Record&& record) {
    self->connection_->send(std::move(record));
    self->connection_->done();
    self->watch_deadline();
  });
  client->watch_deadline();
  return client;
}

void Client::on_record(ipc::Record&& record) {
  if (!session_->answer(std::move(record), ipc::EventLoop::Clock::now()))
    return connection_->close({EPROTO, "the client sent what is no message"});
  watch_deadline();
}

void Client::on_close(const Error& reason) { ended_(reason); }

// One timer for the earliest thing that the handshake waits for; set anew when that changes.
void Client::watch_deadline() {
  const auto deadline = session_->deadline();
  if (deadline == deadline_) return;
  deadline_ = deadline;
  timer_.reset();
  if (!deadline) return;
  timer_ = loop_.call_at(*deadline, [this] { connection_->close(session_->overdue()); });
}

}  // namespace uarena::broker
