// What clients say to the broker: conversations that make sense, then spoiled.
#pragma once

#include "tests/fuzz/handshake/script.h"

namespace uarena::fuzz {

inline constexpr unsigned kClients = 3;
inline constexpr uint32_t kPages = 4;  // of every arena

// Of Step::what: a record is sent, the client leaves, an arena is mapped as a client does.
enum What : uint8_t { kAsk, kLeave, kMap, kWhats };

Bytes make_conversation(Random& random);

}  // namespace uarena::fuzz
