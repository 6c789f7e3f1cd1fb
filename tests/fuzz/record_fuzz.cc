// Every byte of a peer becomes a value in the record codec, in the broker and in the client alike.
// A size that is believed reads beyond the record; a field that is lost or taken from the wrong
// place is what somebody else then acts on; a descriptor that is forgotten is open for ever.
//
// Samples are a request, an answer or a list of records of any type with any values, then damaged:
// sizes, type, version, fields, payload, number of descriptors. Checked: what is accepted is,
// encoded again, byte for byte what came (what an older peer leaves out is zero), with as many
// descriptors as the message may have; what is refused has an errno and a sentence, its own number,
// and its descriptors are closed. Reading outside is found by the sanitizers: a record has its
// exact size.
#include <fcntl.h>
#include <sys/mman.h>

#include "ipc/codec.h"
#include "tests/fuzz/damage.h"
#include "tests/fuzz/driver.h"
#include "tests/fuzz/record/structs.h"

namespace uarena::fuzz {
namespace {

using namespace ipc;

enum class Kind : uint8_t { request, reply, records };

// Before the bytes of an input. For an answer: to which request; for records: how many there are.
struct Head {
  Kind kind = Kind::request;
  uint8_t fds = 0;
  uint16_t type = 0;
  uint32_t count = 0;
  uint32_t record_size = 0;
  uint32_t unused = 0;
  uint64_t seq = 0;
};
static_assert(sizeof(Head) == 24);

// --- samples ---

uint16_t some_type(Random& random) {
  return static_cast<uint16_t>(1 + random.below(UARENA_MSG_TYPES - 1));
}

// Words from `from` on: mostly zero or small, as fields that must be zero are; now and then
// anything.
void fill(Random& random, std::span<std::byte> bytes, size_t from) {
  for (size_t at = from; at + 4 <= bytes.size(); at += 4) {
    const uint64_t any = random.one_in(3) ? extreme(random) : random.below(3);
    const auto word = static_cast<uint32_t>(random.one_in(3) ? any : 0);
    std::memcpy(bytes.data() + at, &word, sizeof word);
  }
}

void put_header(Bytes& bytes, const uarena_msg& header) {
  std::memcpy(bytes.data(), &header, sizeof header);
}

// The fixed struct of some size that it may have: as we know it, shorter, longer with zeros.
Bytes fixed_struct(Random& random, uint32_t known, uint16_t type, uint64_t seq) {
  Bytes bytes(known);
  fill(random, bytes, sizeof(uarena_msg));
  if (random.one_in(4)) bytes.resize(sizeof(uarena_msg) + random.below(known * 2));
  put_header(bytes, {static_cast<uint32_t>(bytes.size()), type, UARENA_ABI_VERSION, seq});
  return bytes;
}

Bytes some_payload(Random& random, PayloadRule rule, const Bytes& fixed) {
  uarena_prog_run run{};
  if (rule == PayloadRule::context)
    std::memcpy(&run, fixed.data(), std::min(fixed.size(), sizeof run));
  uarena_arena_ref ref{};
  std::memcpy(&ref, fixed.data(), std::min(fixed.size(), sizeof ref));
  const uint64_t context = uint64_t{run.ctx_size} + run.data_size;
  if (rule == PayloadRule::context && context < UARENA_MAX_RECORD) return Bytes(context);
  const bool named =
      rule == PayloadRule::name || (rule == PayloadRule::name_unless_id && ref.id == 0);
  if (!named && !random.one_in(8)) return {};
  Bytes name = bytes_of_text("heap-1.x_Y");
  name.resize(1 + random.below(66), std::byte{'z'});
  return name;
}

Bytes some_request(Random& random, Head& head) {
  const MessageRule& rule = *message_rule(head.type);
  Bytes bytes = fixed_struct(random, rule.size, head.type, head.seq);
  const Bytes payload = some_payload(random, rule.payload, bytes);
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  head.fds = static_cast<uint8_t>(random.one_in(8) ? random.below(UARENA_MAX_FDS + 1) : rule.fds);
  return bytes;
}

Bytes some_reply(Random& random, Head& head) {
  const MessageRule& rule = *message_rule(head.type);
  const bool error = random.one_in(4);
  const auto type = static_cast<uint16_t>(error ? 0U + UARENA_MSG_ERROR : head.type | UARENA_REPLY);
  const uint32_t known = error ? sizeof(uarena_error) : rule.reply_size;
  Bytes bytes = fixed_struct(random, known, type, random.one_in(16) ? 0 : head.seq);
  if (error || rule.reply_payload) bytes.resize(bytes.size() + random.below(6000), std::byte{'e'});
  const uint64_t spread = rule.reply_fds_max - rule.reply_fds_min + uint64_t{1};
  head.fds = static_cast<uint8_t>(rule.reply_fds_min + random.below(spread));
  if (random.one_in(8)) head.fds = static_cast<uint8_t>(random.below(UARENA_MAX_FDS + 1));
  return bytes;
}

Bytes some_records(Random& random, Head& head) {
  const auto known =
      with_listed(head.type, []<typename T>() { return static_cast<uint32_t>(sizeof(T)); });
  head.count = static_cast<uint32_t>(random.below(9));
  head.record_size = random.one_in(3) ? static_cast<uint32_t>(random.below(known * 2)) : known;
  Bytes bytes(size_t{head.count} * head.record_size + random.below(20));
  for (size_t n = 0; n < head.count; ++n)
    fill(random, std::span(bytes).subspan(n * head.record_size, std::min(known, head.record_size)),
         0);
  if (random.one_in(8)) head.count = static_cast<uint32_t>(extreme(random));
  if (random.one_in(8)) head.record_size = static_cast<uint32_t>(extreme(random));
  return bytes;
}

// --- checks ---

// The struct as it is understood: what came, the rest zero. The size is not part of it.
bool understood(const auto& body, std::span<const std::byte> bytes, uint32_t size) {
  std::remove_cvref_t<decltype(body)> wanted{};
  std::memcpy(&wanted, bytes.data(), std::min<size_t>(size, sizeof wanted));
  return std::memcmp(&wanted, &body, sizeof wanted) == 0;
}

std::string wrong_request(const Request& request, const Bytes& bytes, const uarena_msg& header) {
  const MessageRule* rule = message_rule(request.type);
  if (rule == nullptr || request.type != header.type || request.seq != header.seq)
    return "a request of another type or number";
  if (request.fds.size() != rule->fds && !(rule->fds_optional && request.fds.empty()))
    return "a request with descriptors that it can't have";
  const bool same = std::visit(
      [&](const auto& body) { return understood(body, bytes, header.size); }, request.body);
  if (!same) return "fields that are not those that came";
  if (!std::equal(request.payload.begin(), request.payload.end(), bytes.begin() + header.size,
                  bytes.end()))
    return "a payload that is not the one that came";
  Record record = std::visit(
      [&](auto body) { return make_request(request.type, request.seq, body, request.payload); },
      request.body);
  for (size_t n = 0; n < request.fds.size(); ++n)
    record.fds.emplace_back(::memfd_create("fuzz", MFD_CLOEXEC));
  const Bytes first = record.bytes;
  const auto again = decode_request_untrusted(std::move(record));
  if (!again) return "encoded again it is refused: " + again.error().error.message;
  const Record second = std::visit(
      [&](auto body) { return make_request(again->type, again->seq, body, again->payload); },
      again->body);
  return second.bytes == first ? "" : "encoded again it is another request";
}

class RecordTarget final : public Target {
 public:
  std::vector<std::byte> make(Random& random) override {
    Head head;
    head.kind = static_cast<Kind>(random.below(3));
    head.type = some_type(random);
    head.seq = 1 + random.below(1000);
    Bytes bytes = head.kind == Kind::request ? some_request(random, head)
                  : head.kind == Kind::reply ? some_reply(random, head)
                                             : some_records(random, head);
    for (uint64_t n = random.below(3); n > 0; --n) {
      if (random.one_in(2) || bytes.size() < sizeof(uarena_msg)) {
        damage(random, bytes);
        continue;
      }
      const auto word = static_cast<uint16_t>(extreme(random));  // in the header
      std::memcpy(bytes.data() + random.below(sizeof(uarena_msg) / 2) * 2, &word, sizeof word);
    }
    const auto front = std::as_bytes(std::span(&head, 1));
    bytes.insert(bytes.begin(), front.begin(), front.end());
    return bytes;
  }

  std::string run(std::span<const std::byte> input, Progress& progress) override {
    Head head;
    if (input.size() < sizeof head) return {};
    std::memcpy(&head, input.data(), sizeof head);
    const Bytes bytes(input.begin() + sizeof head, input.end());
    if (head.kind == Kind::records) return records(head, bytes, progress);
    if (bytes.empty() || bytes.size() > UARENA_MAX_RECORD) return {};  // no socket delivers it
    Record record;
    record.bytes = bytes;
    std::vector<int> numbers;
    for (unsigned n = 0; n < std::min<unsigned>(head.fds, UARENA_MAX_FDS); ++n)
      numbers.push_back(record.fds.emplace_back(::memfd_create("fuzz", MFD_CLOEXEC)).get());
    std::string wrong;
    if (head.kind == Kind::request)
      wrong = request(std::move(record), bytes, progress);
    else if (message_rule(head.type) != nullptr)
      wrong = with_answer(head.type, [&]<typename T>() {
        return reply<T>(std::move(record), head, bytes, progress);
      });
    for (const int number : numbers)
      if (::fcntl(number, F_GETFD) >= 0) wrong += " (a descriptor stays open)";
    return wrong;
  }

 private:
  static std::string request(Record&& record, const Bytes& bytes, Progress& progress) {
    uarena_msg header{};
    std::memcpy(&header, bytes.data(), std::min(bytes.size(), sizeof header));
    const auto decoded = decode_request_untrusted(std::move(record));
    if (!decoded) {
      const auto seq = decoded.error().seq;
      if (seq.has_value() != (bytes.size() >= sizeof header) || (seq && *seq != header.seq))
        return "a refusal of another number";
      return wrong_refusal(decoded.error().error, "the broker");
    }
    progress.accepted(0);
    return wrong_request(*decoded, bytes, header);
  }

  template <typename T>
  static std::string reply(Record&& record, const Head& head, const Bytes& bytes,
                           Progress& progress) {
    uarena_msg header{};
    std::memcpy(&header, bytes.data(), std::min(bytes.size(), sizeof header));
    const auto decoded = decode_reply_untrusted<T>(std::move(record), head.type, head.seq);
    if (!decoded) {
      const Refusal& refusal = decoded.error();
      if (!refusal.answered) return wrong_refusal(refusal.error, "the client");
      // The broker's own words.
      progress.accepted(0);
      const auto said = text_of(bytes).substr(header.size).substr(0, 4096);
      return refusal.error.message == said && refusal.error.code > 0 ? "" : "another error";
    }
    progress.accepted(0);
    const MessageRule& rule = *message_rule(head.type);
    if (header.seq != head.seq) return "an answer to another request";
    if (decoded->fds.size() < rule.reply_fds_min || decoded->fds.size() > rule.reply_fds_max)
      return "an answer with descriptors that it can't have";
    if (!understood(decoded->body, bytes, header.size))
      return "fields that are not those that came";
    return std::equal(decoded->payload.begin(), decoded->payload.end(), bytes.begin() + header.size,
                      bytes.end())
               ? ""
               : "a payload that is not the one that came";
  }

  static std::string records(const Head& head, const Bytes& bytes, Progress& progress) {
    return with_listed(head.type, [&]<typename T>() -> std::string {
      std::span<const std::byte> rest(bytes);
      const auto decoded = decode_records_untrusted<T>(rest, head.count, head.record_size);
      if (!decoded) return wrong_refusal(decoded.error(), "the list");
      progress.accepted(0);
      if (decoded->size() != head.count) return "a list of another length";
      const size_t used = size_t{head.count} * head.record_size;
      if (rest.size() != bytes.size() - used) return "a list that ends somewhere else";
      for (size_t n = 0; n < head.count; ++n)
        if (!understood((*decoded)[n], std::span(bytes).subspan(n * head.record_size),
                        head.record_size))
          return "a record that is not the one that came";
      return {};
    });
  }
};

}  // namespace
}  // namespace uarena::fuzz

int main(int argc, char** argv) {
  uarena::fuzz::RecordTarget target;
  return uarena::fuzz::fuzz_main(argc, argv, "record", target);
}
