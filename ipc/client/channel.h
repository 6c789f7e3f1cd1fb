// A request goes out, its answer comes back: one socket to the broker, shared by the process's
// threads one request at a time. What can go wrong with the socket becomes a sentence here, once.
//
// A request may wait for as long as the broker takes; so what takes long has a channel of its own.
#pragma once

#include <sys/types.h>

#include <expected>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include "ipc/base/fd.h"
#include "ipc/base/result.h"
#include "ipc/codec.h"

namespace uarena::ipc {

class Channel {
 public:
  // A connected SOCK_SEQPACKET socket. It belongs to this process: after fork, the child's requests
  // fail with ECHILD, so that two processes can't take each other's answers.
  explicit Channel(Fd socket);

  // T is the answer's struct. `answered` in the refusal tells the broker's errors from those of
  // the socket: ECONNRESET or EPIPE, Why::unreachable, when the connection is lost, then and for
  // every request after it; ECHILD after fork. A PROG_RUN that was under way then says that its
  // outcome is unknown. `fds` stay the caller's.
  template <typename T, typename Body>
  std::expected<Reply<T>, Refusal> ask(uint16_t type, const Body& body,
                                       std::span<const std::byte> payload = {},
                                       std::span<const int> fds = {}) {
    if (auto ok = check_process(); !ok)
      return std::unexpected(Refusal{std::move(ok.error()), false, Fd()});
    const std::lock_guard lock(mutex_);
    const uint64_t seq = ++seq_;
    auto answer = exchange(type, seq, make_request(type, seq, body, payload), fds);
    if (!answer) return std::unexpected(Refusal{std::move(answer.error()), false, Fd()});
    auto reply = decode_reply_untrusted<T>(std::move(*answer), type, seq);
    // Whoever answers something else may do so for ever: nothing on this socket can be believed.
    if (!reply && !reply.error().answered) broken_ = reply.error().error;
    return reply;
  }

  // ECHILD in a process that was forked off.
  Result<void> check_process() const;
  // Whether the broker has closed its end, or something made the channel useless. Thread-safe.
  bool is_lost();

  int socket() const { return socket_.get(); }

 private:
  Result<Record> exchange(uint16_t type, uint64_t seq, const Record& request,
                          std::span<const int> fds);
  Result<Record> receive_answer(uint64_t seq);
  std::optional<Record> farewell();
  std::unexpected<Error> lost(int code, std::string what);

  const Fd socket_;
  const pid_t process_;
  std::mutex mutex_;
  uint64_t seq_ = 0;
  std::optional<Error> broken_;
};

}  // namespace uarena::ipc
