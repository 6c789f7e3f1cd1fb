// All answers lie in the sockets before the client asks, numbered as it will number its requests;
// then the broker's end is shut, so that nobody ever waits. Checked: every call comes back with an
// answer or with an errno; an arena that was attached can be touched from end to end, whatever the
// broker said of its size; and afterwards no descriptor is left open.
#include "tests/fuzz/handshake/client_side.h"

#include <sched.h>
#include <sys/socket.h>

#include <chrono>
#include <filesystem>

#include "ipc/client/attachment.h"
#include "ipc/client/inspect.h"

namespace uarena::fuzz {
namespace {

using namespace ipc;

constexpr uint64_t kArena = 3;
constexpr uint64_t kStart = 0x7e8000000000;
constexpr uint32_t kPages = 4;
// Of Step::who: the socket.
constexpr uint8_t kControl = 0;
constexpr uint8_t kRun = 1;

// What the client asks, in this order; each is one request on its socket. Answers are made for
// them.
constexpr uint16_t kControlRequests[] = {
    UARENA_MSG_HELLO,        UARENA_MSG_RUN_CHANNEL, UARENA_MSG_ATTACH,
    UARENA_MSG_ATTACH_READY, UARENA_MSG_DETACH,      UARENA_MSG_ARENA_GET,
    UARENA_MSG_ARENA_LIST,   UARENA_MSG_PROG_LIST,   UARENA_MSG_CLIENT_LIST,
    UARENA_MSG_CLIENT_STATS, UARENA_MSG_ARENA_STATS, UARENA_MSG_STATUS};
constexpr uint16_t kRunRequests[] = {UARENA_MSG_PAGE_LIST,  UARENA_MSG_PAGE_READ,
                                     UARENA_MSG_PROG_DUMP,  UARENA_MSG_PROG_RUN,
                                     UARENA_MSG_PAGE_ALLOC, UARENA_MSG_FAULT_TRACE};

template <typename T>
Record listed(Random& random, uint16_t type, uint64_t seq) {
  uarena_list_reply body{};
  body.count = static_cast<uint32_t>(random.below(4));
  body.record_size = sizeof(T);
  return make_reply(type, seq, body, bytes_of(std::vector<T>(body.count)));
}

Record answer(Random& random, uint16_t type, uint64_t seq) {
  if (random.one_in(12)) return make_error(seq, {ENOENT, "there is none"});
  uarena_arena_reply arena{};
  arena.info.id = kArena;
  arena.info.user_vm_start = kStart;
  arena.info.max_entries = kPages;
  arena.info.map_flags = kBpfFMmapable;
  arena.info.fault = random.one_in(2);
  uarena_hello_reply hello{};
  hello.abi = UARENA_ABI_VERSION;
  hello.page_size = kPageSize;
  switch (type) {
    case UARENA_MSG_HELLO:
      return make_reply(type, seq, hello);
    case UARENA_MSG_ATTACH:
    case UARENA_MSG_ARENA_GET:
      return make_reply(type, seq, arena);
    case UARENA_MSG_ARENA_LIST:
      return listed<uarena_arena_info>(random, type, seq);
    case UARENA_MSG_PROG_LIST:
      return listed<uarena_prog_info>(random, type, seq);
    case UARENA_MSG_CLIENT_LIST:
      return listed<uarena_client_info>(random, type, seq);
    case UARENA_MSG_STATUS:
      return make_reply(type, seq, uarena_status_reply{});
    case UARENA_MSG_ARENA_STATS:
      return make_reply(type, seq, uarena_arena_stats_reply{});
    case UARENA_MSG_CLIENT_STATS: {
      uarena_client_stats_reply body{};
      body.record_size = sizeof(uarena_attachment_info);
      return make_reply(type, seq, body);
    }
    case UARENA_MSG_PAGE_LIST:
    case UARENA_MSG_PROG_DUMP: {
      uarena_text_reply body{};
      body.bytes = random.below(64);
      return make_reply(type, seq, body);
    }
    case UARENA_MSG_PROG_RUN: {
      uarena_prog_run_reply body{};
      body.ctx_size = 8;
      return make_reply(type, seq, body, Bytes(8));
    }
    case UARENA_MSG_PAGE_ALLOC:
      return make_reply(type, seq, uarena_page_op_reply{});
    case UARENA_MSG_FAULT_TRACE: {
      uarena_fault_trace_reply body{};
      body.record_size = sizeof(uarena_traced_fault);
      return make_reply(type, seq, body);
    }
    default:
      return make_reply(type, seq, uarena_empty{});
  }
}

void spoil(Random& random, std::vector<Step>& steps) {
  Step& step = steps[random.below(steps.size())];
  const uint64_t word = extreme(random);
  switch (random.below(5)) {
    case 0:
      damage(random, step.record);
      break;
    case 1:
      step.fds.assign(random.below(UARENA_MAX_FDS + 1),
                      static_cast<FdKind>(random.below(kFdKinds)));
      break;
    case 2:
      std::swap(step.record, steps[random.below(steps.size())].record);
      break;
    default:  // a word behind the header
      if (step.record.size() >= sizeof(uarena_msg) + sizeof word) {
        const size_t words = (step.record.size() - sizeof(uarena_msg)) / 4 - 1;
        std::memcpy(step.record.data() + sizeof(uarena_msg) + random.below(words) * 4, &word,
                    random.one_in(2) ? 4 : sizeof word);
      }
      break;
  }
}

size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

struct Ends {
  Fd client, broker;
};
Ends socket_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
  return {Fd(ends[0]), Fd(ends[1])};
}

// What every call must say when it fails. (The sentence may be the broker's own.)
class Calls {
 public:
  explicit Calls(Progress& progress) : progress_(progress) {}
  template <typename T>
  bool good(const Result<T>& result, const char* what) {
    if (result && !std::exchange(accepted_, true)) progress_.accepted(0);  // the script
    if (result) return true;
    if (result.error().code <= 0 && wrong.empty())
      wrong = fmt::format("{} fails with errno {}", what, result.error().code);
    return false;
  }
  std::string wrong;

 private:
  Progress& progress_;
  bool accepted_ = false;
};

void attach(Calls& calls, BrokerLink& link) {
  auto attached = Attachment::attach(link.control(), kArena, {.user_mode_only = true});
  if (!calls.good(attached, "attach")) return;
  const uint64_t size = uint64_t{attached->info().max_entries} * kPageSize;
  auto* bytes = static_cast<volatile char*>(attached->base());
  bytes[0] = 1;
  bytes[size - 1] = 1;
  attached->detach(link.control());
}

std::string converse(Fd socket, Progress& progress) {
  Calls calls(progress);
  auto link = BrokerLink::greet(std::move(socket), "the fuzzer");
  if (!calls.good(link, "greet")) return calls.wrong;
  calls.good((*link)->run(), "run");
  attach(calls, **link);
  Inspector inspector(std::move(*link));
  calls.good(inspector.arena(kArena), "arena");
  calls.good(inspector.arenas(), "arenas");
  calls.good(inspector.programs(), "programs");
  calls.good(inspector.clients(), "clients");
  calls.good(inspector.client_stats(1), "client_stats");
  calls.good(inspector.arena_stats(kArena), "arena_stats");
  calls.good(inspector.status(), "status");
  calls.good(inspector.page_extents(kArena), "page_extents");
  calls.good(inspector.page_read(kArena, 0, 8), "page_read");
  calls.good(inspector.dump(1, UARENA_DUMP_XLATED), "dump");
  const Bytes ctx(8);
  calls.good(inspector.run(1, ctx), "run");
  calls.good(inspector.page_op(UARENA_MSG_PAGE_ALLOC, kArena, 0, 1), "page_op");
  calls.good(inspector.trace(kArena, 0), "trace");
  return calls.wrong;
}

}  // namespace

Bytes make_client_script(Random& random) {
  std::vector<Step> steps;
  uint64_t seq = 0;
  for (const uint16_t type : kControlRequests) {
    Step step{0, kControl, {}, answer(random, type, ++seq).bytes};
    if (type == UARENA_MSG_ATTACH) step.fds.push_back(FdKind::memory);
    if (type == UARENA_MSG_RUN_CHANNEL) step.fds.push_back(FdKind::socket);
    steps.push_back(std::move(step));
  }
  seq = 0;
  for (const uint16_t type : kRunRequests) {
    Step step{0, kRun, {}, answer(random, type, ++seq).bytes};
    if (message_rule(type)->reply_fds_min > 0) step.fds.push_back(FdKind::memory);
    steps.push_back(std::move(step));
  }
  for (uint64_t n = random.below(4); n > 0; --n) spoil(random, steps);
  Bytes script{std::byte{1}};
  for (const Step& step : steps) append(script, step);
  return script;
}

std::string run_client_script(std::span<const std::byte> script, Progress& progress) {
  const size_t before = open_descriptors();
  std::string wrong;
  {
    Ends control = socket_pair(), run = socket_pair();
    while (const auto step = take_step(script)) {
      if (step->record.empty() || step->record.size() > UARENA_MAX_RECORD) continue;
      std::vector<Fd> fds;
      for (const FdKind kind : step->fds)  // "socket" is the run channel, once
        fds.push_back(kind == FdKind::socket && run.client ? std::move(run.client)
                                                           : make_fd(kind, kPages * kPageSize));
      std::vector<int> numbers;
      for (const Fd& fd : fds) numbers.push_back(fd.get());
      const int to = step->who % 2 == kControl ? control.broker.get() : run.broker.get();
      if (!send_record(to, step->record, numbers, Wait::no)) break;  // no room
    }
    ::shutdown(control.broker.get(), SHUT_WR);
    ::shutdown(run.broker.get(), SHUT_WR);
    run.client.reset();
    wrong = converse(std::move(control.client), progress);
  }
  // Closed by a thread of their own where that may take long.
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (open_descriptors() > before) {
    if (std::chrono::steady_clock::now() > limit) return "descriptors stay open";
    ::sched_yield();
  }
  return wrong;
}

}  // namespace uarena::fuzz
