// One thread accepts, and one serves each socket; die() and the destructor end them all by shutting
// their sockets down.
#include "tests/ipc/scripted_broker.h"

#include <sys/un.h>

#include <filesystem>

#include "ipc/base/page.h"

namespace uarena::ipc::testing {

ScriptedBroker::ScriptedBroker() {
  char name[] = "/tmp/uarena-broker-XXXXXX";
  directory_ = ::mkdtemp(name);
  path_ = directory_ + "/sock";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path_.copy(address.sun_path, sizeof address.sun_path - 1);
  listener_ = Fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0 ||
      ::listen(listener_.get(), 10) < 0)
    std::abort();

  uarena_hello_reply hello{};
  hello.abi = UARENA_ABI_VERSION;
  hello.page_size = kPageSize;
  hello.client_id = 7;
  on(UARENA_MSG_HELLO, reply_with(hello));
  on(UARENA_MSG_RUN_CHANNEL, [this](Request& request) {
    auto [ours, theirs] = socket_pair();
    adopt(std::move(ours));
    Record record = make_reply(request.type, request.seq, uarena_empty{});
    record.fds.push_back(std::move(theirs));
    return record;
  });
  acceptor_ = std::thread([this] { accept_loop(); });
}

ScriptedBroker::~ScriptedBroker() {
  die();
  acceptor_.join();
  for (std::thread& thread : threads_) thread.join();
  std::filesystem::remove_all(directory_);
}

void ScriptedBroker::on(uint16_t type, Answer answer) {
  const std::lock_guard lock(mutex_);
  answers_[type] = std::move(answer);
}

std::vector<uint16_t> ScriptedBroker::log() const {
  const std::lock_guard lock(mutex_);
  return log_;
}

void ScriptedBroker::die() {
  const std::lock_guard lock(mutex_);
  dead_ = true;
  ::shutdown(listener_.get(), SHUT_RDWR);
  for (const Fd& socket : sockets_) ::shutdown(socket.get(), SHUT_RDWR);
}

void ScriptedBroker::accept_loop() {
  while (true) {
    Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket) return;
    adopt(std::move(socket));
  }
}

void ScriptedBroker::adopt(Fd socket) {
  const std::lock_guard lock(mutex_);
  if (dead_) return;
  sockets_.push_back(std::move(socket));
  threads_.emplace_back([this, s = sockets_.back().get()] { serve(s); });
}

void ScriptedBroker::serve(int socket) {
  while (true) {
    Result<Record> record = receive_record(socket);
    if (!record) break;
    const std::optional<Record> reply = answer(std::move(*record));
    if (!reply || !send_record(socket, *reply)) break;
  }
  ::shutdown(socket, SHUT_RDWR);
}

std::optional<Record> ScriptedBroker::answer(Record&& record) {
  auto request = decode_request_untrusted(std::move(record));
  if (!request) return make_error(request.error().seq.value_or(0), request.error().error);
  Answer chosen = refuse_with({ENOSYS, "not in the script"});
  {
    const std::lock_guard lock(mutex_);
    log_.push_back(request->type);
    const auto found = answers_.find(request->type);
    if (found != answers_.end()) chosen = found->second;
  }
  return chosen(*request);
}

void offer_arena(ScriptedBroker& broker, uint64_t id, uint64_t start, uint32_t pages,
                 uint32_t map_flags, int memory) {
  uarena_arena_reply reply{};
  reply.info.id = id;
  reply.info.user_vm_start = start;
  reply.info.max_entries = pages;
  reply.info.map_flags = map_flags;
  set_text(reply.info.name, "heap");
  broker.on(UARENA_MSG_ARENA_GET, reply_with(reply));
  broker.on(UARENA_MSG_ATTACH, [reply, memory](Request& request) {
    Record record = make_reply(request.type, request.seq, reply);
    record.fds.emplace_back(::fcntl(memory, F_DUPFD_CLOEXEC, 3));
    return record;
  });
  broker.on(UARENA_MSG_ATTACH_READY, reply_with(uarena_empty{}));
  broker.on(UARENA_MSG_DETACH, reply_with(uarena_empty{}));
}

}  // namespace uarena::ipc::testing
