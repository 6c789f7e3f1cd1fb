// What the wire format says about each message type, as one table: name, socket, sizes, descriptors
// and payload of the request, and the shape of its answer. Decoding, encoding, the handshake and
// log lines all read this, so a new message is one row here, one struct in abi.h and one check of
// its fields.
#pragma once

#include <cstdint>
#include <string_view>

namespace uarena::ipc {

// The two kinds of socket (abi.h).
enum class Place : uint8_t { control, run };

enum class PayloadRule : uint8_t {
  none,
  name,            // 1..63 bytes of [A-Za-z0-9_.-]
  name_unless_id,  // a name with id 0, nothing with another id
  context,         // ctx_size bytes, then data_size bytes
};

struct MessageRule {
  std::string_view name;  // as in abi.h, without UARENA_MSG_
  Place place = Place::control;
  uint32_t size_v1 = 0;  // shortest request that is accepted
  uint32_t size = 0;     // of the request's struct as we know it
  unsigned fds = 0;      // exactly so many descriptors come with the request
  PayloadRule payload = PayloadRule::none;
  uint32_t reply_size = 0;  // of the answer's struct as we know it
  unsigned reply_fds_min = 0;
  unsigned reply_fds_max = 0;
  bool reply_payload = false;
  bool fds_optional = false;  // the request's: all of them, or none
};

// The row of a request type (without UARENA_REPLY), or nullptr: there is no such request.
const MessageRule* message_rule(uint16_t type);

// For log lines and sentences; "unknown" for what is not in the table.
std::string_view message_name(uint16_t type);

}  // namespace uarena::ipc
