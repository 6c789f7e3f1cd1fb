#include "broker/run_requests.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>

#include "broker/death_point.h"
#include "broker/sealed_file.h"
#include "broker/wire_records.h"
#include "ipc/base/log.h"
#include "ipc/base/memory_map.h"

namespace uarena::broker {
namespace {

using ipc::Record;
using ipc::Request;

static_assert(jit::kMaxObjectBytes == UARENA_MAX_OBJECT);

// The object's bytes, copied: a client may change or truncate its file while we look at it. Only
// memory is read: any other file could let us wait, for a disk or for a person's FUSE server, and
// even fstat(2) could. (F_GET_SEALS asks nobody: memfds and files of a tmpfs have seals.)
Result<std::vector<std::byte>> read_object_untrusted(int fd) {
  if (::fcntl(fd, F_GET_SEALS) < 0)
    return fail(EINVAL, "the object's descriptor is no memfd: copy the file into one");
  struct stat info{};
  if (::fstat(fd, &info) != 0) return fail_errno(errno, "cannot look at the object");
  if (info.st_size <= 0 || static_cast<uint64_t>(info.st_size) > jit::kMaxObjectBytes)
    return fail(Why::rejected, EFBIG, "the object has {} bytes, allowed are 1..{}", info.st_size,
                jit::kMaxObjectBytes);
  std::vector<std::byte> bytes(static_cast<size_t>(info.st_size));
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n =
        ::pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "cannot read the object");
    if (n == 0) return fail(EINVAL, "the object became shorter while it was read");
    done += static_cast<size_t>(n);
  }
  return bytes;
}

// From here on a successor must not carry it out.
void begin(RunChannel& channel, const Request& request, uint64_t program = 0) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  channel.in_hand->begun_ns =
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
  channel.in_hand->program = program;
  channel.in_hand->begun = request.seq + 1;
  UARENA_DEATH_POINT("request.begun");
}

jit::TraceLog::Content dumped(const Program& program, uint32_t what) {
  switch (what) {
    case UARENA_DUMP_JITED:
      return {.text = program.executable->dump_jited(), .dropped = 0, .end = 0};
    case UARENA_DUMP_XLATED:
      return {.text = program.executable->dump_xlated(), .dropped = 0, .end = 0};
    case UARENA_DUMP_STDOUT:
      return program.out.content();
    case UARENA_DUMP_STDERR:
      return stderr_of(program);
    default:
      return program.log.content();
  }
}

Result<Record> with_file(Record record, const char* name, std::span<const std::byte> content) {
  auto file = make_sealed_file(name, content);
  if (!file) return std::unexpected(file.error());
  record.fds.push_back(std::move(*file));
  return record;
}

}  // namespace

Result<void> may_remove(uint32_t uid, uint32_t owner, const char* what) {
  if (uid == owner || uid == 0 || uid == ::geteuid()) return {};
  return fail(Why::permission, EPERM,
              "the {} belongs to uid {}: only that uid or root may remove it", what, owner);
}

void log_created(uint64_t client_id, const Arena& arena) {
  log(LogLevel::info, "arena.created",
      {{"client", client_id},
       {"id", arena.id()},
       {"name", arena.name()},
       {"user_vm_start", fmt::format("{:#x}", arena.user_vm_start())},
       {"max_entries", arena.attr().max_entries},
       {"map_flags", fmt::format("{:#x}", arena.attr().map_flags)}});
}

bool RunRequests::serve(RunChannel& channel, Result<Record> record) {
  const int socket = channel.socket.get();
  if (!record) {
    if (record.error().code == EAGAIN) return true;
    if (record.error().code != ipc::kEndOfFile)
      log(LogLevel::warning, "run.bad_record",
          {{"client", channel.client->client_id},
           {"errno", record.error().code},
           {"error", record.error().message}});
    return false;
  }
  auto reply = reply_to(channel, std::move(*record));
  if (!reply) return false;
  // A client that doesn't take its answers has a full socket: it loses the channel, nobody waits.
  UARENA_DEATH_POINT("request.done");
  const bool sent = ipc::send_record(socket, *reply, ipc::Wait::no).has_value();
  UARENA_DEATH_POINT("request.answered");
  ipc::drop_record(socket);
  UARENA_DEATH_POINT("request.dropped");
  channel.in_hand->begun = 0;
  return sent;
}

// None: nothing can be answered.
std::optional<Record> RunRequests::reply_to(RunChannel& channel, Record&& record) {
  auto request = ipc::decode_request_untrusted(std::move(record));
  if (!request) {
    if (!request.error().seq) return std::nullopt;
    return ipc::make_error(*request.error().seq, request.error().error);
  }
  if (channel.in_hand->begun == request->seq + 1)
    return ipc::make_error(
        request->seq,
        {EOWNERDEAD, fmt::format("the broker died while it carried out {}: outcome unknown",
                                 ipc::message_name(request->type))});
  Fd text;
  auto answered = answer(channel, *request, &text);
  if (answered) return std::move(*answered);
  Record reply = ipc::make_error(request->seq, answered.error());
  if (text) reply.fds.push_back(std::move(text));
  return reply;
}

Result<Record> RunRequests::answer(RunChannel& channel, Request& request, Fd* text) {
  switch (request.type) {
    case UARENA_MSG_PROG_LOAD:
      return load(channel, request, text);
    case UARENA_MSG_PROG_RUN:
      return run(channel, request);
    case UARENA_MSG_PROG_DUMP:
      return dump(channel, request);
    case UARENA_MSG_PROG_UNLOAD:
      return unload(channel, request);
    case UARENA_MSG_PAGE_ALLOC:
    case UARENA_MSG_PAGE_FREE:
    case UARENA_MSG_PAGE_RESERVE:
    case UARENA_MSG_PREFAULT:
      return page_op(channel, request);
    case UARENA_MSG_PAGE_LIST:
      return page_list(channel, request);
    case UARENA_MSG_PAGE_READ:
      return page_read(channel, request);
    case UARENA_MSG_FAULT_TRACE:
      return fault_trace(channel, request);
    default:
      return fail(EPROTO, "{} belongs on the control connection", ipc::message_name(request.type));
  }
}

Result<std::shared_ptr<Arena>> RunRequests::arena(const RunChannel& channel, uint64_t id,
                                                  Right right) const {
  auto found = arenas_.find(id);
  if (!found) return fail(Why::not_found, ENOENT, "there is no arena with id {}", id);
  if (auto allowed = check_access(found->access(), channel.client->who, right, found->name());
      !allowed)
    return std::unexpected(allowed.error());
  return found;
}

Result<Record> RunRequests::load(RunChannel& channel, Request& request, Fd* log_file) {
  RunClient& client = *channel.client;
  if (client.load_refusal) return std::unexpected(*client.load_refusal);
  const auto& body = std::get<uarena_prog_load>(request.body);
  Account& account = accounts_.of(client.who.uid);
  if (auto allowed = account.may_run(); !allowed) return std::unexpected(allowed.error());
  const CpuCharge cpu(account);
  auto bytes = read_object_untrusted(request.fds.at(0).get());
  if (!bytes) return std::unexpected(bytes.error());
  LoadRequest load;
  load.object_name = std::string(request.name());
  load.who = client.who;
  load.arena_id = body.arena_id;
  load.log_level = static_cast<int>(body.log_level);
  load.mode = (body.flags & UARENA_LOAD_INTERPRET) != 0 ? jit::Mode::interpret : jit::Mode::compile;
  load.cancelled = &client.gone;
  load.before_commit = [&] { begin(channel, request); };
  auto loaded = programs_.load(*bytes, load, account);
  if (!loaded) {
    log(LogLevel::info, "prog.rejected",
        {{"client", client.client_id},
         {"object", load.object_name},
         {"errno", loaded.error().error.code},
         {"error", loaded.error().error.message}});
    if (!loaded.error().log.empty()) {
      // Without the log the sentence still says what is wrong, so a failure here is not the answer.
      if (auto file =
              make_sealed_file("uarena.log", ipc::bytes_of(std::string_view(loaded.error().log))))
        *log_file = std::move(*file);
    }
    return std::unexpected(loaded.error().error);
  }
  if (loaded->arena_created) log_created(client.client_id, *loaded->object->arena);
  std::vector<uarena_prog_info> programs;
  for (const auto& program : loaded->programs) {
    programs.push_back(to_wire(*program));
    log(LogLevel::info, "prog.loaded",
        {{"client", client.client_id},
         {"id", program->id},
         {"name", program->name},
         {"object", load.object_name}});
  }
  client.programs.fetch_add(static_cast<uint32_t>(programs.size()));
  std::vector<uarena_map_info> maps;
  for (const MapInfo& map : loaded->object->maps) maps.push_back(to_wire(map));

  uarena_prog_load_reply reply{};
  reply.arena_id = loaded->object->arena ? loaded->object->arena->id() : 0;
  reply.programs = static_cast<uint32_t>(programs.size());
  reply.maps = static_cast<uint32_t>(maps.size());
  reply.program_record_size = sizeof(uarena_prog_info);
  reply.map_record_size = sizeof(uarena_map_info);
  const auto program_bytes = ipc::bytes_of(programs);
  const auto map_bytes = ipc::bytes_of(maps);
  std::vector<std::byte> payload(program_bytes.begin(), program_bytes.end());
  payload.insert(payload.end(), map_bytes.begin(), map_bytes.end());
  Record record = ipc::make_reply(request.type, request.seq, reply, payload);
  if (loaded->log.empty()) return record;
  return with_file(std::move(record), "uarena.log", ipc::bytes_of(std::string_view(loaded->log)));
}

Result<Record> RunRequests::run(RunChannel& channel, Request& request) {
  const auto& body = std::get<uarena_prog_run>(request.body);
  const auto program = programs_.find(body.prog_id);
  if (!program) return fail(Why::not_found, ENOENT, "there is no program with id {}", body.prog_id);
  const Who& who = channel.client->who;
  if (const auto& arena = program->object->arena)
    if (auto allowed = check_access(arena->access(), who, Right::run, arena->name()); !allowed)
      return std::unexpected(allowed.error());
  Account& account = accounts_.of(who.uid);
  if (auto allowed = account.may_run(); !allowed) return std::unexpected(allowed.error());
  const CpuCharge cpu(account);
  channel.cpu = static_cast<int>(body.cpu) - 1;
  begin(channel, request, program->id);
  const auto payload = std::span(request.payload);
  auto result =
      run_program(*program, payload.first(body.ctx_size), body.repeat, channel.client->gone,
                  kRunLimitNs, &channel.client->caller, payload.subspan(body.ctx_size));
  UARENA_DEATH_POINT("run.ended");
  channel.in_hand->program = 0;  // it has ended; whether its caller hears of it is another matter
  if (!result) return std::unexpected(result.error());
  uarena_prog_run_reply reply{};
  reply.r0 = result->r0;
  reply.duration_ns = result->duration_ns;
  reply.repeat = result->repeat;
  reply.ctx_size = body.ctx_size;
  reply.data_size = body.data_size;
  return ipc::make_reply(request.type, request.seq, reply, request.payload);
}

// Machine code has the broker's addresses in it, and what blinding has made of constants.
Result<Record> RunRequests::dump(const RunChannel& channel, Request& request) {
  const auto& body = std::get<uarena_prog_ref>(request.body);
  const auto program = programs_.find(body.prog_id);
  if (!program) return fail(Why::not_found, ENOENT, "there is no program with id {}", body.prog_id);
  if (body.what == UARENA_DUMP_JITED && program->executable->code_bytes() == 0)
    return fail(EOPNOTSUPP, "program {} runs in the interpreter: it has no machine code",
                program->name);
  const uint32_t uid = channel.client->who.uid;
  if (body.what == UARENA_DUMP_JITED && uid != 0 && uid != ::geteuid())
    return fail(Why::permission, EPERM,
                "uid {} may not see machine code, which has the broker's addresses in it: allowed "
                "are root and uid {}",
                uid, ::geteuid());
  const auto [text, dropped, end] = dumped(*program, body.what);
  uarena_text_reply reply{};
  reply.bytes = text.size();
  reply.end = end;
  reply.dropped = dropped;
  return with_file(ipc::make_reply(request.type, request.seq, reply), "uarena.dump",
                   ipc::bytes_of(std::string_view(text)));
}

Result<Record> RunRequests::unload(RunChannel& channel, Request& request) {
  RunClient& client = *channel.client;
  const auto& body = std::get<uarena_prog_ref>(request.body);
  const auto program = programs_.find(body.prog_id);
  if (!program) return fail(Why::not_found, ENOENT, "there is no program with id {}", body.prog_id);
  if (auto allowed = may_remove(client.who.uid, program->owner_uid, "program"); !allowed)
    return std::unexpected(allowed.error());
  begin(channel, request);
  if (!programs_.unload(body.prog_id))
    return fail(Why::not_found, ENOENT, "there is no program with id {}", body.prog_id);
  log(LogLevel::info, "prog.unloaded", {{"client", client.client_id}, {"id", body.prog_id}});
  return ipc::make_reply(request.type, request.seq, uarena_empty{});
}

Result<Record> RunRequests::page_op(RunChannel& channel, Request& request) {
  const auto& body = std::get<uarena_page_op>(request.body);
  auto found = arena(channel, body.arena_id, Right::write);
  if (!found) return std::unexpected(found.error());
  uarena_page_op_reply reply{};
  if (request.type != UARENA_MSG_PREFAULT) begin(channel, request);
  switch (request.type) {
    case UARENA_MSG_PAGE_ALLOC: {
      std::optional<Error> refused;
      reply.addr = (*found)->alloc_pages(body.addr, body.page_cnt, body.node_id, body.flags,
                                         Origin::client, &refused);
      if (refused) return std::unexpected(std::move(*refused));
      break;
    }
    case UARENA_MSG_PAGE_FREE:
      (*found)->free_pages(body.addr, body.page_cnt);
      break;
    case UARENA_MSG_PAGE_RESERVE:
      reply.result = (*found)->reserve_pages(body.addr, body.page_cnt);
      break;
    default: {
      auto made = (*found)->prefault(body.addr, uint64_t{body.page_cnt} * kPageSize);
      if (!made) return std::unexpected(made.error());
      reply.result = *made;
    }
  }
  return ipc::make_reply(request.type, request.seq, reply);
}

Result<Record> RunRequests::page_list(const RunChannel& channel, Request& request) {
  auto found = arena(channel, std::get<uarena_page_list>(request.body).arena_id, Right::read);
  if (!found) return std::unexpected(found.error());
  std::vector<uarena_page_extent> records;
  for (const PageExtent& extent : (*found)->extents())
    records.push_back(
        {extent.pages.first, extent.pages.count, static_cast<uint32_t>(extent.origin), 0});
  uarena_text_reply reply{};
  reply.bytes = records.size() * sizeof(uarena_page_extent);
  return with_file(ipc::make_reply(request.type, request.seq, reply), "uarena.pages",
                   ipc::bytes_of(records));
}

Result<Record> RunRequests::page_read(const RunChannel& channel, Request& request) {
  const auto& body = std::get<uarena_page_read>(request.body);
  auto found = arena(channel, body.arena_id, Right::read);
  if (!found) return std::unexpected(found.error());
  auto bytes = (*found)->read(body.offset, body.length);
  if (!bytes) return std::unexpected(bytes.error());
  return ipc::make_reply(request.type, request.seq, uarena_empty{}, *bytes);
}

Result<Record> RunRequests::fault_trace(const RunChannel& channel, Request& request) {
  const auto& body = std::get<uarena_fault_trace>(request.body);
  auto found = arena(channel, body.arena_id, Right::read);
  if (!found) return std::unexpected(found.error());
  constexpr size_t kFit =
      (UARENA_MAX_RECORD - sizeof(uarena_fault_trace_reply)) / sizeof(uarena_traced_fault);
  const size_t most = body.most == 0 ? kFit : std::min<size_t>(body.most, kFit);
  const uffd::FaultTrace& trace = *(*found)->faults().trace;
  const uffd::FaultTrace::Part part = trace.read(body.from, most);
  std::vector<uarena_traced_fault> records;
  records.reserve(part.faults.size());
  for (const uffd::TracedFault& fault : part.faults) records.push_back(to_wire(fault));
  uarena_fault_trace_reply reply{};
  reply.since_ns = trace.since_ns();
  reply.next = part.next;
  reply.lost = part.lost;
  reply.count = static_cast<uint32_t>(records.size());
  reply.record_size = sizeof(uarena_traced_fault);
  return ipc::make_reply(request.type, request.seq, reply, ipc::bytes_of(records));
}

}  // namespace uarena::broker
