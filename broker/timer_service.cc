#include "broker/timer_service.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <cstring>
#include <new>
#include <system_error>

#include "ipc/base/clock.h"
#include "ipc/base/log.h"
#include "jit/turns.h"

namespace uarena::broker {
namespace {

constexpr std::array<clockid_t, 3> kClockIds = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME};
constexpr uint64_t kMaxClocks = 16;  // MAX_CLOCKS of the kernel: flags of bpf_timer_init
constexpr uint64_t kAbsolute = 1;    // BPF_F_TIMER_ABS
constexpr uint64_t kCpuPin = 2;      // BPF_F_TIMER_CPU_PIN
constexpr int64_t kNever = INT64_MAX;
constexpr int64_t kPostponedNs = 100'000'000;  // a hundredth of the time that a limit is meant over
constexpr auto kLook = std::chrono::milliseconds(10);  // who waits looks at its run's limit

// A timer's 16 bytes. All zeros: not initialised.
struct Cell {
  uint8_t initialised;
  uint8_t clock;
  uint16_t map;      // among the object's
  uint32_t program;  // among the object's, plus 1; 0: it has no callback
  uint32_t callback;
  uint32_t unused;
};
static_assert(sizeof(Cell) == jit::kTimerBytes);

Cell& cell_of(std::byte* timer) { return *reinterpret_cast<Cell*>(timer); }

int64_t now_ns(clockid_t clock) { return static_cast<int64_t>(clock_ns(clock)); }

const Program& program_of(const jit::RunContext& run) {
  return *static_cast<const Program*>(run.owner);
}

// What is too far away is never, and so is a time before the clock's beginning, as in the kernel.
int64_t due_time(uint64_t ns, bool absolute, clockid_t clock) {
  const auto wanted = static_cast<int64_t>(ns);
  int64_t due = 0;
  const int64_t from = absolute ? 0 : now_ns(clock);
  return wanted < 0 || __builtin_add_overflow(from, wanted, &due) ? kNever : due;
}

// The program of the object that the timer's callback is in, if it is still loaded.
std::shared_ptr<const Program> callback_program(const Cell& cell, const ObjectState& object) {
  if (cell.program == 0 || cell.program > object.programs.size()) return nullptr;
  auto program = object.programs[cell.program - 1].lock();
  return program && !program->unloaded ? program : nullptr;
}

// Runs on one CPU for as long as this lives, if the process may.
class OnCpu {
 public:
  explicit OnCpu(int cpu) {
    if (cpu < 0 || cpu >= CPU_SETSIZE) return;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<size_t>(cpu), &one);
    if (::sched_getaffinity(0, sizeof before_, &before_) != 0) return;
    pinned_ = ::sched_setaffinity(0, sizeof one, &one) == 0;
  }
  OnCpu(const OnCpu&) = delete;
  OnCpu& operator=(const OnCpu&) = delete;
  ~OnCpu() {
    if (pinned_) ::sched_setaffinity(0, sizeof before_, &before_);
  }

 private:
  cpu_set_t before_{};
  bool pinned_ = false;
};

}  // namespace

Result<void> TimerService::start_thread() {
  stop_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop_) return fail_errno(errno, "cannot make the timers' stop event");
  for (size_t clock = 0; clock < kClocks; ++clock) {
    queues_[clock].timer.reset(::timerfd_create(kClockIds[clock], TFD_CLOEXEC | TFD_NONBLOCK));
    if (!queues_[clock].timer) return fail_errno(errno, "cannot make a timerfd");
  }
  try {
    thread_ = std::thread([this] { work(); });
  } catch (const std::system_error& error) {
    return fail_errno(error.code().value(), "cannot start the timers' thread");
  }
  ::pthread_setname_np(thread_.native_handle(), "timers");
  return {};
}

bool TimerService::stop(std::chrono::milliseconds limit) {
  if (!thread_.joinable()) return true;
  stopping_ = true;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(stop_.get(), &one, sizeof one);
  {
    std::unique_lock guard(lock_);
    const auto ended = [this] { return ended_; };
    if (limit == std::chrono::milliseconds::max())
      idle_.wait(guard, ended);
    else if (!idle_.wait_for(guard, limit, ended))
      return false;
  }
  thread_.join();
  return true;
}

size_t TimerService::armed() const {
  const std::lock_guard guard(lock_);
  return armed_.size();
}

int TimerService::init(std::byte* timer, const jit::BoundMap& map, uint64_t flags,
                       jit::RunContext& run) {
  if (flags >= kMaxClocks) return -EINVAL;
  const auto clock = std::ranges::find(kClockIds, static_cast<clockid_t>(flags));
  if (clock == kClockIds.end()) return -EINVAL;
  const ObjectState& object = *program_of(run).object;
  const std::lock_guard guard(lock_);
  if (cell_of(timer).initialised != 0) return -EBUSY;
  if (object.loaded == 0) return -EPERM;
  disarm(timer);  // of an object that is no more, at the same address
  size_t place = 0;
  while (place < object.bound.size() && &object.bound[place] != &map) ++place;
  UARENA_ASSERT(place < object.bound.size(), "map {} is not the object's", map.name);
  cell_of(timer) = {.initialised = 1,
                    .clock = static_cast<uint8_t>(clock - kClockIds.begin()),
                    .map = static_cast<uint16_t>(place),
                    .program = 0,
                    .callback = 0,
                    .unused = 0};
  return 0;
}

int TimerService::set_callback(std::byte* timer, uint32_t callback, jit::RunContext& run) {
  const Program& program = program_of(run);
  const std::lock_guard guard(lock_);
  Cell& cell = cell_of(timer);
  if (cell.initialised == 0) return -EINVAL;
  if (program.object->loaded == 0) return -EPERM;
  cell.program = program.index + 1;
  cell.callback = callback;
  // One that is armed calls the new one.
  if (const auto found = armed_.find(timer); found != armed_.end()) {
    found->second.callback = callback;
    found->second.program = callback_program(cell, *program.object);
  }
  return 0;
}

int TimerService::start(std::byte* timer, uint64_t ns, uint64_t flags, jit::RunContext& run) {
  if ((flags & ~(kAbsolute | kCpuPin)) != 0) return -EINVAL;
  const ObjectState& object = *program_of(run).object;
  const std::lock_guard guard(lock_);
  const Cell& cell = cell_of(timer);
  if (cell.initialised == 0) return -EINVAL;
  const auto program = callback_program(cell, object);
  if (!program) return -EINVAL;
  Armed armed;
  armed.clock = cell.clock;
  armed.callback = cell.callback;
  armed.due_ns = due_time(ns, (flags & kAbsolute) != 0, kClockIds[cell.clock]);
  armed.cpu = (flags & kCpuPin) != 0 ? static_cast<int>(run.current_cpu()) : -1;
  armed.program = program;
  armed.map = &object.bound[cell.map];
  disarm(timer);
  Queue& queue = queues_[armed.clock];
  try {
    queue.order.emplace(armed.due_ns, timer);
    armed_.emplace(timer, armed);
  } catch (const std::bad_alloc&) {
    queue.order.erase({armed.due_ns, timer});
    return -ENOMEM;
  }
  set_clock(queue);
  return 0;
}

int TimerService::cancel(std::byte* timer, jit::RunContext& run) {
  std::unique_lock guard(lock_);
  Cell& cell = cell_of(timer);
  if (cell.initialised == 0) return -EINVAL;
  const bool on_thread = std::this_thread::get_id() == thread_.get_id();
  if (on_thread && running_ == timer) return -EDEADLK;
  cell.program = 0;
  const bool was_armed = disarm(timer);
  while (!on_thread && running_ == timer && jit::run_may_wait(&run)) idle_.wait_for(guard, kLook);
  return was_armed ? 1 : 0;
}

void TimerService::forget(std::byte* timer) {
  const std::lock_guard guard(lock_);
  disarm(timer);
  cell_of(timer) = {};
}

// The caller holds lock_.
bool TimerService::disarm(std::byte* timer) {
  const auto found = armed_.find(timer);
  if (found == armed_.end()) return false;
  Queue& queue = queues_[found->second.clock];
  const bool alive = !found->second.program.expired();
  queue.order.erase({found->second.due_ns, timer});
  armed_.erase(found);
  set_clock(queue);
  return alive;
}

// For the earliest timer of the queue, or off.
void TimerService::set_clock(Queue& queue) {
  itimerspec when{};
  if (!queue.order.empty() && queue.order.begin()->first != kNever) {
    const int64_t due = std::max<int64_t>(queue.order.begin()->first, 1);  // 0 is off
    when.it_value = {.tv_sec = due / 1'000'000'000, .tv_nsec = due % 1'000'000'000};
  }
  ::timerfd_settime(queue.timer.get(), TFD_TIMER_ABSTIME, &when, nullptr);
}

void TimerService::work() {
  {
    const std::lock_guard guard(lock_);
    ended_ = false;
  }
  while (wait_for_timers()) {
    while (!stopping_) {
      auto due = take_due();
      if (!due) break;
      fire(due->first, due->second);
      const std::lock_guard guard(lock_);
      running_ = nullptr;
      idle_.notify_all();
    }
  }
  const std::lock_guard guard(lock_);
  ended_ = true;
  idle_.notify_all();
}

// A timerfd stays readable until it is set anew.
bool TimerService::wait_for_timers() {
  std::array<pollfd, kClocks + 1> fds{};
  for (size_t clock = 0; clock < kClocks; ++clock)
    fds[clock] = {.fd = queues_[clock].timer.get(), .events = POLLIN, .revents = 0};
  fds[kClocks] = {.fd = stop_.get(), .events = POLLIN, .revents = 0};
  while (::poll(fds.data(), fds.size(), -1) < 0 && errno == EINTR) continue;
  return !stopping_;
}

// The one that is over for longest on its clock. From here on it is not armed.
std::optional<std::pair<std::byte*, TimerService::Armed>> TimerService::take_due() {
  const std::lock_guard guard(lock_);
  std::byte* timer = nullptr;
  int64_t longest = -1;
  for (size_t clock = 0; clock < kClocks; ++clock) {
    Queue& queue = queues_[clock];
    if (queue.order.empty()) continue;
    const auto& [due, first] = *queue.order.begin();
    const int64_t over = due == kNever ? -1 : now_ns(kClockIds[clock]) - due;
    if (over <= longest) continue;
    longest = over;
    timer = first;
  }
  if (timer == nullptr) return std::nullopt;
  std::pair found{timer, armed_.at(timer)};
  disarm(timer);
  running_ = timer;
  return found;
}

// Its owner's programs have had their CPU time for now. Cancelled or started anew meanwhile, it is
// whoever did that who decides.
void TimerService::postpone(std::byte* timer, Armed armed) {
  const std::lock_guard guard(lock_);
  if (armed_.contains(timer) || cell_of(timer).program == 0) return;
  armed.due_ns = now_ns(kClockIds[armed.clock]) + kPostponedNs;
  Queue& queue = queues_[armed.clock];
  queue.order.emplace(armed.due_ns, timer);
  armed_.emplace(timer, std::move(armed));
  set_clock(queue);
}

void TimerService::fire(std::byte* timer, const Armed& armed) {
  const std::shared_ptr<const Program> program = armed.program.lock();
  if (!program || program->unloaded) return;
  if (!program->account->may_run()) return postpone(timer, armed);
  const CpuCharge cpu(*program->account);
  const jit::BoundMap& map = *armed.map;
  uint32_t offset = 0;
  for (const jit::MapField& field : map.fields)
    if (field.kind == jit::MapField::Kind::timer) offset = field.offset;
  const jit::Map::Element element = map.map->element_of(timer - offset);
  const OnCpu pinned(armed.cpu);
  run_callback(*program, armed.callback,
               {reinterpret_cast<uint64_t>(&map), reinterpret_cast<uint64_t>(element.key),
                reinterpret_cast<uint64_t>(element.value), 0, 0},
               stopping_);
}

}  // namespace uarena::broker
