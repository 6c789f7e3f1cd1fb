// Answers to the list requests: as many records as fit into one record of the socket, and a mark
// when there are more.
#pragma once

#include <algorithm>
#include <vector>

#include "ipc/codec.h"

namespace uarena::broker {

template <typename T>
ipc::Record make_list_reply(const ipc::Request& request, const std::vector<T>& records) {
  const size_t fit = (UARENA_MAX_RECORD - sizeof(uarena_list_reply)) / sizeof(T);
  const size_t count = std::min(fit, records.size());
  uarena_list_reply reply{};
  reply.count = static_cast<uint32_t>(count);
  reply.record_size = sizeof(T);
  reply.more = count < records.size();
  return ipc::make_reply(request.type, request.seq, reply,
                         std::as_bytes(std::span(records.data(), count)));
}

}  // namespace uarena::broker
