// The order in which messages come, and what comes with them, is each side's own choice. A broker
// that is asked out of order, twice, with wrong descriptors, or left in the middle, must neither
// die nor keep anything; a client must not follow a broker that answers nonsense.
//
// Samples are conversations that make sense, of three clients with each other's arenas or of one
// client with a script of answers (handshake/client_side.h), in which steps are then changed,
// doubled or left out. The broker's parts are the real ones, without a socket. Checked: each
// request is answered once with its own number; when all clients are gone their connections and
// descriptors are paid back, no fault thread serves anybody and every arena can be deleted; then
// nothing at all is charged any more.
#include <sched.h>

#include <deque>
#include <map>
#include <mutex>

#include "broker/run_requests.h"
#include "broker/session.h"
#include "ipc/base/log.h"
#include "ipc/base/memory_map.h"
#include "ipc/event_loop.h"
#include "tests/fuzz/driver.h"
#include "tests/fuzz/handshake/client_side.h"
#include "tests/fuzz/handshake/conversation.h"

namespace uarena::fuzz {
namespace {

using namespace broker;

constexpr uint32_t kUid = 1234;
constexpr std::chrono::seconds kLimit{10};

// The broker of one conversation.
class World {
 public:
  ~World() {
    for (auto& session : sessions_) session.reset();
    settle();
  }

  // What is wrong, if anything.
  std::string step(Step&& step) {
    Session* session = sessions_[step.who % kClients].get();
    if (step.what % kWhats == kLeave) {
      sessions_[step.who % kClients].reset();
      return {};
    }
    if (step.what % kWhats == kMap) return map();
    if (session == nullptr) session = connect(step.who % kClients);
    if (step.record.empty() || step.record.size() > UARENA_MAX_RECORD) return {};
    ipc::Record record;
    record.bytes = std::move(step.record);
    for (const FdKind kind : step.fds) record.fds.push_back(make_fd(kind, kPages * kPageSize));
    uarena_msg header{};
    const bool numbered = record.bytes.size() >= sizeof header;
    if (numbered) std::memcpy(&header, record.bytes.data(), sizeof header);
    if (numbered) ++owed_[{step.who % kClients, header.seq}];
    if (session->answer(std::move(record), now_) != numbered)
      return "the session would be closed for the wrong reason";
    if (!numbered) sessions_[step.who % kClients].reset();
    return settle();
  }

  // All clients leave, the arenas are deleted: nothing is left.
  std::string end() {
    for (const auto& [request, count] : owed_)
      if (count != 0) return fmt::format("request {} has no answer", request.second);
    mapped_.clear();
    for (auto& session : sessions_) session.reset();
    if (auto wrong = settle(); !wrong.empty()) return wrong;
    if (accounts_.of(kUid).used(Resource::connections) != 0) return "connections stay charged";
    if (faults_->clients() != 0) return "a client that has gone is served";
    for (const ArenaStanding& standing : arenas_.list())
      if (auto gone = arenas_.remove(standing.arena->id()); !gone)
        return "an arena can't be deleted: " + gone.error().message;
    return nothing_charged();
  }

  uint64_t accepted() const { return accepted_; }

 private:
  Session* connect(unsigned who) {
    ipc::PeerCredentials peer;
    peer.pid = ::getpid();
    peer.uid = kUid;
    peer.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
    sessions_[who] = std::make_unique<Session>(services_, who + 1, std::move(peer),
                                               SessionCharges::take(accounts_.of(kUid)).value(),
                                               now_, socket_.get());
    for (auto& [request, count] : owed_)
      if (request.first == who) count = 0;  // of the client before
    sessions_[who]->answers_go_to([this, who](ipc::Record&& record) { take(who, record); });
    return sessions_[who].get();
  }

  void take(unsigned who, const ipc::Record& record) {
    uarena_msg header{};
    std::memcpy(&header, record.bytes.data(), sizeof header);
    if (--owed_[{who, header.seq}] < 0)
      wrong_ = fmt::format("request {} is answered once too often", header.seq);
    if (header.type == UARENA_MSG_ERROR) {
      uarena_error error{};
      std::memcpy(&error, record.bytes.data(), sizeof error);
      const Error told{static_cast<int>(error.error),
                       std::string(text_of(record.bytes).substr(sizeof error))};
      if (wrong_.empty()) wrong_ = wrong_refusal(told, "the broker");
    } else {
      ++accepted_;
    }
  }

  // Run channels are closed by their runner.
  std::string nothing_charged() {
    const auto limit = ipc::EventLoop::Clock::now() + kLimit;
    for (size_t n = 0; n < kResources; ++n)
      while (const uint64_t used = accounts_.of(kUid).used(static_cast<Resource>(n))) {
        if (ipc::EventLoop::Clock::now() > limit)
          return fmt::format("{} {} stay charged", used, kResourceNames[n]);
        ::sched_yield();
      }
    return {};
  }

  // As a client does between ATTACH and ATTACH_READY: the first arena that is not mapped.
  std::string map() {
    for (const ArenaStanding& standing : arenas_.list()) {
      const Arena& arena = *standing.arena;
      if (mapped_.contains(arena.id())) continue;
      auto map =
          MemoryMap::create(reinterpret_cast<void*>(arena.user_vm_start()), arena.size(), PROT_NONE,
                            MAP_SHARED | MAP_FIXED_NOREPLACE, arena.memory_fd(), 0, "the arena");
      if (map) mapped_.emplace(arena.id(), std::move(*map));
      return {};
    }
    return {};
  }

  // What other threads do for clients is done, and so is what they wanted done here.
  std::string settle() {
    for (bool idle = false; !idle;) {
      if (!slow_calls_.wait(kLimit)) return "a thread does not come back";
      std::deque<std::function<void()>> calls;
      {
        const std::lock_guard lock(lock_);
        calls.swap(posted_);
      }
      idle = calls.empty();
      for (const auto& call : calls) call();
    }
    return std::exchange(wrong_, {});
  }

  void post(uint64_t client, std::function<void(Session*)> call) {
    const std::lock_guard lock(lock_);
    posted_.push_back(
        [this, client, call = std::move(call)] { call(sessions_.at(client - 1).get()); });
  }

  const Session::Time now_ = ipc::EventLoop::Clock::now();
  AccountTable accounts_;
  ArenaRegistry arenas_;
  ProgramRegistry programs_{arenas_};
  FdStore store_;
  std::unique_ptr<Estate> estate_ = Estate::create(store_).value();
  Fd socket_{::eventfd(0, EFD_CLOEXEC)};  // for the store that there is none of
  std::unique_ptr<uffd::FaultLoop> faults_ = uffd::FaultLoop::create(1).value();
  RunRequests requests_{arenas_, programs_, accounts_};
  std::unique_ptr<RunnerPool> runners_ =
      RunnerPool::create({1, 1, 1}, [this](RunChannel& channel, Result<ipc::Record> record) {
        return requests_.serve(channel, std::move(record));
      }).value();
  SlowCalls slow_calls_;
  LoadPolicy load_policy_;
  std::mutex lock_;
  std::deque<std::function<void()>> posted_;
  Services services_{arenas_,
                     programs_,
                     accounts_,
                     *faults_,
                     *runners_,
                     *estate_,
                     slow_calls_,
                     true,
                     load_policy_,
                     [this](uint64_t client, std::function<void(Session*)> call) {
                       post(client, std::move(call));
                     },
                     [](uint64_t) { return std::vector<uarena_client_info>(3); },
                     [] { return uarena_status_reply{}; }};
  std::map<uint64_t, MemoryMap> mapped_;
  std::array<std::unique_ptr<Session>, kClients> sessions_;
  std::map<std::pair<unsigned, uint64_t>, int> owed_;  // of a client, by number
  std::string wrong_;
  uint64_t accepted_ = 0;
};

class HandshakeTarget final : public Target {
 public:
  std::vector<std::byte> make(Random& random) override {
    return random.one_in(2) ? make_client_script(random) : make_conversation(random);
  }

  std::string run(std::span<const std::byte> input, Progress& progress) override {
    if (input.empty()) return {};
    auto script = input.subspan(1);
    if (input[0] != std::byte{0}) return run_client_script(script, progress);
    World world;
    while (auto step = take_step(script))
      if (auto wrong = world.step(std::move(*step)); !wrong.empty()) return wrong;
    if (world.accepted() != 0) progress.accepted(0);
    return world.end();
  }
};

}  // namespace
}  // namespace uarena::fuzz

int main(int argc, char** argv) {
  uarena::set_log_level(uarena::LogLevel::error);
  uarena::fuzz::HandshakeTarget target;
  return uarena::fuzz::fuzz_main(argc, argv, "handshake", target);
}
