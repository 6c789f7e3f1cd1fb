#include "uffd/fault_loop.h"

#include <sched.h>

#include <algorithm>

#include "ipc/base/log.h"

namespace uarena::uffd {
namespace {

unsigned usable_cpus() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  // Fails on machines with more CPUs than the set has bits: then ask for the number only.
  if (::sched_getaffinity(0, sizeof cpus, &cpus) != 0)
    return std::max(1u, std::thread::hardware_concurrency());
  return static_cast<unsigned>(CPU_COUNT(&cpus));
}

}  // namespace

Result<std::unique_ptr<FaultLoop>> FaultLoop::create(unsigned threads) {
  std::unique_ptr<FaultLoop> loop(new FaultLoop);
  const unsigned count = threads == 0 ? usable_cpus() : threads;
  for (unsigned i = 0; i < count; ++i) {
    auto worker = FaultWorker::create(fmt::format("fault/{}", i));
    if (!worker) return std::unexpected(worker.error());
    loop->workers_.push_back(std::move(*worker));
  }
  return loop;
}

size_t FaultLoop::least_loaded() const {
  const auto least =
      std::ranges::min_element(workers_, {}, [](const auto& worker) { return worker->clients(); });
  return static_cast<size_t>(least - workers_.begin());
}

Result<FaultLoop::Id> FaultLoop::adopt(Userfaultfd uffd, Peer peer,
                                       std::shared_ptr<Resolver> resolver, FaultAudience audience,
                                       uint32_t around) {
  UARENA_ASSERT(uffd && resolver && audience.counters, "client {} without its things", peer.pid);
  audience.tallies.push_back(total_);
  auto session = std::make_unique<FaultSession>(std::move(uffd), std::move(peer),
                                                std::move(resolver), std::move(audience), around);
  return around > 1 ? add_lone(std::move(session)) : add(least_loaded(), std::move(session));
}

Result<FaultLoop::Id> FaultLoop::adopt_probe(size_t thread, Userfaultfd uffd, Peer self,
                                             std::shared_ptr<Resolver> resolver) {
  UARENA_ASSERT(uffd && resolver && thread < workers_.size(), "a probe of thread {}", thread);
  return add(thread,
             std::make_unique<FaultSession>(std::move(uffd), std::move(self), std::move(resolver),
                                            FaultAudience{std::make_shared<FaultCounters>()}));
}

// An id tells its worker: id % threads.
Result<FaultLoop::Id> FaultLoop::add(size_t thread, std::unique_ptr<FaultSession> session) {
  const Id id = next_.fetch_add(1, std::memory_order_relaxed) * workers_.size() + thread;
  if (auto added = workers_[thread]->add(id, std::move(session)); !added)
    return std::unexpected(added.error());
  return id;
}

Result<FaultLoop::Id> FaultLoop::add_lone(std::unique_ptr<FaultSession> session) {
  const Id id = next_.fetch_add(1, std::memory_order_relaxed) * workers_.size();
  auto worker = FaultWorker::create(fmt::format("around/{}", session->pid()));
  if (!worker) return std::unexpected(worker.error());
  if (auto added = (*worker)->add(id, std::move(session)); !added)
    return std::unexpected(added.error());
  const std::lock_guard guard(lone_lock_);
  lone_.emplace(id, std::move(*worker));
  return id;
}

// The lock is not held while we wait for one of them.
std::optional<Userfaultfd> FaultLoop::drop(Id id) {
  std::unique_lock guard(lone_lock_);
  if (auto lone = lone_.extract(id)) {
    guard.unlock();
    return lone.mapped()->remove(id)->take();
  }
  guard.unlock();
  const auto session = workers_[id % workers_.size()]->remove(id);
  if (!session) return std::nullopt;
  return session->take();
}

size_t FaultLoop::clients() const {
  size_t sum = 0;
  for (const auto& worker : workers_) sum += worker->clients();
  const std::lock_guard guard(lone_lock_);
  return sum + lone_.size();
}

uint64_t FaultLoop::turns() const {
  uint64_t sum = 0;
  for (const auto& worker : workers_) sum += worker->turns();
  const std::lock_guard guard(lone_lock_);
  for (const auto& [id, worker] : lone_) sum += worker->turns();
  return sum;
}

}  // namespace uarena::uffd
