// What may be said when. One Handshake belongs to one socket and follows what has been agreed on
// it:
//
//   fresh --HELLO--> greeted;   then, for each arena:
//   none --ATTACH--> attaching --ATTACH_READY--> arming --> armed --DETACH--> none   (DETACH also
//   from attaching; arming is the owner's work and may fail: then attaching again)
//
// It does no I/O and has no clock: the owner asks `admit` before it carries a request out, tells
// what became of it, and asks for the time by which the peer must have gone on.
//
// A request that fails changes no state. So an arena whose ATTACH_READY was refused is still
// attaching, and the client ends that with DETACH (or runs into the deadline).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>

#include "ipc/base/result.h"
#include "ipc/codec.h"
#include "ipc/message_table.h"

namespace uarena::ipc {

class Handshake {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kHelloLimit{5};
  static constexpr std::chrono::seconds kReadyLimit{10};

  // A control connection that was accepted at `now`.
  explicit Handshake(Time now) : hello_by_(now + kHelloLimit) {}
  // A run channel: made for a client that has been greeted on its control connection.
  static Handshake run_channel();

  // Whether this request is legal now; EPROTO (EALREADY for a second ATTACH) with a sentence if
  // not.
  Result<void> admit(const Request& request) const;

  // What became of a request that had been admitted.
  void greeted();
  void attaching(uint64_t arena_id, Time now);
  void arming(uint64_t arena_id);
  void armed(uint64_t arena_id);
  void detached(uint64_t arena_id);

  // When the peer must have sent what is due; none while nothing is.
  std::optional<Time> deadline() const;
  // The sentence for a peer that missed the deadline.
  Error overdue() const;

  bool is_greeted() const { return greeted_; }

 private:
  Handshake() = default;
  Result<void> admit_arena(uint16_t type, uint64_t arena_id) const;

  Place place_ = Place::control;
  bool greeted_ = false;
  Time hello_by_;
  enum class Stage { attaching, arming, armed };
  struct Arena {
    Stage stage;
    std::optional<Time> ready_by;  // while attaching
  };
  std::map<uint64_t, Arena> arenas_;
};

// The version to speak with a client that speaks [min, max]. EPROTONOSUPPORT if there is none.
Result<uint32_t> negotiate_abi(uint32_t min, uint32_t max);

}  // namespace uarena::ipc
