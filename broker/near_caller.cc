#include "broker/near_caller.h"

#include <utility>

namespace uarena::broker {
namespace {

constexpr int kTries = 4;    // a move takes about one request to have its effect
constexpr int kPause = 256;  // so much rarer than a request that its cost is lost in them

}  // namespace

// Whether to stay, since moving has not helped.
bool NearCaller::is_tiring(int cpu) {
  if (cpu == ::sched_getcpu()) {
    in_vain_ = 0;
    return true;
  }
  if (pause_ > 0) {
    --pause_;
    return true;
  }
  if (++in_vain_ <= kTries) return false;
  in_vain_ = 0;
  pause_ = kPause;
  return true;
}

void NearCaller::wait_near_untrusted(int cpu) {
  if (cpu < 0 || cpu >= CPU_SETSIZE || is_tiring(cpu)) return;
  if (::sched_getaffinity(0, sizeof allowed_, &allowed_) != 0) return;  // more CPUs than fit it
  if (!CPU_ISSET(static_cast<size_t>(cpu), &allowed_)) return;
  cpu_set_t there;
  CPU_ZERO(&there);
  CPU_SET(static_cast<size_t>(cpu), &there);
  moved_ = ::sched_setaffinity(0, sizeof there, &there) == 0;
}

// Fails only where the CPUs that were allowed have been taken away meanwhile; then the kernel has
// chosen others.
void NearCaller::done() {
  if (std::exchange(moved_, false)) ::sched_setaffinity(0, sizeof allowed_, &allowed_);
}

}  // namespace uarena::broker
