#include "uffd/fault_loop.h"

#include <sched.h>

#include <algorithm>

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
    auto worker = FaultWorker::create(i);
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
                                       std::shared_ptr<Resolver> resolver, FaultAudience audience) {
  UARENA_ASSERT(uffd && resolver && audience.counters, "client {} without its things", peer.pid);
  audience.tallies.push_back(total_);
  return add(least_loaded(),
             std::make_unique<FaultSession>(std::move(uffd), std::move(peer), std::move(resolver),
                                            std::move(audience)));
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

std::optional<Userfaultfd> FaultLoop::drop(Id id) {
  const auto session = workers_[id % workers_.size()]->remove(id);
  if (!session) return std::nullopt;
  return session->take();
}

size_t FaultLoop::clients() const {
  size_t sum = 0;
  for (const auto& worker : workers_) sum += worker->clients();
  return sum;
}

uint64_t FaultLoop::turns() const {
  uint64_t sum = 0;
  for (const auto& worker : workers_) sum += worker->turns();
  return sum;
}

}  // namespace uarena::uffd
