// Where a runner waits. A caller sleeps until it has its answer, so the two take turns and one CPU
// is enough for both; on two, each turn wakes a CPU that has gone to sleep, which can take ten
// times as long as the run. The kernel tends to leave two such threads where it finds them. So a
// runner that was called from another CPU goes to the caller's while it waits for the next request,
// and may be run anywhere again as soon as that is there. Where the caller does not stay either, it
// gives up for a while.
#pragma once

#include <sched.h>

namespace uarena::broker {

// One runner's. It changes the CPU affinity of the thread that calls it.
class NearCaller {
 public:
  // Before waiting for another request of a caller that ran on `cpu`, which nobody has checked; -1:
  // unknown.
  void wait_near_untrusted(int cpu);
  // A request is there, or there was none.
  void done();

 private:
  bool is_tiring(int cpu);

  bool moved_ = false;
  cpu_set_t allowed_;  // before it moved
  int in_vain_ = 0;    // moves in a row after which the caller was elsewhere
  int pause_ = 0;      // requests without a move that are left
};

}  // namespace uarena::broker
