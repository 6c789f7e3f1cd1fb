#include "broker/notify_message.h"

#include "broker/named_fd.h"

namespace uarena::broker {
namespace {

void apply(std::string_view key, std::string_view value, NotifyMessage& message, bool& put,
           bool& remove, std::string& usec) {
  const bool on = value == "1";
  if (key == "READY") message.ready |= on;
  if (key == "STOPPING") message.stopping |= on;
  if (key == "WATCHDOG") message.watchdog |= on;
  if (key == "RELOADING" && on) message.reloading.emplace();
  if (key == "MONOTONIC_USEC") usec = value;
  if (key == "STATUS") message.status = value;
  if (key == "FDSTORE") put |= on;
  if (key == "FDSTOREREMOVE") remove |= on;
  if (key == "FDNAME") message.name = value;
}

}  // namespace

Result<NotifyMessage> parse_notify_untrusted(std::string_view datagram) {
  if (datagram.size() > kMaxNotifyBytes)
    return fail(EMSGSIZE, "a notification has at most {} bytes", kMaxNotifyBytes);
  if (datagram.ends_with('\0')) datagram.remove_suffix(1);
  if (datagram.contains('\0')) return fail(EINVAL, "a notification has a zero byte inside");
  NotifyMessage message;
  bool put = false, remove = false;
  std::string usec;
  while (!datagram.empty()) {
    const std::string_view line = datagram.substr(0, datagram.find('\n'));
    datagram.remove_prefix(std::min(line.size() + 1, datagram.size()));
    const size_t equals = line.find('=');
    if (equals == line.npos) continue;
    apply(line.substr(0, equals), line.substr(equals + 1), message, put, remove, usec);
  }
  if (message.reloading && usec.find_first_not_of("0123456789") == usec.npos)
    message.reloading = usec;
  if (put) message.store = NotifyMessage::Store::put;
  if (remove) message.store = NotifyMessage::Store::remove;
  if (message.store != NotifyMessage::Store::none && !is_fd_name(message.name))
    return fail(EINVAL, "a stored descriptor has no proper name");
  return message;
}

}  // namespace uarena::broker
