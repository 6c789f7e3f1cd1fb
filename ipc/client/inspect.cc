// The calls of inspect.h: each fills in its request, asks on the right channel, and checks of the
// answer what the codec can't know.
#include "ipc/client/inspect.h"

#include <sched.h>

#include "ipc/base/page.h"
#include "ipc/client/object_file.h"
#include "ipc/client/received_file.h"

namespace uarena::ipc {
namespace {

// More than any broker keeps; one that goes on sending has gone wrong.
constexpr size_t kMaxListed = size_t{1} << 20;

template <typename T, typename Body>
Result<Reply<T>> ask(Channel& channel, uint16_t type, const Body& body,
                     std::span<const std::byte> payload = {}) {
  auto reply = channel.ask<T>(type, body, payload);
  if (!reply) return std::unexpected(std::move(reply.error().error));
  return std::move(*reply);
}

// The same on the run channel.
template <typename T, typename Body>
Result<Reply<T>> ask_run(BrokerLink& link, uint16_t type, const Body& body,
                         std::span<const std::byte> payload = {}) {
  auto channel = link.run();
  if (!channel) return std::unexpected(std::move(channel.error()));
  return ask<T>(**channel, type, body, payload);
}

Result<uarena_arena_info> arena_of(Result<Reply<uarena_arena_reply>>&& reply) {
  if (!reply) return std::unexpected(std::move(reply.error()));
  return reply->body.info;
}

template <typename T>
Result<void> without_content(Result<Reply<T>>&& reply) {
  if (!reply) return std::unexpected(std::move(reply.error()));
  return {};
}

// All records of a list, asked for piece by piece.
template <typename T>
Result<std::vector<T>> list(BrokerLink& link, uint16_t type, uint64_t arena_id = 0) {
  std::vector<T> all;
  uarena_list request{};
  request.arena_id = arena_id;
  while (true) {
    auto reply = ask<uarena_list_reply>(link.control(), type, request);
    if (!reply) return std::unexpected(std::move(reply.error()));
    std::span<const std::byte> bytes(reply->payload);
    auto records = decode_records_untrusted<T>(bytes, reply->body.count, reply->body.record_size);
    if (!records) return std::unexpected(std::move(records.error()));
    for (const T& record : *records) {
      if (record.id <= request.after || all.size() == kMaxListed)
        return fail(EPROTO, "the broker's {} does not come to an end", message_name(type));
      request.after = record.id;
      all.push_back(record);
    }
    if (reply->body.more == 0) return all;
    if (records->empty())
      return fail(EPROTO, "the broker's {} promises more and sends nothing", message_name(type));
  }
}

}  // namespace

Result<Inspector> Inspector::connect(const std::string& socket_path, BrokerLink::Limit limit) {
  auto link = BrokerLink::connect(socket_path, limit);
  if (!link) return std::unexpected(std::move(link.error()));
  return Inspector(std::move(*link));
}

Result<uarena_arena_info> Inspector::create_arena(const std::string& name, const ArenaSpec& spec) {
  if (auto ok = check_name("the arena's name", name); !ok) return std::unexpected(ok.error());
  uarena_arena_create request{};
  request.map_type = spec.map_type;
  request.key_size = spec.key_size;
  request.value_size = spec.value_size;
  request.max_entries = spec.max_entries;
  request.map_flags = spec.map_flags;
  request.map_extra = spec.map_extra;
  const bool has_choice = (spec.map_flags & kBpfFSegvOnFault) == 0;
  const FaultWay faults =
      spec.faults.value_or(has_choice ? link_->preferences().faults : FaultWay{});
  request.fault = faults.fault;
  request.fault_around = faults.around;
  request.mode = spec.mode;
  return arena_of(
      ask<uarena_arena_reply>(link_->control(), UARENA_MSG_ARENA_CREATE, request, bytes_of(name)));
}

Result<uarena_arena_info> Inspector::arena(const std::string& name) {
  if (auto ok = check_name("the arena's name", name); !ok) return std::unexpected(ok.error());
  return arena_of(ask<uarena_arena_reply>(link_->control(), UARENA_MSG_ARENA_GET,
                                          uarena_arena_ref{}, bytes_of(name)));
}

// On the wire, id 0 means "by name".
Result<uarena_arena_info> Inspector::arena(uint64_t id) {
  if (id == 0) return fail(Why::not_found, ENOENT, "there is no arena with id 0");
  uarena_arena_ref request{};
  request.id = id;
  return arena_of(ask<uarena_arena_reply>(link_->control(), UARENA_MSG_ARENA_GET, request));
}

Result<std::vector<uarena_arena_info>> Inspector::arenas() {
  return list<uarena_arena_info>(*link_, UARENA_MSG_ARENA_LIST);
}

Result<void> Inspector::delete_arena(uint64_t id) {
  if (id == 0) return fail(Why::not_found, ENOENT, "there is no arena with id 0");
  uarena_arena_ref request{};
  request.id = id;
  return without_content(ask<uarena_empty>(link_->control(), UARENA_MSG_ARENA_DELETE, request));
}

Result<uarena_arena_stats_reply> Inspector::arena_stats(uint64_t id) {
  if (id == 0) return fail(Why::not_found, ENOENT, "there is no arena with id 0");
  uarena_arena_ref request{};
  request.id = id;
  auto reply = ask<uarena_arena_stats_reply>(link_->control(), UARENA_MSG_ARENA_STATS, request);
  if (!reply) return std::unexpected(std::move(reply.error()));
  return reply->body;
}

Result<Inspector::Trace> Inspector::trace(uint64_t arena_id, uint64_t from) {
  uarena_fault_trace request{};
  request.arena_id = arena_id;
  request.from = from;
  auto reply = ask_run<uarena_fault_trace_reply>(*link_, UARENA_MSG_FAULT_TRACE, request);
  if (!reply) return std::unexpected(std::move(reply.error()));
  std::span<const std::byte> bytes(reply->payload);
  auto faults = decode_records_untrusted<uarena_traced_fault>(bytes, reply->body.count,
                                                              reply->body.record_size);
  if (!faults) return std::unexpected(std::move(faults.error()));
  if (reply->body.next < from)
    return fail(EPROTO, "the broker's trace goes back from number {} to {}", from,
                reply->body.next);
  return Trace{std::move(*faults), reply->body.since_ns, reply->body.next, reply->body.lost};
}

Result<std::vector<uarena_page_extent>> Inspector::page_extents(uint64_t arena_id) {
  uarena_page_list request{};
  request.arena_id = arena_id;
  auto reply = ask_run<uarena_text_reply>(*link_, UARENA_MSG_PAGE_LIST, request);
  if (!reply) return std::unexpected(std::move(reply.error()));
  auto file = read_file_untrusted(reply->fds.front());
  if (!file) return std::unexpected(std::move(file.error()));
  if (reply->body.bytes > file->size() || reply->body.bytes % sizeof(uarena_page_extent) != 0)
    return fail(EPROTO, "the broker announced {} bytes of extents and sent {}", reply->body.bytes,
                file->size());
  auto bytes = std::span<const std::byte>(*file).first(reply->body.bytes);
  const auto count = static_cast<uint32_t>(bytes.size() / sizeof(uarena_page_extent));
  return decode_records_untrusted<uarena_page_extent>(bytes, count, sizeof(uarena_page_extent));
}

Result<std::vector<std::byte>> Inspector::page_read(uint64_t arena_id, uint64_t offset,
                                                    uint32_t length) {
  uarena_page_read request{};
  request.arena_id = arena_id;
  request.offset = offset;
  request.length = length;
  auto reply = ask_run<uarena_empty>(*link_, UARENA_MSG_PAGE_READ, request);
  if (!reply) return std::unexpected(std::move(reply.error()));
  if (reply->payload.size() != length)
    return fail(EPROTO, "the broker sent {} bytes instead of {}", reply->payload.size(), length);
  return std::move(reply->payload);
}

Result<uarena_page_op_reply> Inspector::page_op(uint16_t type, uint64_t arena_id, uint64_t addr,
                                                uint32_t page_cnt, int node_id, uint64_t flags) {
  uarena_page_op request{};
  request.arena_id = arena_id;
  request.addr = addr;
  request.page_cnt = page_cnt;
  request.node_id = node_id;
  request.flags = flags;
  auto reply = ask_run<uarena_page_op_reply>(*link_, type, request);
  if (!reply) return std::unexpected(std::move(reply.error()));
  return reply->body;
}

Result<LoadAnswer> Inspector::load(const std::string& path, const LoadSpec& spec,
                                   std::string* log) {
  if (log != nullptr) log->clear();
  const std::string name = spec.name.empty() ? object_name(path) : spec.name;
  if (auto ok = check_name("the object's name", name); !ok) return std::unexpected(ok.error());
  auto object = read_object_file(path);
  if (!object) return std::unexpected(std::move(object.error()));
  auto channel = link_->run();
  if (!channel) return std::unexpected(std::move(channel.error()));

  uarena_prog_load request{};
  request.arena_id = spec.arena_id;
  request.flags = spec.flags;
  request.log_level = spec.log_level;
  const int fds[] = {object->get()};
  auto reply =
      (*channel)->ask<uarena_prog_load_reply>(UARENA_MSG_PROG_LOAD, request, bytes_of(name), fds);
  // A log that can't be read takes nothing from the answer itself.
  const auto keep_log = [log](const Fd& file) {
    if (log == nullptr || !file) return;
    if (auto text = read_text_untrusted(file)) *log = std::move(*text);
  };
  if (!reply) {
    keep_log(reply.error().text);
    return std::unexpected(std::move(reply.error().error));
  }
  if (!reply->fds.empty()) keep_log(reply->fds.front());

  LoadAnswer answer;
  answer.arena_id = reply->body.arena_id;
  std::span<const std::byte> bytes(reply->payload);
  auto programs = decode_records_untrusted<uarena_prog_info>(bytes, reply->body.programs,
                                                             reply->body.program_record_size);
  if (!programs) return std::unexpected(std::move(programs.error()));
  auto maps = decode_records_untrusted<uarena_map_info>(bytes, reply->body.maps,
                                                        reply->body.map_record_size);
  if (!maps) return std::unexpected(std::move(maps.error()));
  answer.programs = std::move(*programs);
  answer.maps = std::move(*maps);
  return answer;
}

Result<std::vector<uarena_prog_info>> Inspector::programs() {
  return list<uarena_prog_info>(*link_, UARENA_MSG_PROG_LIST);
}

Result<RunAnswer> Inspector::run(uint64_t prog_id, std::span<const std::byte> ctx, uint32_t repeat,
                                 std::span<const std::byte> data) {
  if (data.size() > UARENA_MAX_DATA)
    return fail(EINVAL, "a packet of {} bytes is too large, allowed are 0..{}", data.size(),
                UARENA_MAX_DATA);
  if (ctx.size() > UARENA_MAX_CTX)
    return fail(EINVAL, "a context of {} bytes is too large, allowed are 0..{}", ctx.size(),
                UARENA_MAX_CTX);
  uarena_prog_run request{};
  request.prog_id = prog_id;
  request.repeat = repeat;
  request.ctx_size = static_cast<uint32_t>(ctx.size());
  request.data_size = static_cast<uint32_t>(data.size());
  request.cpu = static_cast<uint32_t>(::sched_getcpu() + 1);
  std::vector<std::byte> payload(ctx.begin(), ctx.end());
  payload.insert(payload.end(), data.begin(), data.end());
  auto reply = ask_run<uarena_prog_run_reply>(*link_, UARENA_MSG_PROG_RUN, request, payload);
  if (!reply) return std::unexpected(std::move(reply.error()));
  if (reply->body.ctx_size != ctx.size() || reply->body.data_size != data.size() ||
      reply->payload.size() != payload.size())
    return fail(EPROTO, "the broker returned a context of {} bytes for one of {}",
                reply->payload.size(), payload.size());
  const auto packet = reply->payload.begin() + static_cast<std::ptrdiff_t>(ctx.size());
  return RunAnswer{reply->body.r0,
                   reply->body.duration_ns,
                   reply->body.repeat,
                   {reply->payload.begin(), packet},
                   {packet, reply->payload.end()}};
}

Result<std::string> Inspector::dump(uint64_t prog_id, uarena_dump what) {
  auto found = printed(prog_id, what);
  if (!found) return std::unexpected(std::move(found.error()));
  return std::move(found->text);
}

Result<Inspector::Printed> Inspector::printed(uint64_t prog_id, uarena_dump what) {
  uarena_prog_ref request{};
  request.prog_id = prog_id;
  request.what = what;
  auto reply = ask_run<uarena_text_reply>(*link_, UARENA_MSG_PROG_DUMP, request);
  if (!reply) return std::unexpected(std::move(reply.error()));
  auto text = read_text_untrusted(reply->fds.front());
  if (!text) return std::unexpected(std::move(text.error()));
  return Printed{std::move(*text), reply->body.end, reply->body.dropped};
}

Result<void> Inspector::unload(uint64_t prog_id) {
  uarena_prog_ref request{};
  request.prog_id = prog_id;
  return without_content(ask_run<uarena_empty>(*link_, UARENA_MSG_PROG_UNLOAD, request));
}

Result<std::vector<uarena_client_info>> Inspector::clients(uint64_t arena_id) {
  return list<uarena_client_info>(*link_, UARENA_MSG_CLIENT_LIST, arena_id);
}

Result<uarena_arena_info> Inspector::set_access(uint64_t arena_id, std::optional<uint32_t> uid,
                                                std::optional<uint32_t> gid,
                                                std::optional<uint32_t> mode) {
  uarena_arena_access request{};
  request.arena_id = arena_id;
  request.which = (uid ? UARENA_ACCESS_UID : 0) | (gid ? UARENA_ACCESS_GID : 0) |
                  (mode ? UARENA_ACCESS_MODE : 0);
  request.uid = uid.value_or(0);
  request.gid = gid.value_or(0);
  request.mode = mode.value_or(0);
  return arena_of(ask<uarena_arena_reply>(link_->control(), UARENA_MSG_ARENA_ACCESS, request));
}

Result<std::vector<uarena_account_info>> Inspector::accounts() {
  return list<uarena_account_info>(*link_, UARENA_MSG_ACCOUNT_LIST);
}

Result<Inspector::ClientStats> Inspector::client_stats(uint64_t client_id) {
  ClientStats stats{};
  uarena_client_stats request{};
  request.client_id = client_id;
  while (true) {
    auto reply = ask<uarena_client_stats_reply>(link_->control(), UARENA_MSG_CLIENT_STATS, request);
    if (!reply) return std::unexpected(std::move(reply.error()));
    stats.faults = reply->body.faults;
    std::span<const std::byte> bytes(reply->payload);
    auto records = decode_records_untrusted<uarena_attachment_info>(bytes, reply->body.count,
                                                                    reply->body.record_size);
    if (!records) return std::unexpected(std::move(records.error()));
    for (const uarena_attachment_info& record : *records) {
      if (record.arena_id <= request.after || stats.attachments.size() == kMaxListed)
        return fail(EPROTO, "the broker's CLIENT_STATS does not come to an end");
      request.after = record.arena_id;
      stats.attachments.push_back(record);
    }
    if (reply->body.more == 0) return stats;
    if (records->empty())
      return fail(EPROTO, "the broker's CLIENT_STATS promises more and sends nothing");
  }
}

Result<uarena_status_reply> Inspector::status() {
  auto reply = ask<uarena_status_reply>(link_->control(), UARENA_MSG_STATUS, uarena_empty{});
  if (!reply) return std::unexpected(std::move(reply.error()));
  return reply->body;
}

}  // namespace uarena::ipc
