// Decoding reads from the outside in: header, size and unknown bytes, then what the table says
// about the type, then the fields, then the payload.
#include "ipc/codec.h"

#include <algorithm>

namespace uarena::ipc {
namespace {

constexpr size_t kMaxSentence = 4096;

bool all_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

// The rule by which structs grow (abi.h), for a fixed struct of `size` bytes at the front of
// `bytes`.
Result<void> check_size(std::span<const std::byte> bytes, uint32_t size, uint32_t size_v1,
                        uint32_t known) {
  if (size > bytes.size())
    return fail(EINVAL, "the struct has {} bytes, but the record only {}", size, bytes.size());
  if (size < size_v1)
    return fail(EINVAL, "the struct has {} bytes, it has at least {}", size, size_v1);
  if (size > known && !all_zero(bytes.subspan(known, size - known)))
    return fail(E2BIG, "the struct has {} bytes, of which those after {} are unknown and not zero",
                size, known);
  return {};
}

Result<void> check_payload(const MessageRule& rule, const Request& request) {
  const size_t size = request.payload.size();
  size_t wanted = 0;
  switch (rule.payload) {
    case PayloadRule::name:
      return check_name("the name", request.name());
    case PayloadRule::name_unless_id:
      if (std::get<uarena_arena_ref>(request.body).id == 0)
        return check_name("the name", request.name());
      break;
    case PayloadRule::context: {
      const auto& run = std::get<uarena_prog_run>(request.body);
      wanted = size_t{run.ctx_size} + run.data_size;
    } break;
    case PayloadRule::none:
      break;
  }
  if (size != wanted) return fail(EINVAL, "the payload has {} bytes, not {}", size, wanted);
  return {};
}

// Everything after the header; the sentences do not name the message yet.
Result<void> decode_body(const MessageRule& rule, const uarena_msg& header, Record& record,
                         Request& request) {
  const std::span<const std::byte> bytes(record.bytes);
  if (auto ok = check_size(bytes, header.size, rule.size_v1, rule.size); !ok) return ok;
  if (record.fds.size() != rule.fds && !(rule.fds_optional && record.fds.empty()))
    return fail(EINVAL, "{} descriptors came with it, not {}", record.fds.size(), rule.fds);
  auto body = parse_request_fields_untrusted(header.type, bytes.first(header.size));
  if (!body) return std::unexpected(std::move(body.error()));
  request.body = *body;
  request.payload.assign(bytes.begin() + header.size, bytes.end());
  return check_payload(rule, request);
}

Refusal not_an_answer(std::string message) {
  return Refusal{Error{EPROTO, "the broker's answer makes no sense: " + std::move(message)}, false,
                 Fd()};
}

// UARENA_MSG_ERROR. `why` values that we do not know count as general.
Refusal decode_error(Record& record, const uarena_msg& header) {
  const std::span<const std::byte> bytes(record.bytes);
  if (auto ok = check_size(bytes, header.size, UARENA_ERROR_SIZE_V1, sizeof(uarena_error)); !ok)
    return not_an_answer(ok.error().message);
  uarena_error body{};
  std::memcpy(&body, bytes.data(), sizeof body);
  constexpr uint32_t kMaxErrno = 4095;
  if (body.error == 0 || body.error > kMaxErrno || record.fds.size() > 1)
    return not_an_answer(
        fmt::format("an error {} with {} descriptors", body.error, record.fds.size()));
  const auto sentence =
      bytes.subspan(header.size).first(std::min(bytes.size() - header.size, kMaxSentence));
  Refusal refusal{
      Error{static_cast<int>(body.error),
            std::string(reinterpret_cast<const char*>(sentence.data()), sentence.size()),
            body.why <= UARENA_WHY_QUOTA ? static_cast<Why>(body.why) : Why::general},
      true, Fd()};
  if (!record.fds.empty()) refusal.text = std::move(record.fds.front());
  return refusal;
}

}  // namespace

std::expected<Request, BadRequest> decode_request_untrusted(Record&& record) {
  // The descriptors live in `taken`, so that those of a refused record are closed here.
  Record taken = std::move(record);
  uarena_msg header{};
  if (taken.bytes.size() < sizeof header)
    return std::unexpected(BadRequest{
        std::nullopt,
        Error{EINVAL, fmt::format("a record of {} bytes is shorter than the header of {}",
                                  taken.bytes.size(), sizeof header)}});
  std::memcpy(&header, taken.bytes.data(), sizeof header);
  const auto refuse = [&](Error error) {
    return std::unexpected(BadRequest{header.seq, std::move(error)});
  };

  if (header.version != UARENA_ABI_VERSION)
    return refuse({EPROTONOSUPPORT,
                   fmt::format("the message has version {}, this broker speaks {}", header.version,
                               UARENA_ABI_VERSION),
                   Why::version});
  const MessageRule* rule = message_rule(header.type);
  if (rule == nullptr)
    return refuse({EOPNOTSUPP, fmt::format("there is no request of type {:#x}", header.type)});

  Request request;
  request.seq = header.seq;
  request.type = header.type;
  if (auto ok = decode_body(*rule, header, taken, request); !ok) {
    ok.error().message = fmt::format("{}: {}", rule->name, ok.error().message);
    return refuse(std::move(ok.error()));
  }
  request.fds = std::move(taken.fds);
  return request;
}

Record make_error(uint64_t seq, const Error& error) {
  uarena_error body{};
  body.error = static_cast<uint32_t>(error.code);
  body.why = static_cast<uint32_t>(error.why);
  return detail::encode(UARENA_MSG_ERROR, seq, std::as_writable_bytes(std::span(&body, 1)),
                        bytes_of(std::string_view(error.message).substr(0, kMaxSentence)));
}

namespace detail {

Record encode(uint16_t type, uint64_t seq, std::span<std::byte> fixed,
              std::span<const std::byte> payload) {
  UARENA_ASSERT(fixed.size() + payload.size() <= UARENA_MAX_RECORD, "type {:#x}: {} + {} bytes",
                type, fixed.size(), payload.size());
  const uarena_msg header{static_cast<uint32_t>(fixed.size()), type, UARENA_ABI_VERSION, seq};
  std::memcpy(fixed.data(), &header, sizeof header);
  Record record;
  record.bytes.reserve(fixed.size() + payload.size());
  record.bytes.assign(fixed.begin(), fixed.end());
  record.bytes.insert(record.bytes.end(), payload.begin(), payload.end());
  return record;
}

void expect_reply_size(uint16_t type, size_t size) {
  const MessageRule* rule = message_rule(type);
  UARENA_ASSERT(rule != nullptr && rule->reply_size == size, "type {} is not answered by {} bytes",
                type, size);
}

std::expected<void, Refusal> decode_reply(Record& record, uint16_t type, uint64_t seq,
                                          uint32_t size_v1, std::span<std::byte> body,
                                          std::vector<std::byte>& payload) {
  const MessageRule& rule = *message_rule(type);
  const std::span<const std::byte> bytes(record.bytes);
  const auto refuse = [&](std::string message) {
    return std::unexpected(not_an_answer(fmt::format("{}: {}", rule.name, message)));
  };

  uarena_msg header{};
  if (bytes.size() < sizeof header) return refuse(fmt::format("{} bytes", bytes.size()));
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.version != UARENA_ABI_VERSION)
    return std::unexpected(
        Refusal{Error{EPROTONOSUPPORT,
                      fmt::format("the broker's answer has version {}, this library speaks {}",
                                  header.version, UARENA_ABI_VERSION),
                      Why::version},
                false, Fd()});
  // Number 0: the broker ends the connection and says why.
  const bool farewell = header.type == UARENA_MSG_ERROR && header.seq == 0;
  if (header.seq != seq && !farewell)
    return refuse(fmt::format("number {} instead of {}", header.seq, seq));
  if (header.type == UARENA_MSG_ERROR) return std::unexpected(decode_error(record, header));
  if (header.type != (type | UARENA_REPLY)) return refuse(fmt::format("type {:#x}", header.type));
  if (auto ok = check_size(bytes, header.size, size_v1, static_cast<uint32_t>(body.size())); !ok)
    return refuse(ok.error().message);
  if (record.fds.size() < rule.reply_fds_min || record.fds.size() > rule.reply_fds_max)
    return refuse(fmt::format("{} descriptors", record.fds.size()));
  if (bytes.size() > header.size && !rule.reply_payload)
    return refuse(fmt::format("a payload of {} bytes", bytes.size() - header.size));

  std::memcpy(body.data(), bytes.data(), std::min<size_t>(body.size(), header.size));
  payload.assign(bytes.begin() + header.size, bytes.end());
  return {};
}

Result<void> decode_records(std::span<const std::byte>& bytes, uint32_t count, uint32_t record_size,
                            uint32_t size_v1, std::byte* out, uint32_t size) {
  for (uint32_t i = 0; i < count; ++i) {
    const auto record = bytes.first(record_size);
    if (auto ok = check_size(record, record_size, size_v1, size); !ok) return ok;
    std::memcpy(out + size_t{i} * size, record.data(), std::min(record_size, size));
    bytes = bytes.subspan(record_size);
  }
  return {};
}

}  // namespace detail
}  // namespace uarena::ipc
