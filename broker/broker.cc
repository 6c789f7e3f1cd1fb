#include "broker/broker.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <thread>

#include "broker/config.h"
#include "broker/descriptor_limit.h"
#include "broker/memory_group.h"
#include "broker/service_manager.h"
#include "ipc/base/clock.h"
#include "ipc/base/log.h"
#include "ipc/close_untrusted.h"
#include "jit/debug/jit_dump.h"
#include "jit/engine.h"
#include "uffd/device.h"
#include "uffd/features.h"

namespace uarena::broker {
namespace {

constexpr unsigned kRunnerLimit = 256;
constexpr unsigned kRunnersPerUid = 16;
constexpr unsigned kCapKill = 5;  // CAP_KILL of <linux/capability.h>

// Whether this process may signal processes of other uids.
bool has_cap_kill() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("CapEff:"))
      return (std::stoull(line.substr(7), nullptr, 16) >> kCapKill & 1) != 0;
  return false;
}

}  // namespace

Result<std::unique_ptr<Broker>> Broker::create(const Options& options, Inherited inherited) {
  auto store = std::make_unique<FdStore>(inherited);
  EstateEntries left = take_entries(inherited);
  auto estate = open_estate(*store, left);
  if (!estate) return std::unexpected(estate.error());
  std::unique_ptr<Broker> broker(new Broker(options, std::move(store), std::move(*estate)));
  if (auto started = broker->start(std::move(inherited), std::move(left)); !started)
    return std::unexpected(started.error());
  return broker;
}

Result<void> Broker::start(Inherited inherited, EstateEntries left) {
  started_ns_ = realtime_ns();
  can_signal_others_ = has_cap_kill();
  raise_descriptor_limit();
  ::signal(SIGPIPE, SIG_IGN);
  if (auto taken = take_devices(inherited); !taken) return taken;
  if (!uffd::features().enough_for_clients())
    return fail(EOPNOTSUPP, "page faults can't be served on this machine: userfaultfd: {}",
                uffd::features().summary());
  auto policy = LoadPolicy::for_group(options_.load_group);
  if (!policy) return std::unexpected(policy.error());
  load_policy_ = std::move(*policy);
  if (auto installed = jit::install_fault_handler(); !installed) return installed;
  if (!options_.jitdump.empty())
    if (auto started = jit::debug::JitDump::start(options_.jitdump); !started) return started;
  if (auto started = timers_.start_thread(); !started) return started;

  if (auto configured = configure(); !configured) return configured;

  const unsigned cpus = std::max(1u, std::thread::hardware_concurrency());
  auto faults =
      uffd::FaultLoop::create(options_.fault_threads != 0 ? options_.fault_threads : cpus);
  if (!faults) return std::unexpected(faults.error());
  faults_ = std::move(*faults);
  const unsigned threads = options_.runner_threads != 0 ? options_.runner_threads : 2 * cpus;
  auto runners = RunnerPool::create(
      {threads, std::max(threads, kRunnerLimit), std::max(threads, kRunnersPerUid)},
      [this](RunChannel& channel, Result<ipc::Record> record) {
        return run_requests_.serve(channel, std::move(record));
      });
  if (!runners) return std::unexpected(runners.error());
  runners_ = std::move(*runners);
  services_ = std::make_unique<Services>(Services{
      arenas_, programs_, accounts_, *faults_, *runners_, *estate_, slow_calls_, can_signal_others_,
      load_policy_,
      [this](uint64_t id, std::function<void(Session*)> call) { post(id, std::move(call)); },
      [this](uint64_t after) { return client_infos(after); }, [this] { return status(); },
      [this](uint64_t arena_id) { return clients_of(arena_id); },
      [this](uint64_t id) { return find_session(id); }});

  take_over(left);
  auto door = FrontDoor::open(
      loop_, options_, inherited, *store_,
      [this](Fd socket, ipc::PeerCredentials peer) { accept(std::move(socket), std::move(peer)); });
  if (!door) return std::unexpected(door.error());
  door_.emplace(std::move(*door));
  close_leftovers(inherited);
  if (auto watched = start_watchdog(); !watched) return watched;
  loop_.on_signals({SIGTERM, SIGINT, SIGHUP}, [this](int signal) {
    if (signal == SIGHUP) return reload();
    log(LogLevel::info, "daemon.stopping", {{"signal", signal}, {"clients", clients_.size()}});
    tell_stopping();
    loop_.stop();
  });
  return {};
}

Result<void> Broker::configure() {
  auto config = options_.config.empty() ? Result<Config>() : read_config(options_.config);
  if (!config) return std::unexpected(config.error());
  accounts_.set_limits(std::move(config->limits));
  Amounts memory;
  memory.fill(kUnlimited);
  uint64_t& pages = memory[static_cast<size_t>(Resource::pages)];
  if (config->pages_of_broker) {
    pages = *config->pages_of_broker;
  } else if (const auto group = memory_group_limit()) {
    pages = pages_beside_broker(*group);
    log(LogLevel::info, "memory.limited", {{"group_bytes", *group}, {"pages", pages}});
  }
  accounts_.memory().set_limits(memory);
  return {};
}

std::string Broker::status_line() const { return "serving on " + door_->path(); }

// What is in force stays so when the new configuration has an error.
void Broker::reload() {
  tell_reloading();
  if (auto configured = configure(); !configured)
    log(LogLevel::error, "config.refused",
        {{"errno", configured.error().code}, {"error", configured.error().message}});
  else if (options_.config.empty())
    log(LogLevel::info, "config.none", {{"hint", "uarenad was started without --config"}});
  else
    log(LogLevel::info, "config.in_force", {{"file", options_.config}});
  tell_ready(status_line());
}

// What a predecessor has left (takeover.h). What can't go on is said in the log.
void Broker::take_over(EstateEntries& left) {
  if (left.empty()) return;
  take_over_arenas(left, *estate_, arenas_, accounts_);
  take_over_objects(left, *estate_, programs_, accounts_);
  mark_cut_off_runs(left, *estate_, programs_);
  for (LeftClient& client : take_over_clients(left)) {
    if (auto resumed = resume(client); !resumed)
      log(LogLevel::warning, "client.not_resumed",
          {{"client", client.id},
           {"errno", resumed.error().code},
           {"error", resumed.error().message}});
    close_left(client);
  }
  drop_entries(left, *estate_);
  log(LogLevel::info, "daemon.took_over",
      {{"arenas", arenas_.size()}, {"programs", programs_.size()}, {"clients", clients_.size()}});
}

// Holds first, so that they are struck out whatever happens.
Result<void> Broker::resume(LeftClient& left) {
  EstateHold kept(*estate_, {EstateEntry::Kind::client, left.id});
  std::vector<EstateHold> holds;
  std::map<uint64_t, EstateHold> guards;
  for (const auto& [arena, fd] : left.guards)
    guards.emplace(arena, EstateHold(*estate_, {EstateEntry::Kind::guards, left.id, arena}));
  for (const auto* list : {&left.attachments, &left.channels})
    for (const auto& [entry, fd] : *list) holds.emplace_back(*estate_, entry);
  auto peer = ipc::peer_credentials(left.socket.get());
  if (!peer) return std::unexpected(peer.error());
  auto charges = SessionCharges::take_anyway(meet(*peer));
  auto session =
      std::make_unique<Session>(*services_, left.id, std::move(*peer), std::move(charges),
                                ipc::EventLoop::Clock::now(), left.socket.get());
  session->resume(std::move(kept));
  size_t n = 0;
  for (auto& [entry, fd] : left.attachments) {
    EstateHold its = std::move(holds[n++]);
    const auto arena = arenas_.find(entry.second);
    Session::KeptGuards helper{std::move(left.guards[entry.second]),
                               std::move(guards[entry.second])};
    const auto resumed =
        arena ? session->resume_attachment(arena, std::move(fd), std::move(its), std::move(helper))
              : fail(ENOENT, "arena {} could not be taken over", entry.second);
    // The client goes on without that one.
    if (!resumed)
      log(LogLevel::error, "takeover.lost",
          {{"name", entry.name()},
           {"errno", resumed.error().code},
           {"error", resumed.error().message}});
  }
  for (auto& [entry, fd] : left.channels) {
    const auto slot = static_cast<uint32_t>(entry.second);
    if (entry.second >= Ledger::kSlots || !estate_->ledger().take_slot(slot))
      return fail(EINVAL, "the ledger has no slot {} for it", entry.second);
    auto resumed = session->resume_channel(std::move(fd), LedgerSlot(estate_->ledger(), slot),
                                           std::move(holds[n++]));
    if (!resumed) return resumed;
  }
  return add_client(left.id, std::move(left.socket), std::move(session));
}

Result<void> Broker::add_client(uint64_t id, Fd socket, std::unique_ptr<Session> session) {
  auto client = Client::open(loop_, std::move(socket), std::move(session),
                             [this, id](const Error& reason) { remove(id, reason); });
  if (!client) return std::unexpected(client.error());
  clients_.emplace(id, std::move(*client));
  return {};
}

Result<void> Broker::take_devices(Inherited& inherited) {
  auto userfaultfd = inherited.take_device(Inherited::kUserfaultfd);
  if (!userfaultfd) return std::unexpected(userfaultfd.error());
  if (*userfaultfd) uffd::use_device(std::move(**userfaultfd));
  auto latency = inherited.take_device(Inherited::kCpuDmaLatency);
  if (!latency) return std::unexpected(latency.error());
  if (*latency) cpu_dma_latency_ = std::move(**latency);
  return {};
}

// What nobody has taken is of no use to a successor either.
void Broker::close_leftovers(Inherited& inherited) {
  std::vector<Fd> unwanted;
  for (NamedFd& named : inherited.leftovers()) {
    log(LogLevel::warning, "daemon.descriptor_not_wanted", {{"name", named.name}});
    const bool ours =
        named.name == Inherited::kUserfaultfd || named.name == Inherited::kCpuDmaLatency;
    if (auto removed = ours ? Result<void>() : store_->remove(named.name); !removed)
      log(LogLevel::warning, "daemon.not_removed",
          {{"errno", removed.error().code}, {"error", removed.error().message}});
    unwanted.push_back(std::move(named.fd));
  }
  ipc::close_untrusted(std::move(unwanted));
}

Result<void> Broker::start_watchdog() {
  const auto interval = Watchdog::wanted_interval();
  if (!interval) return {};
  auto watchdog = Watchdog::create(loop_, *faults_, *interval, tell_alive);
  if (!watchdog) return std::unexpected(watchdog.error());
  watchdog_ = std::move(*watchdog);
  return {};
}

Broker::~Broker() { UARENA_ASSERT(closed_ || close(), "something of a client still waits"); }

// Who waits for nobody needs a moment to end, even if others have used up the time.
constexpr std::chrono::milliseconds kLeastWait{50};

bool Broker::close() {
  closed_ = true;
  watchdog_.reset();
  door_.reset();  // first the door, then those who are inside
  clients_.clear();
  const auto by = std::chrono::steady_clock::now() + kCloseLimit;
  const auto left = [by] {
    return std::max(kLeastWait, std::chrono::duration_cast<std::chrono::milliseconds>(
                                    by - std::chrono::steady_clock::now()));
  };
  const bool runs_ended = !runners_ || runners_->stop(left());
  const bool timers_ended = timers_.stop(left());
  const bool clients_let_go = slow_calls_.wait(left());
  if (!clients_let_go || !runs_ended || !timers_ended)
    log(LogLevel::warning, "daemon.hangs",
        {{"runs", !runs_ended}, {"timers", !timers_ended}, {"memory_locks", !clients_let_go}});
  return clients_let_go && runs_ended && timers_ended;
}

// On the control thread soon; with the session as it is then.
void Broker::post(uint64_t client_id, std::function<void(Session*)> call) {
  loop_.post([this, client_id, call = std::move(call)] {
    const auto found = clients_.find(client_id);
    call(found == clients_.end() ? nullptr : &found->second->session());
  });
}

void Broker::run() {
  // First: who reads the line may count on it that the manager knows.
  tell_ready(status_line());
  log(LogLevel::info, "daemon.ready",
      {{"version", UARENA_VERSION},
       {"socket", door_->path()},
       {"pid", ::getpid()},
       {"uid", ::geteuid()},
       {"userfaultfd", uffd::features().summary()},
       {"signal_other_uids", can_signal_others_},
       {"fault_threads", faults_->threads()},
       {"runner_threads", runners_->threads()},
       {"store", store_->max()},
       {"cpu_dma_latency", static_cast<bool>(cpu_dma_latency_)}});
  loop_.run();
}

Account& Broker::meet(const ipc::PeerCredentials& peer) {
  std::vector<gid_t> groups = peer.groups;
  groups.push_back(peer.gid);
  return accounts_.meet(peer.uid, std::move(groups));
}

// It is told why, if it looks: the answer to a request that has not been read.
void Broker::turn_away(Fd socket, const ipc::PeerCredentials& peer, const Error& why) {
  log(LogLevel::info, "client.turned_away",
      {{"uid", peer.uid}, {"pid", peer.pid}, {"errno", why.code}, {"error", why.message}});
  [[maybe_unused]] const auto sent =
      ipc::send_record(socket.get(), ipc::make_error(0, why), ipc::Wait::no);
  ipc::close_connection(std::move(socket));
}

void Broker::accept(Fd socket, ipc::PeerCredentials peer) {
  Account& account = meet(peer);
  if (auto often = account.connect(); !often)
    return turn_away(std::move(socket), peer, often.error());
  auto charges = SessionCharges::take(account);
  if (!charges) return turn_away(std::move(socket), peer, charges.error());
  const uint64_t id = estate_->ledger().next(Ledger::Counter::client);
  log(LogLevel::info, "client.connected",
      {{"client", id}, {"pid", peer.pid}, {"uid", peer.uid}, {"comm", peer.comm}});
  auto session = std::make_unique<Session>(*services_, id, std::move(peer), std::move(*charges),
                                           ipc::EventLoop::Clock::now(), socket.get());
  if (auto added = add_client(id, std::move(socket), std::move(session)); !added)
    log(LogLevel::warning, "client.turned_away",
        {{"client", id}, {"errno", added.error().code}, {"error", added.error().message}});
}

// The line is written when all that the client held is released.
void Broker::remove(uint64_t client_id, const Error& reason) {
  const std::string why = reason.message;  // it may belong to the connection
  clients_.erase(client_id);
  log(LogLevel::info, "client.gone", {{"client", client_id}, {"reason", why}});
}

std::vector<uarena_client_info> Broker::client_infos(uint64_t after) const {
  std::vector<uarena_client_info> infos;
  for (auto i = clients_.upper_bound(after); i != clients_.end(); ++i)
    infos.push_back(i->second->session().info());
  return infos;
}

const Session* Broker::find_session(uint64_t client_id) const {
  const auto found = clients_.find(client_id);
  return found == clients_.end() ? nullptr : &found->second->session();
}

std::vector<uarena_client_info> Broker::clients_of(uint64_t arena_id) const {
  std::vector<uarena_client_info> infos;
  for (const auto& [id, client] : clients_)
    if (client->session().holds(arena_id)) infos.push_back(client->session().info());
  return infos;
}

uarena_status_reply Broker::status() const {
  uarena_status_reply s{};
  s.started_ns = started_ns_;
  s.arenas = arenas_.size();
  s.clients = clients_.size();
  s.programs = programs_.size();
  for (const ArenaStanding& standing : arenas_.list())
    s.pages_allocated += standing.arena->counts().pages_allocated;
  const uffd::FaultSummary faults = faults_->summary();
  s.faults_served = faults.counts.served();
  s.faults_refused = faults.counts.refused();
  s.pid = static_cast<uint32_t>(::getpid());
  s.uid = ::geteuid();
  s.fault_threads = static_cast<uint32_t>(faults_->threads());
  s.runner_threads = runners_->threads();
  s.uffd_features = uffd::features().bits;
  s.uffd_full = uffd::features().access == uffd::Access::full;
  s.can_signal_others = can_signal_others_;
  s.exact = uffd::features().guards;
  s.fault_p50_ns = faults.latency.p50_ns;
  s.fault_p99_ns = faults.latency.p99_ns;
  ipc::set_text(s.version, UARENA_VERSION);
  return s;
}

}  // namespace uarena::broker
