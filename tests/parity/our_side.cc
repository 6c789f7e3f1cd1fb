// Our arena: a daemon of the scenario's own, the client library as anybody uses it, and a client
// that speaks the wire format by hand for what the library would never ask.
#include <fmt/format.h>
#include <sys/stat.h>

#include "ipc/client/include/uarena.h"
#include "tests/parity/our_programs.h"
#include "tests/parity/side.h"
#include "tests/support/broker_process.h"
#include "tests/support/raw_client.h"

namespace uarena::testing {
namespace {

// As the kernel's side, but elsewhere: both may be mapped in one process. Each arena has an address
// of its own, since the daemon may still hold one whose last client has just ended.
constexpr uint64_t kFirstStart = 0x7e9500003000;
constexpr uint64_t kBetweenStarts = uint64_t{4} << 30;

class OurSubject final : public Subject {
 public:
  OurSubject(const std::string& socket, uint64_t number, const SubjectOptions& options)
      : Subject(options), socket_(socket) {
    check(uarena_connect(socket.c_str(), &connection_));
    const uarena_attr attr{kBpfMapTypeArena,
                           0,
                           0,
                           options.pages,
                           options.flags,
                           options.map_extra ? kFirstStart + number * kBetweenStarts : 0};
    const std::string name = "ours" + std::to_string(number);
    check(uarena_create(connection_, name.c_str(), &attr, &info_));
    programs_ = OurPrograms(connection_, options.object, info_.id);
    void* base = nullptr;
    check(uarena_attach(connection_, info_.id, 0, &base));
  }
  ~OurSubject() override {
    programs_.unload();
    uarena_detach(connection_, info_.id);
    uarena_delete(connection_, info_.id);
    uarena_close(connection_);
  }
  uint64_t base() const override { return info_.user_vm_start; }
  using Subject::run;
  int32_t run(const std::string& program, std::span<std::byte> context) override {
    return programs_.run(program, context);
  }
  int file() override {
    if (!file_) file_ = attached();
    return file_.get();
  }
  Fd read_only_file() override {
    Fd opened(::open(fmt::format("/proc/self/fd/{}", file()).c_str(), O_RDONLY | O_CLOEXEC));
    if (!opened) throw std::runtime_error("the memory file can't be opened for reading");
    return opened;
  }
  int map_in_another(uint64_t address, uint64_t length) override {
    RawClient client(socket_);
    if (!client.hello()) throw std::runtime_error("hello");
    const auto answer = client.attach(info_.id, address, length);
    return answer ? 0 : answer.error().error.code;
  }
  uint64_t map_extra() override { return stat().map_extra; }
  uint64_t pages_in_use() override { return stat().pages_allocated; }

 protected:
  void map_here() override {
    uarena_conn* mine = nullptr;
    void* base = nullptr;
    check(uarena_connect(socket_.c_str(), &mine));
    check(uarena_attach(mine, info_.id, 0, &base));
  }

 private:
  Fd attached() {
    RawClient client(socket_);
    if (!client.hello()) throw std::runtime_error("hello");
    auto answer = client.attach(info_.id);
    if (!answer) throw std::runtime_error(answer.error().error.message);
    return std::move(answer->fds.at(0));
  }
  uarena_info stat() {
    uarena_info now{};
    check(uarena_stat(connection_, info_.id, &now));
    return now;
  }

  std::string socket_;
  uarena_conn* connection_ = nullptr;
  uarena_info info_{};
  OurPrograms programs_;
  Fd file_;
};

class OurSide final : public Side {
 public:
  OurSide() {
    // For askers of another uid: the directory is the test's own.
    ::chmod(broker_.socket().substr(0, broker_.socket().rfind('/')).c_str(), 0755);
  }
  const char* name() const override { return "uarena"; }
  int create(const KernelMapAttr& attr) override {
    RawClient client = greeted();
    uarena_arena_create body{};
    body.map_type = attr.map_type;
    body.key_size = attr.key_size;
    body.value_size = attr.value_size;
    body.max_entries = attr.max_entries;
    body.map_flags = attr.map_flags;
    body.map_extra = attr.map_extra;
    const auto made = client.ask<uarena_arena_reply>(UARENA_MSG_ARENA_CREATE, body, attr.name);
    if (!made) return made.error().error.code;
    uarena_arena_ref ref{};
    ref.id = made->body.info.id;
    if (!client.ask<uarena_empty>(UARENA_MSG_ARENA_DELETE, ref)) throw std::runtime_error("delete");
    return 0;
  }
  int first_mapping(uint32_t pages, uint64_t length) override {
    RawClient client = greeted();
    const auto made = client.create("first" + std::to_string(made_++), pages);
    if (!made) throw std::runtime_error(made.error().error.message);
    const auto answer = client.attach(made->body.info.id, 0, length);
    return answer ? 0 : answer.error().error.code;
  }
  std::unique_ptr<Subject> make(const SubjectOptions& options) override {
    return std::make_unique<OurSubject>(broker_.socket(), made_++, options);
  }

 private:
  RawClient greeted() {
    RawClient client(broker_.socket());
    if (!client.hello()) throw std::runtime_error("hello");
    return client;
  }

  BrokerProcess broker_;
  uint64_t made_ = 0;
};

}  // namespace

std::unique_ptr<Side> our_side() { return std::make_unique<OurSide>(); }

}  // namespace uarena::testing
