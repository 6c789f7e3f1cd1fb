// A client's way to the broker: finds the socket, connects, says hello, and opens the run channel
// when it is first needed, so that long runs never hold up quick requests.
//
// Threads: any.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "ipc/client/channel.h"
#include "ipc/client/preferences.h"

namespace uarena::ipc {

class BrokerLink {
 public:
  // How long one answer may take; after it the channel is lost (ETIMEDOUT, Why::unreachable).
  // Without one, being greeted may take 10 s, and what is asked later as long as it takes.
  using Limit = std::optional<std::chrono::milliseconds>;

  // `path` empty: see default_socket_path. ENOENT, ECONNREFUSED: nobody is there; ETIMEDOUT: nobody
  // answers (all Why::unreachable). EACCES: not for us (Why::permission). EPROTONOSUPPORT:
  // versions. EINVAL: $UARENA_OPTIONS has a word that is none (Why::usage).
  static Result<std::unique_ptr<BrokerLink>> connect(const std::string& path, Limit limit = {});
  // Says hello on a socket that is connected already; `path` is for sentences.
  static Result<std::unique_ptr<BrokerLink>> greet(Fd socket, const std::string& path,
                                                   Limit limit = {});

  Channel& control() { return control_; }
  Result<Channel*> run();

  const uarena_hello_reply& broker() const { return broker_; }
  const Preferences& preferences() const { return preferences_; }

 private:
  BrokerLink(Fd socket, Limit limit) : limit_(limit), control_(std::move(socket)) {}

  const Limit limit_;
  Channel control_;
  uarena_hello_reply broker_{};
  Preferences preferences_;
  std::mutex run_mutex_;
  std::unique_ptr<Channel> run_;
};

// $UARENA_SOCKET if set; else the first that exists of $XDG_RUNTIME_DIR/uarena/uarena.sock and
// /run/uarena/uarena.sock; else the latter.
std::string default_socket_path();

}  // namespace uarena::ipc
