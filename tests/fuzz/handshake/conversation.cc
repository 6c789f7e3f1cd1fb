#include "tests/fuzz/handshake/conversation.h"

namespace uarena::fuzz {
namespace {

class Conversation {
 public:
  explicit Conversation(Random& random) : random_(random) {}

  Bytes make() {
    for (unsigned who = 0; who < kClients; ++who)
      if (who == 0 || random_.one_in(2)) hello(who);
    for (uint64_t n = 1 + random_.below(4); n > 0; --n) arena(who());
    for (uint64_t n = random_.below(4); n > 0; --n) attach(who(), id());
    for (uint64_t n = random_.below(6); n > 0; --n) anything(who());
    for (uint64_t n = random_.below(5); n > 0; --n) spoil();
    Bytes script{std::byte{0}};
    for (const Step& step : steps_) append(script, step);
    return script;
  }

 private:
  uint8_t who() { return static_cast<uint8_t>(random_.below(kClients)); }
  uint64_t id() { return 1 + random_.below(4); }

  template <typename T>
  void ask(uint8_t who, uint16_t type, const T& body, std::string_view payload = {},
           std::vector<FdKind> fds = {}) {
    ipc::Record record = ipc::make_request(type, ++seq_, body, ipc::bytes_of(payload));
    steps_.push_back({kAsk, who, std::move(fds), std::move(record.bytes)});
  }
  void hello(unsigned who) {
    uarena_hello body{};
    body.abi_min = body.abi_max = UARENA_ABI_VERSION;
    ask(static_cast<uint8_t>(who), UARENA_MSG_HELLO, body);
  }
  void arena(uint8_t who) {
    uarena_arena_create body{};
    body.map_type = kBpfMapTypeArena;
    body.max_entries = kPages;
    body.map_flags = kBpfFMmapable | (random_.one_in(3) ? kBpfFSegvOnFault : 0);
    if ((body.map_flags & kBpfFSegvOnFault) == 0) body.fault = random_.one_in(3);
    if (body.fault == 0 && random_.one_in(3)) body.fault_around = 4;
    ask(who, UARENA_MSG_ARENA_CREATE, body, fmt::format("a{}", id()));
  }
  void attach(uint8_t who, uint64_t arena) {
    uarena_attach body{};
    body.arena_id = arena;
    ask(who, UARENA_MSG_ATTACH, body);
    if (!random_.one_in(4)) steps_.push_back({kMap, who, {}, {}});
    uarena_attach_ready ready{};
    ready.arena_id = arena;
    if (random_.one_in(8)) ready.flags = static_cast<uint32_t>(random_.below(4));
    std::vector<FdKind> fds;
    if (!random_.one_in(4)) fds.push_back(FdKind::userfaultfd);
    ask(who, UARENA_MSG_ATTACH_READY, ready, {}, std::move(fds));
    uarena_detach detach{};
    detach.arena_id = arena;
    if (random_.one_in(3)) ask(who, UARENA_MSG_DETACH, detach);
  }
  void anything(uint8_t who) {
    uarena_arena_ref ref{};
    ref.id = id();
    uarena_client_stats client{};
    client.client_id = 1 + who;
    const int type =
        random_.one_of(UARENA_MSG_ARENA_GET, UARENA_MSG_ARENA_DELETE, UARENA_MSG_ARENA_STATS,
                       UARENA_MSG_RUN_CHANNEL, UARENA_MSG_STATUS, UARENA_MSG_CLIENT_STATS,
                       UARENA_MSG_ARENA_LIST, UARENA_MSG_PAGE_ALLOC);
    const auto wanted = static_cast<uint16_t>(type);
    if (type == UARENA_MSG_RUN_CHANNEL || type == UARENA_MSG_STATUS)
      ask(who, wanted, uarena_empty{});
    else if (type == UARENA_MSG_CLIENT_STATS)
      ask(who, wanted, client);
    else if (type == UARENA_MSG_ARENA_LIST)
      ask(who, wanted, uarena_list{});
    else if (type == UARENA_MSG_PAGE_ALLOC)
      ask(who, wanted, uarena_page_op{});  // not on this socket
    else
      ask(who, wanted, ref);
  }
  // A step is changed, repeated, moved, left out, or its client leaves.
  void spoil() {
    const size_t at = random_.below(steps_.size());
    Step& step = steps_[at];
    switch (random_.below(7)) {
      case 0:
        damage(random_, step.record);
        break;
      case 1:
        steps_.push_back(Step(step));
        break;
      case 2:
        std::swap(step, steps_[random_.below(steps_.size())]);
        break;
      case 3:
        step.what = kLeave;
        break;
      case 4:
        step.who = who();
        break;
      case 5:
        step.fds.assign(random_.below(UARENA_MAX_FDS + 1),
                        static_cast<FdKind>(random_.below(kFdKinds)));
        break;
      default:
        if (step.record.size() >= sizeof(uarena_msg) + 8) {
          const uint64_t word = extreme(random_);
          std::memcpy(step.record.data() + sizeof(uarena_msg), &word, sizeof word);
        }
        break;
    }
  }

  Random& random_;
  std::vector<Step> steps_;
  uint64_t seq_ = 0;
};

}  // namespace

Bytes make_conversation(Random& random) { return Conversation(random).make(); }

}  // namespace uarena::fuzz
