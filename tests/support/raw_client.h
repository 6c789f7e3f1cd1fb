// A client that speaks the wire format by hand, for what a well-behaved library never does: wrong
// order, wrong bytes, wrong descriptors. Each call waits at most ten seconds; failures are
// std::runtime_error, an error answer of the broker is a Refusal.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <cstring>
#include <stdexcept>
#include <string>

#include "ipc/base/page.h"
#include "ipc/base/uapi.h"
#include "ipc/codec.h"

namespace uarena::testing {

class RawClient {
 public:
  explicit RawClient(const std::string& path)
      : socket_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    if (::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0)
      throw std::runtime_error("connect: " + std::string(std::strerror(errno)));
  }
  explicit RawClient(Fd run_channel) : socket_(std::move(run_channel)) {}

  int fd() const { return socket_.get(); }
  void close() { socket_.reset(); }

  void send(const ipc::Record& record) {
    if (auto sent = ipc::send_record(socket_.get(), record); !sent)
      throw std::runtime_error("send: " + sent.error().message);
  }
  // The next record; none when the broker has closed the connection.
  std::optional<ipc::Record> receive() {
    pollfd event{socket_.get(), POLLIN, 0};
    if (::poll(&event, 1, 10'000) != 1) throw std::runtime_error("no answer within 10 s");
    auto record = ipc::receive_record(socket_.get());
    if (!record) return std::nullopt;
    return std::move(*record);
  }
  bool closed_by_broker() { return !receive(); }

  // One request and its answer.
  template <typename Answer, typename Body>
  std::expected<ipc::Reply<Answer>, ipc::Refusal> ask(uint16_t type, Body body,
                                                      std::string_view payload = {},
                                                      Fd descriptor = {}) {
    post(type, body, payload, std::move(descriptor));
    return answer<Answer>(type);
  }
  // The same in two steps.
  template <typename Body>
  void post(uint16_t type, Body body, std::string_view payload = {}, Fd descriptor = {}) {
    ipc::Record record = ipc::make_request(type, ++seq_, body, ipc::bytes_of(payload));
    if (descriptor) record.fds.push_back(std::move(descriptor));
    send(record);
  }
  // Answers to earlier requests are passed over: a broker that dies may have answered already what
  // its successor answers again.
  template <typename Answer>
  std::expected<ipc::Reply<Answer>, ipc::Refusal> answer(uint16_t type) {
    for (;;) {
      auto record = receive();
      if (!record) throw std::runtime_error("the broker closed the connection");
      uarena_msg header{};
      if (record->bytes.size() >= sizeof header)
        std::memcpy(&header, record->bytes.data(), sizeof header);
      if (header.seq == 0 || header.seq >= seq_)
        return ipc::decode_reply_untrusted<Answer>(std::move(*record), type, seq_);
    }
  }

  auto hello() {
    uarena_hello body{};
    body.abi_min = body.abi_max = UARENA_ABI_VERSION;
    return ask<uarena_hello_reply>(UARENA_MSG_HELLO, body);
  }
  auto create(std::string_view name, uint32_t pages, uint32_t extra_flags = 0,
              uint64_t map_extra = 0) {
    uarena_arena_create body{};
    body.map_type = kBpfMapTypeArena;
    body.max_entries = pages;
    body.map_flags = kBpfFMmapable | extra_flags;
    body.map_extra = map_extra;
    return ask<uarena_arena_reply>(UARENA_MSG_ARENA_CREATE, body, name);
  }
  auto attach(uint64_t arena, uint64_t addr = 0, uint64_t length = 0) {
    struct uarena_attach body{};
    body.arena_id = arena;
    body.addr = addr;
    body.length = length;
    return ask<uarena_arena_reply>(UARENA_MSG_ATTACH, body);
  }
  auto ready(uint64_t arena, Fd userfaultfd) {
    uarena_attach_ready body{};
    body.arena_id = arena;
    return ask<uarena_empty>(UARENA_MSG_ATTACH_READY, body, {}, std::move(userfaultfd));
  }
  auto detach(uint64_t arena) {
    struct uarena_detach body{};
    body.arena_id = arena;
    return ask<uarena_empty>(UARENA_MSG_DETACH, body);
  }
  auto run_channel() { return ask<uarena_empty>(UARENA_MSG_RUN_CHANNEL, uarena_empty{}); }

  static Fd userfaultfd(int flags = O_CLOEXEC | O_NONBLOCK | kUffdUserModeOnly) {
    return Fd(static_cast<int>(::syscall(SYS_userfaultfd, flags)));
  }

 private:
  Fd socket_;
  uint64_t seq_ = 0;
};

// A mapping of an arena's memory file where it belongs, unmapped at the end.
class ArenaMapping {
 public:
  ArenaMapping(int file, const uarena_arena_info& info, int protection = PROT_READ | PROT_WRITE)
      : size_(uint64_t{info.max_entries} * kPageSize) {
    base_ = ::mmap(reinterpret_cast<void*>(info.user_vm_start), size_, protection,
                   MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_NORESERVE, file, 0);
    if (base_ == MAP_FAILED) throw std::runtime_error("mmap: " + std::string(std::strerror(errno)));
    ::madvise(base_, size_, MADV_DONTDUMP);
  }
  ~ArenaMapping() { ::munmap(base_, size_); }
  ArenaMapping(const ArenaMapping&) = delete;
  ArenaMapping& operator=(const ArenaMapping&) = delete;
  volatile char* page(uint32_t n) const {
    return static_cast<volatile char*>(base_) + n * kPageSize;
  }
  void* base() const { return base_; }
  uint64_t size() const { return size_; }

 private:
  void* base_;
  uint64_t size_;
};

}  // namespace uarena::testing
