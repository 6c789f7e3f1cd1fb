// The one point at which bytes of a peer become values. A request passes here once: size rules,
// version, type, number of descriptors, payload, fields and names (abi.h); whoever holds a Request
// need not look at any of these again. The client treats answers in the same way, since it need not
// trust whoever sits behind the socket.
//
// Everything here is a pure function of its arguments, for any thread. Descriptors of what is
// refused are closed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "ipc/abi.h"
#include "ipc/abi_accounts.h"
#include "ipc/abi_faults.h"
#include "ipc/message_table.h"
#include "ipc/request_fields.h"
#include "ipc/scm_rights.h"

namespace uarena::ipc {

struct Request {
  uint64_t seq = 0;
  uint16_t type = 0;  // has a row in the message table
  RequestBody body;   // the struct of `type`
  std::vector<std::byte> payload;
  RecordFds fds;  // as many as the table says

  // The payload as a name; checked where the table says that it is one.
  std::string_view name() const {
    return {reinterpret_cast<const char*>(payload.data()), payload.size()};
  }
};

// A request that can't be taken. Without seq not even the header could be read: there is nothing
// that an answer could refer to.
struct BadRequest {
  std::optional<uint64_t> seq;
  Error error;
};

// EPROTONOSUPPORT: version. EOPNOTSUPP: no such request. E2BIG: bytes that we do not know, not
// zero. EINVAL: everything else.
std::expected<Request, BadRequest> decode_request_untrusted(Record&& record);

// --- Encoding. Sizes above UARENA_MAX_RECORD and types without a row are bugs of the caller.

namespace detail {
Record encode(uint16_t type, uint64_t seq, std::span<std::byte> fixed,
              std::span<const std::byte> payload);
void expect_reply_size(uint16_t type, size_t size);
}  // namespace detail

// `body.msg` is filled in here. Descriptors are added to the record by the caller.
template <typename T>
Record make_request(uint16_t type, uint64_t seq, T body, std::span<const std::byte> payload = {}) {
  return detail::encode(type, seq, std::as_writable_bytes(std::span(&body, 1)), payload);
}

// `type` is the request's; T is the struct that answers it.
template <typename T>
Record make_reply(uint16_t type, uint64_t seq, T body, std::span<const std::byte> payload = {}) {
  detail::expect_reply_size(type, sizeof(T));
  return detail::encode(type | UARENA_REPLY, seq, std::as_writable_bytes(std::span(&body, 1)),
                        payload);
}

// The error's sentence is cut at 4096 bytes.
Record make_error(uint64_t seq, const Error& error);

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
template <typename T>
std::span<const std::byte> bytes_of(const std::vector<T>& records) {
  static_assert(std::is_trivially_copyable_v<T>);
  return std::as_bytes(std::span(records));
}

// Copies `text` into a NUL-terminated field of a struct, cut if need be.
template <size_t N>
void set_text(char (&field)[N], std::string_view text) {
  const size_t length = text.size() < N - 1 ? text.size() : N - 1;
  std::memset(field, 0, N);
  std::memcpy(field, text.data(), length);
}
// The other way; what is not terminated ends with the field.
template <size_t N>
std::string_view get_text(const char (&field)[N]) {
  return {field, ::strnlen(field, N)};
}

// --- Answers, on the client's side.

template <typename T>
struct Reply {
  T body{};
  std::vector<std::byte> payload;
  RecordFds fds;
};

// A request that failed. `answered`: the broker said so, and the connection goes on; `text` is then
// the descriptor that may come with it. Otherwise what came was no answer to this request.
struct Refusal {
  Error error;
  bool answered = false;
  Fd text;
};

// The shortest accepted size of each answer and record; defined for those of abi.h.
template <typename T>
inline constexpr uint32_t kSizeV1 = 0;
template <>
inline constexpr uint32_t kSizeV1<uarena_empty> = UARENA_EMPTY_SIZE_V1;
template <>
inline constexpr uint32_t kSizeV1<uarena_hello_reply> = UARENA_HELLO_REPLY_SIZE_V1;
template <>
inline constexpr uint32_t kSizeV1<uarena_arena_reply> = UARENA_ARENA_REPLY_SIZE_V1;
template <>
inline constexpr uint32_t kSizeV1<uarena_list_reply> = UARENA_LIST_REPLY_SIZE_V1;
template <>
inline constexpr uint32_t kSizeV1<uarena_prog_load_reply> = UARENA_PROG_LOAD_REPLY_SIZE_V1;
template <>
inline constexpr uint32_t kSizeV1<uarena_prog_run_reply> = UARENA_PROG_RUN_REPLY_SIZE_V1;
template <>
inline constexpr uint32_t kSizeV1<uarena_text_reply> = UARENA_TEXT_REPLY_SIZE_V1;
template <>
inline constexpr uint32_t kSizeV1<uarena_page_op_reply> = UARENA_PAGE_OP_REPLY_SIZE_V1;
template <>
inline constexpr uint32_t kSizeV1<uarena_status_reply> = UARENA_STATUS_REPLY_SIZE_V1;
template <>
inline constexpr uint32_t kSizeV1<uarena_arena_info> = UARENA_ARENA_INFO_SIZE_V1;
template <>
inline constexpr uint32_t kSizeV1<uarena_prog_info> = UARENA_PROG_INFO_SIZE_V1;
template <>
inline constexpr uint32_t kSizeV1<uarena_map_info> = UARENA_MAP_INFO_SIZE_V1;
template <>
inline constexpr uint32_t kSizeV1<uarena_client_info> = UARENA_CLIENT_INFO_SIZE_V1;
template <>
inline constexpr uint32_t kSizeV1<uarena_account_info> = UARENA_ACCOUNT_INFO_SIZE_V1;
template <>
inline constexpr uint32_t kSizeV1<uarena_page_extent> = UARENA_PAGE_EXTENT_SIZE_V1;
template <>
inline constexpr uint32_t kSizeV1<uarena_arena_stats_reply> = UARENA_ARENA_STATS_REPLY_SIZE_V1;
template <>
inline constexpr uint32_t kSizeV1<uarena_client_stats_reply> = UARENA_CLIENT_STATS_REPLY_SIZE_V1;
template <>
inline constexpr uint32_t kSizeV1<uarena_attachment_info> = UARENA_ATTACHMENT_INFO_SIZE_V1;
template <>
inline constexpr uint32_t kSizeV1<uarena_fault_trace_reply> = UARENA_FAULT_TRACE_REPLY_SIZE_V1;
template <>
inline constexpr uint32_t kSizeV1<uarena_traced_fault> = UARENA_TRACED_FAULT_SIZE_V1;

namespace detail {
std::expected<void, Refusal> decode_reply(Record& record, uint16_t type, uint64_t seq,
                                          uint32_t size_v1, std::span<std::byte> body,
                                          std::vector<std::byte>& payload);
Result<void> decode_records(std::span<const std::byte>& bytes, uint32_t count, uint32_t record_size,
                            uint32_t size_v1, std::byte* out, uint32_t size);
}  // namespace detail

// The answer to the request `type` with `seq`, or why there is none. EPROTO: not an answer to it.
template <typename T>
std::expected<Reply<T>, Refusal> decode_reply_untrusted(Record&& record, uint16_t type,
                                                        uint64_t seq) {
  static_assert(kSizeV1<T> >= sizeof(uarena_msg));
  detail::expect_reply_size(type, sizeof(T));
  Record taken = std::move(record);  // so that the descriptors of a refused record are closed here
  Reply<T> reply;
  if (auto ok =
          detail::decode_reply(taken, type, seq, kSizeV1<T>,
                               std::as_writable_bytes(std::span(&reply.body, 1)), reply.payload);
      !ok)
    return std::unexpected(std::move(ok.error()));
  reply.fds = std::move(taken.fds);
  return reply;
}

// `count` records of `record_size` bytes from the front of `bytes`, which is advanced. Records of a
// larger struct are taken when the bytes that we do not know are zero (else E2BIG).
template <typename T>
Result<std::vector<T>> decode_records_untrusted(std::span<const std::byte>& bytes, uint32_t count,
                                                uint32_t record_size) {
  static_assert(kSizeV1<T> != 0 && std::is_trivially_copyable_v<T>);
  if (record_size < kSizeV1<T> || bytes.size() / record_size < count)
    return fail(EPROTO, "{} records of {} bytes were announced in {} bytes", count, record_size,
                bytes.size());
  std::vector<T> out(count);
  if (auto ok = detail::decode_records(bytes, count, record_size, kSizeV1<T>,
                                       reinterpret_cast<std::byte*>(out.data()), sizeof(T));
      !ok)
    return std::unexpected(std::move(ok.error()));
  return out;
}

}  // namespace uarena::ipc
