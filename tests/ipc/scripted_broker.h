// A peer for the client library's tests: listens in a directory of its own, decodes requests as the
// broker does, and answers each type as the test says. Unless a test changes it, HELLO and
// RUN_CHANNEL are answered as a broker would, everything else by ENOSYS.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "ipc/codec.h"
#include "tests/ipc/ipc_testing.h"

namespace uarena::ipc::testing {

class ScriptedBroker {
 public:
  // No record: the connection is closed instead of an answer.
  using Answer = std::function<std::optional<Record>(Request& request)>;

  ScriptedBroker();
  ~ScriptedBroker();

  const std::string& path() const { return path_; }
  void on(uint16_t type, Answer answer);
  // The requests that came, by type, in order.
  std::vector<uint16_t> log() const;
  // Ends all connections and accepts no more.
  void die();

 private:
  void accept_loop();
  void serve(int socket);
  std::optional<Record> answer(Record&& record);
  // Starts a thread that serves this socket.
  void adopt(Fd socket);

  std::string directory_;
  std::string path_;
  Fd listener_;
  mutable std::mutex mutex_;
  std::map<uint16_t, Answer> answers_;
  std::vector<uint16_t> log_;
  std::list<Fd> sockets_;
  std::vector<std::thread> threads_;
  bool dead_ = false;
  std::thread acceptor_;
};

// An Answer that sends this struct and payload.
template <typename T>
ScriptedBroker::Answer reply_with(T body, std::vector<std::byte> payload = {}) {
  return [body, payload](Request& request) {
    return make_reply(request.type, request.seq, body, payload);
  };
}
inline ScriptedBroker::Answer refuse_with(Error error) {
  return [error](Request& request) { return make_error(request.seq, error); };
}

// Answers for one arena of `pages` pages at `start`, whose memory file is `memory`: ARENA_GET,
// ATTACH, ATTACH_READY and DETACH.
void offer_arena(ScriptedBroker& broker, uint64_t id, uint64_t start, uint32_t pages,
                 uint32_t map_flags, int memory);

}  // namespace uarena::ipc::testing
