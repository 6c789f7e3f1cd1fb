// See channel.h. Which errors end the channel: those after which nobody knows what the next record
// will be. A record that could not be sent, or that lost its descriptors, is one failed request.
#include "ipc/client/channel.h"

#include <poll.h>
#include <unistd.h>

#include <cstring>

#include "ipc/client/process_id.h"

namespace uarena::ipc {
namespace {

bool says_gone(int code) {
  return code == EPIPE || code == ECONNRESET || code == ENOTCONN || code == kEndOfFile;
}

}  // namespace

Channel::Channel(Fd socket) : socket_(std::move(socket)), process_(process_id()) {}

Result<void> Channel::check_process() const {
  if (process_id() != process_)
    return fail(ECHILD,
                "this connection belongs to process {}, from which this one was forked: connect "
                "anew, or uarena_close it here",
                process_);
  return {};
}

bool Channel::is_lost() {
  pollfd wait{socket_.get(), 0, 0};
  if (::poll(&wait, 1, 0) > 0 && (wait.revents & (POLLHUP | POLLERR)) != 0) return true;
  const std::lock_guard lock(mutex_);
  return broken_.has_value();
}

std::unexpected<Error> Channel::lost(int code, std::string what) {
  broken_ = Error{code, "the connection to the broker is lost", Why::unreachable};
  return std::unexpected(Error{code, std::move(what), Why::unreachable});
}

// A broker that died between answering a request and taking it out of the socket has a successor
// that answers it again. Such answers are older than the one that is waited for.
Result<Record> Channel::receive_answer(uint64_t seq) {
  constexpr int kMostOld = 16;  // one for each death in between
  for (int old = 0;; ++old) {
    Result<Record> answer = receive_record(socket_.get());
    uarena_msg header{};
    if (!answer || answer->bytes.size() < sizeof header || old == kMostOld) return answer;
    std::memcpy(&header, answer->bytes.data(), sizeof header);
    if (header.seq == 0 || header.seq >= seq) return answer;
  }
}

// A broker that lets nobody in says why before it closes the connection: an error with no request's
// number. It may be there although the connection's end was noticed first.
std::optional<Record> Channel::farewell() {
  Result<Record> last = receive_record(socket_.get(), Wait::no);
  if (!last) last = receive_record(socket_.get(), Wait::no);  // the first one told of the end
  uarena_msg header{};
  if (!last || last->bytes.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, last->bytes.data(), sizeof header);
  if (header.type != UARENA_MSG_ERROR || header.seq != 0) return std::nullopt;
  return std::move(*last);
}

Result<Record> Channel::exchange(uint16_t type, uint64_t seq, const Record& request,
                                 std::span<const int> fds) {
  if (broken_) return std::unexpected(*broken_);
  if (auto sent = send_record(socket_.get(), request.bytes, fds); !sent) {
    if (sent.error().code == EAGAIN) return lost(ETIMEDOUT, "the broker does not take requests");
    if (!says_gone(sent.error().code)) return std::unexpected(std::move(sent.error()));
    if (auto last = farewell()) return std::move(*last);
    return lost(EPIPE, fmt::format("the broker is gone: {} could not be sent", message_name(type)));
  }

  Result<Record> answer = receive_answer(seq);
  if (answer) return answer;
  const int code = answer.error().code;
  // The record is through, only its content is not.
  if (code == EPROTO || code == EMSGSIZE) return answer;
  if (code == EAGAIN) return lost(ETIMEDOUT, "the broker does not answer");
  if (says_gone(code))
    if (auto last = farewell()) return std::move(*last);
  return lost(says_gone(code) ? ECONNRESET : code,
              type == UARENA_MSG_PROG_RUN
                  ? "the connection to the broker was lost while the program ran: outcome unknown"
                  : fmt::format("the connection to the broker was lost before it answered {}",
                                message_name(type)));
}

}  // namespace uarena::ipc
