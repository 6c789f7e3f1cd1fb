/* SPDX-License-Identifier: MIT */
// uarena.h for C++17: connections, mappings and programs that let go of what they hold, and failures
// as exceptions. Nothing here adds to what the C functions do; their comments in uarena.h are the
// reference for rules and errors.
//
//   uarena::Client client;                            // the default socket
//   uarena_info heap = client.find("heap");
//   uarena::Mapping mapping = client.attach(heap.id);
//   auto *words = static_cast<uint64_t *>(mapping.base());
//   words[0] = 42;
//   for (uarena::Program &program : client.load("list.bpf.o", heap.id))
//     if (program.name() == "push") program.run();
//
// A Mapping or Program must not outlive its Client. Link with libuarena.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "uarena.h"

namespace uarena {

// A call that failed: what() is uarena_error()'s sentence.
class ClientError : public std::runtime_error {
 public:
  ClientError(int code, int why, const char *sentence)
      : std::runtime_error(sentence), code_(code), why_(why) {}

  int code() const noexcept { return code_; }  // a positive errno
  int why() const noexcept { return why_; }    // as uarena_why()

 private:
  int code_;
  int why_;
};

namespace detail {

// Passes on what is not negative; throws for -errno.
template <typename Number>
Number checked(Number result) {
  if (result < 0) throw ClientError(static_cast<int>(-result), uarena_why(), uarena_error());
  return result;
}

}  // namespace detail

// An arena in this process, until it goes out of scope.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping &&other) noexcept
      : conn_(std::exchange(other.conn_, nullptr)),
        arena_id_(other.arena_id_),
        base_(std::exchange(other.base_, nullptr)) {}
  Mapping &operator=(Mapping &&other) noexcept {
    std::swap(conn_, other.conn_);
    std::swap(arena_id_, other.arena_id_);
    std::swap(base_, other.base_);
    return *this;
  }
  Mapping(const Mapping &) = delete;
  Mapping &operator=(const Mapping &) = delete;
  ~Mapping() {
    if (conn_ != nullptr) uarena_detach(conn_, arena_id_);
  }

  void *base() const noexcept { return base_; }  // user_vm_start
  uint64_t arena_id() const noexcept { return arena_id_; }
  bool syscalls_served() const {
    return detail::checked(uarena_syscalls_served(conn_, arena_id_)) == 1;
  }
  // Returns how many pages are new.
  int64_t prefault(const void *addr, std::size_t length) {
    return detail::checked(uarena_prefault(conn_, arena_id_, addr, length));
  }
  // `addr` nullptr: anywhere in the arena.
  void *alloc(uint32_t page_cnt, void *addr = nullptr) {
    void *pages = uarena_alloc(conn_, arena_id_, addr, page_cnt, -1, 0);
    if (pages == nullptr) throw ClientError(errno, uarena_why(), uarena_error());
    return pages;
  }
  void free(void *addr, uint32_t page_cnt) {
    detail::checked(uarena_free(conn_, arena_id_, addr, page_cnt));
  }
  void reserve(void *addr, uint32_t page_cnt) {
    detail::checked(uarena_reserve(conn_, arena_id_, addr, page_cnt));
  }

 private:
  friend class Client;
  Mapping(uarena_conn *conn, uint64_t arena_id, unsigned flags) : arena_id_(arena_id) {
    detail::checked(uarena_attach(conn, arena_id, flags, &base_));
    conn_ = conn;
  }

  uarena_conn *conn_ = nullptr;
  uint64_t arena_id_ = 0;
  void *base_ = nullptr;
};

// A loaded program. It stays in the broker when this goes; unload() ends it.
class Program {
 public:
  struct Outcome {
    int32_t retval;
    uint64_t duration_ns;
  };

  uint64_t id() const noexcept { return info_.id; }
  std::string name() const { return info_.name; }
  std::string section() const { return info_.section; }
  const uarena_prog &info() const noexcept { return info_; }

  // The context is passed in and written back.
  Outcome run(void *ctx = nullptr, std::size_t ctx_size = 0) {
    Outcome outcome{};
    detail::checked(uarena_prog_run(conn_, info_.id, ctx, ctx_size, &outcome.retval,
                                    &outcome.duration_ns));
    return outcome;
  }
  template <typename Context>
  Outcome run(Context &ctx) {
    return run(&ctx, sizeof ctx);
  }
  // With a packet, repetitions, and all that comes back (uarena.h).
  void test_run(uarena_test_run &run) {
    detail::checked(uarena_prog_test_run(conn_, info_.id, &run));
  }
  void unload() { detail::checked(uarena_prog_unload(conn_, info_.id)); }

 private:
  friend class Client;
  Program(uarena_conn *conn, const uarena_prog &info) : conn_(conn), info_(info) {}

  uarena_conn *conn_;
  uarena_prog info_;
};

// A connection to the broker.
class Client {
 public:
  // nullptr: the default socket.
  explicit Client(const char *socket_path = nullptr) {
    detail::checked(uarena_connect(socket_path, &conn_));
  }
  Client(Client &&other) noexcept : conn_(std::exchange(other.conn_, nullptr)) {}
  Client &operator=(Client &&other) noexcept {
    std::swap(conn_, other.conn_);
    return *this;
  }
  Client(const Client &) = delete;
  Client &operator=(const Client &) = delete;
  ~Client() { uarena_close(conn_); }

  uarena_conn *get() const noexcept { return conn_; }

  uarena_info create(const std::string &name, const uarena_attr &attr) {
    uarena_info info{};
    detail::checked(uarena_create(conn_, name.c_str(), &attr, &info));
    return info;
  }
  uarena_info find(const std::string &name) {
    uarena_info info{};
    detail::checked(uarena_find(conn_, name.c_str(), &info));
    return info;
  }
  uarena_info stat(uint64_t arena_id) {
    uarena_info info{};
    detail::checked(uarena_stat(conn_, arena_id, &info));
    return info;
  }
  void remove(uint64_t arena_id) { detail::checked(uarena_delete(conn_, arena_id)); }

  // `flags` as uarena_attach takes them.
  Mapping attach(uint64_t arena_id, unsigned flags = 0) { return Mapping(conn_, arena_id, flags); }

  // All programs of the object. uarena_log() has the verifier's words.
  std::vector<Program> load(const std::string &path, uint64_t arena_id = 0) {
    std::vector<uarena_prog> infos(kMaxPrograms);
    const int count = detail::checked(
        uarena_prog_load(conn_, path.c_str(), arena_id, infos.data(), infos.size()));
    std::vector<Program> programs;
    for (std::size_t i = 0; i < infos.size() && i < static_cast<std::size_t>(count); ++i)
      programs.push_back(Program(conn_, infos[i]));
    return programs;
  }

 private:
  // More than fit one answer of the broker.
  static constexpr std::size_t kMaxPrograms = 1024;

  uarena_conn *conn_ = nullptr;
};

}  // namespace uarena
