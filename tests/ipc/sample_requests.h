// One valid request per message type, for tests that then spoil it in every way.
#pragma once

#include <string>
#include <vector>

#include "ipc/codec.h"
#include "tests/ipc/ipc_testing.h"

namespace uarena::ipc::testing {

inline constexpr uint64_t kSampleSeq = 0x1122334455667788;

// The smallest valid values: the struct's fields are zero except where zero is not allowed.
inline Record sample_request(uint16_t type) {
  const std::vector<std::byte> name = [] {
    const auto text = bytes_of("heap-1.x_Y");
    return std::vector<std::byte>(text.begin(), text.end());
  }();
  const auto make = [type](auto body, std::span<const std::byte> payload = {}) {
    Record record = make_request(type, kSampleSeq, body, payload);
    for (unsigned i = 0; i < message_rule(type)->fds; ++i) record.fds.push_back(memory_file());
    return record;
  };
  switch (type) {
    case UARENA_MSG_HELLO:
      return make(uarena_hello{});
    case UARENA_MSG_ARENA_CREATE:
      return make(uarena_arena_create{}, name);
    case UARENA_MSG_ARENA_GET:
    case UARENA_MSG_ARENA_DELETE:
    case UARENA_MSG_ARENA_STATS:
      return make(uarena_arena_ref{}, name);
    case UARENA_MSG_ATTACH:
      return make(uarena_attach{});
    case UARENA_MSG_ATTACH_READY:
      return make(uarena_attach_ready{});
    case UARENA_MSG_DETACH:
      return make(uarena_detach{});
    case UARENA_MSG_RUN_CHANNEL:
    case UARENA_MSG_STATUS:
      return make(uarena_empty{});
    case UARENA_MSG_PROG_LOAD:
      return make(uarena_prog_load{}, name);
    case UARENA_MSG_PROG_RUN: {
      uarena_prog_run run{};
      run.ctx_size = 3;
      return make(run, std::vector<std::byte>(3, std::byte{9}));
    }
    case UARENA_MSG_PROG_DUMP:
    case UARENA_MSG_PROG_UNLOAD:
      return make(uarena_prog_ref{});
    case UARENA_MSG_PAGE_ALLOC:
    case UARENA_MSG_PAGE_FREE:
    case UARENA_MSG_PAGE_RESERVE:
    case UARENA_MSG_PREFAULT:
      return make(uarena_page_op{});
    case UARENA_MSG_PAGE_LIST:
      return make(uarena_page_list{});
    case UARENA_MSG_PAGE_READ: {
      uarena_page_read read{};
      read.length = 1;
      return make(read);
    }
    case UARENA_MSG_ARENA_ACCESS:
      return make(uarena_arena_access{});
    case UARENA_MSG_CLIENT_STATS:
      return make(uarena_client_stats{});
    case UARENA_MSG_FAULT_TRACE:
      return make(uarena_fault_trace{});
    default:
      return make(uarena_list{});
  }
}

// Changes the fixed struct's size: bytes are inserted before, or taken from the end of it, and
// msg.size says so.
inline void resize_struct(Record& record, uint32_t size, std::byte fill = std::byte{0}) {
  uarena_msg header;
  std::memcpy(&header, record.bytes.data(), sizeof header);
  const auto end = record.bytes.begin() + header.size;
  if (size > header.size)
    record.bytes.insert(end, size - header.size, fill);
  else
    record.bytes.erase(record.bytes.begin() + size, end);
  header.size = size;
  if (record.bytes.size() >= sizeof header)
    std::memcpy(record.bytes.data(), &header, sizeof header);
}

template <typename T>
void poke(Record& record, size_t offset, T value) {
  std::memcpy(record.bytes.data() + offset, &value, sizeof value);
}

}  // namespace uarena::ipc::testing
