// Depth-first search over states. Remembered states are nodes: open while some path from them is
// still to be walked, closed afterwards. Since the search is depth first, the open nodes are those
// on the current path.
//
// Why cutting is right: a path that meets a closed node adds nothing, since its continuations were
// walked. A path that comes back to an open node adds nothing either, for what can go wrong behind
// it will be found there; but then nobody has shown that the program gets out of this circle. So
// such a return is only taken where a loop's head is, and the head gets a budget: of every circle
// among remembered states at least one edge leads to an open node, so every endless run uses up
// that budget. A may_goto has one of its own (K54). A circle without any branch has no way out, and
// is an error.
#include "jit/verifier/explore.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "jit/verifier/print.h"
#include "jit/verifier/walk_log.h"

namespace uarena::jit::verifier {
namespace {

// As in the kernel: more branches waiting than this is no ordinary program.
constexpr size_t kMaxWaiting = 65'536;
constexpr size_t kMaxNodes = 100'000;
constexpr uint64_t kLookAtClock = 256;  // instructions, of some 10 us each at worst
// What remembered and waiting states may take together. A state can have 60 KiB, so that their
// numbers alone would allow one object gigabytes; ordinary programs stay below 50 MiB.
constexpr size_t kMaxStateBytes = size_t{256} << 20;
// Loops are explored pass by pass until the walk has become longer than this, and than so many
// times the program.
constexpr uint64_t kCheapInsns = 20'000;
constexpr uint64_t kCheapPasses = 20;
constexpr unsigned kMinDistance = 8;  // instructions between two remembered states

struct Node {
  State state;
  Node* parent = nullptr;
  size_t at = 0;
  uint32_t waiting = 1;     // paths from here that are not finished
  unsigned rounds = 0;      // widenings that led to this state
  unsigned generation = 0;  // earlier ones at this place, called from the same places
  uint64_t forks = 0;
  uint32_t hits = 0;
  uint32_t misses = 0;
};

// The nodes of one instruction.
struct Nodes {
  std::vector<std::unique_ptr<Node>> open;  // oldest first
  std::vector<std::unique_ptr<Node>> closed;
};

size_t bytes_of(const State& state) {
  size_t bytes = 0;
  for (const Frame& frame : state.frames)
    bytes += sizeof(Frame) + frame.stack.size() * sizeof(Slot);
  return bytes + state.refs.size() * sizeof(Ref);
}

struct Path {
  State state;
  size_t at = 0;
  Node* parent = nullptr;
  size_t length = 0;      // of the trace
  size_t log_place = 0;   // where the log's text ended
  size_t from = 0;        // the instruction at which it began to wait
  uint64_t forks = 0;     // branches with two ways, so far
  unsigned distance = 0;  // instructions since a state was remembered
};

class Explorer {
 public:
  Explorer(const Subject& subject, const Limits& limits)
      : subject_(subject),
        limits_(limits),
        found_(subject.program),
        nodes_(subject.program.insns.size() + 1),
        log_(subject, limits.log_level) {}

  Outcome run() {
    Checked<> verdict = walk_from(program_entry(), 0);
    while (verdict && !all_walked()) verdict = walk_next();
    Outcome out{verdict, std::move(found_), statistics_, widened_, {}, {}, {}};
    if (!verdict) {
      out.path = std::move(trace_);
      if (!path_.state.frames.empty()) out.last_state = to_string(path_.state, subject_.object);
    }
    out.log = log_.take();
    return out;
  }

 private:
  // --- walks of their own ---

  bool all_walked() const {
    return globals_done_.size() == found_.globals.size() &&
           timed_done_.size() == found_.timed.size();
  }

  Checked<> walk_next() {
    for (const uint32_t n : found_.globals)
      if (globals_done_.insert(n).second) {
        auto entry = global_entry(subject_, n, found_);
        if (!entry) return std::unexpected(entry.error());
        return walk_from(std::move(*entry), subject_.program.subprogs[n].start);
      }
    for (const auto& [n, map] : found_.timed)
      if (timed_done_.insert({n, map}).second)
        return walk_from(timer_entry(subject_, n, map, found_), subject_.program.subprogs[n].start);
    UARENA_ASSERT(false, "all functions are walked already");
    return {};
  }

  Checked<> walk_from(State entry, size_t at) {
    for (Nodes& nodes : nodes_) nodes = {};
    node_count_ = 0;
    state_bytes_ = 0;
    waiting_.clear();
    trace_.clear();
    path_ = {};
    path_.state = std::move(entry);
    walking_ = true;
    // The root stands after the last instruction, where no path is ever compared with it.
    const auto root = remember(subject_.program.insns.size(), nullptr, 0);
    UARENA_ASSERT(root.has_value(), "the first state was refused");
    path_.at = at;
    log_.begin(path_.state.top().subprog, at, path_.state);
    Checked<> verdict;
    while (verdict && next_path()) verdict = walk_path();
    return verdict;
  }

  // The path at hand, or the newest of those that wait.
  bool next_path() {
    if (walking_) return true;
    if (waiting_.empty()) return false;
    path_ = std::move(waiting_.back());
    waiting_.pop_back();
    state_bytes_ -= bytes_of(path_.state);
    trace_.resize(path_.length);
    log_.go_back(path_.log_place, path_.from, path_.at, path_.state);
    walking_ = true;
    return true;
  }

  Checked<> check_time(size_t at) const {
    if (limits_.cancelled != nullptr && limits_.cancelled->load(std::memory_order_relaxed))
      return fault(at, ECANCELED, "verification was given up: nobody waits for it");
    if (std::chrono::steady_clock::now() >= limits_.deadline)
      return fault(at, E2BIG,
                   "too complex: {} instructions walked in the time that a load may take",
                   statistics_.insns);
    return {};
  }

  Checked<> walk_path() {
    while (walking_) {
      const size_t at = path_.at;
      if (++statistics_.insns > limits_.insns)
        return fault(at, E2BIG, "too complex: {} instructions walked", limits_.insns);
      if (statistics_.insns % kLookAtClock == 0)
        if (auto ok = check_time(at); !ok) return ok;
      trace_.push_back(static_cast<uint32_t>(at));
      if (must_compare(at)) {
        if (auto ok = compare(at); !ok) return ok;
        if (!walking_) return {};
      }
      if (limits_.sink != nullptr) limits_.sink->walk(at, path_.state);
      log_.before(at, path_.state);
      if (auto ok = step(at); !ok) return ok;
      if (walking_) log_.after(at, path_.at, path_.state);
    }
    return {};
  }

  // --- one instruction ---

  Checked<> step(size_t at) {
    Walk walk{subject_, found_, path_.state, at};
    const Insn& i = walk.insn();
    ++path_.distance;
    found_.facts[at].reached = true;
    path_.at = at + 1;
    switch (insn_class(i.code)) {
      case kAlu:
      case kAlu64:
        return step_alu(walk);
      case kLd:
        found_.facts[at + 1].reached = true;
        path_.at = at + 2;
        return step_constant(walk);
      case kLdx:
        return step_load(walk);
      case kSt:
        return step_store(walk);
      case kStx:
        return insn_mode(i.code) == kAtomic ? step_atomic(walk) : step_store(walk);
      default:
        return step_control(walk);
    }
  }

  Checked<> step_control(Walk& walk) {
    const Insn& i = walk.insn();
    switch (insn_op(i.code)) {
      case kJa:
        path_.at = jump_target(subject_.program, walk.at);
        return {};
      case kJcond:
        return wait_at(jump_target(subject_.program, walk.at), path_.state, walk.at);
      case kCall:
        return is_pseudo_call(i) ? step_subprog(walk) : step_call(walk);
      case kExit: {
        const auto next = step_exit(walk);
        if (!next) return std::unexpected(next.error());
        if (*next)
          path_.at = **next;
        else
          end_path();
        return {};
      }
      default:
        return step_fork(walk);
    }
  }

  Checked<> step_subprog(Walk& walk) {
    const size_t depth = path_.state.frames.size();
    if (auto ok = enter_subprog(walk); !ok) return ok;
    if (path_.state.frames.size() > depth)
      path_.at = subject_.program.subprogs[path_.state.top().subprog].start;
    return {};
  }

  Checked<> step_call(Walk& walk) {
    auto outcome = step_function(walk);
    if (!outcome) return std::unexpected(outcome.error());
    if (outcome->entered) path_.at = subject_.program.subprogs[path_.state.top().subprog].start;
    if (!outcome->other) return {};
    return wait_at(walk.at + 1, std::move(*outcome->other), walk.at);
  }

  Checked<> step_fork(Walk& walk) {
    const auto fork = step_branch(walk);
    if (!fork) return std::unexpected(fork.error());
    if (!fork->taken.possible && !fork->fall.possible)  // never, while every step is sound
      return fault(walk.at, EFAULT, "contradictory state:{}",
                   to_string(path_.state, subject_.object));
    const size_t target = jump_target(subject_.program, walk.at);
    if (fork->taken.possible && fork->fall.possible) {
      State taken = path_.state;
      learn(walk, taken, fork->taken);
      if (auto ok = wait_at(target, std::move(taken), walk.at); !ok) return ok;
    }
    if (fork->fall.possible) {
      learn(walk, path_.state, fork->fall);
    } else {
      learn(walk, path_.state, fork->taken);
      path_.at = target;
    }
    return {};
  }

  // Another way from the instruction at hand.
  Checked<> wait_at(size_t target, State state, size_t at) {
    if (waiting_.size() >= kMaxWaiting)
      return fault(at, E2BIG, "The sequence of {} jumps is too complex.", kMaxWaiting);
    if (auto ok = make_room(state, at); !ok) return ok;
    ++path_.forks;
    ++path_.parent->waiting;
    waiting_.push_back({std::move(state), target, path_.parent, trace_.size(), log_.place(), at,
                        path_.forks, path_.distance});
    return {};
  }

  Checked<> make_room(const State& state, size_t at) {
    state_bytes_ += bytes_of(state);
    if (state_bytes_ <= kMaxStateBytes) return {};
    return fault(at, E2BIG, "too complex: states of more than {} MiB to compare with",
                 kMaxStateBytes >> 20);
  }

  // --- remembered states ---

  bool must_compare(size_t at) const {
    return subject_.cfg.join_point[at] || subject_.repeats[at] != Repeat::none;
  }

  Checked<> compare(size_t at) {
    forget_dead(path_.state, at, subject_.live);
    if (walked_already(at)) {
      log_.safe(at);
      end_path();
      return {};
    }
    return subject_.repeats[at] == Repeat::none ? join_or_remember(at) : settle(at);
  }

  bool walked_already(size_t at) {
    auto& closed = nodes_[at].closed;
    for (size_t n = closed.size(); n-- > 0;) {
      Node& node = *closed[n];
      if (same_calls(node.state, path_.state) && subsumes(node.state, path_.state)) {
        ++node.hits;
        return true;
      }
      const bool newest = n + 1 == closed.size();
      if (++node.misses <= 8 + 4 * node.hits || newest) continue;
      state_bytes_ -= bytes_of(node.state);  // seldom of use
      closed.erase(closed.begin() + static_cast<ptrdiff_t>(n));
      --node_count_;
    }
    return false;
  }

  // Where a loop comes back: the path ends if an earlier state of this loop holds it. Otherwise it
  // goes on, after some passes widened, so that sooner or later one does.
  Checked<> settle(size_t at) {
    const Node* latest = nullptr;
    unsigned seen = 0;
    auto& open = nodes_[at].open;
    for (auto node = open.rbegin(); node != open.rend(); ++node) {
      const State& before = (*node)->state;
      if (!same_calls(before, path_.state)) continue;
      if (subsumes(before, path_.state)) return close_loop(at, **node);
      if (latest == nullptr) latest = node->get();
      ++seen;
    }
    unsigned rounds = 0;
    if (latest != nullptr && seen >= patience(at) &&
        widen(latest->state, path_.state, subject_.thresholds, latest->rounds)) {
      rounds = latest->rounds + 1;
      note_widened();
    }
    return remember(at, latest, rounds);
  }

  // Loops that end by themselves at run time settle at once; others are worth some passes.
  unsigned patience(size_t at) const {
    if (subject_.repeats[at] != Repeat::head) return limits_.bounded_passes;
    const uint64_t cheap = kCheapInsns + kCheapPasses * subject_.program.insns.size();
    return statistics_.insns > cheap ? std::min(limits_.loop_passes, limits_.bounded_passes)
                                     : limits_.loop_passes;
  }

  Checked<> close_loop(size_t at, const Node& node) {
    if (node.forks == path_.forks || !subject_.cfg.reaches_exit[at])
      return fault(at, EINVAL, "infinite loop detected at insn {}", at);
    // Calls end their loops, but many loops inside each other take for ever.
    if (subject_.repeats[at] != Repeat::may_goto) found_.facts[at].budget = true;
    end_path();
    return {};
  }

  Checked<> join_or_remember(size_t at) {
    const Node* latest = nullptr;
    const auto& closed = nodes_[at].closed;
    for (size_t n = closed.size(); n-- > 0 && latest == nullptr;)
      if (same_calls(closed[n]->state, path_.state)) latest = closed[n].get();
    if (latest != nullptr && latest->generation >= limits_.states &&
        widen(latest->state, path_.state, subject_.thresholds, latest->rounds)) {
      note_widened();
      return remember(at, latest, latest->rounds + 1);
    }
    if (path_.distance < kMinDistance) return {};
    return remember(at, latest, 0);
  }

  Checked<> remember(size_t at, const Node* latest, unsigned rounds) {
    if (node_count_ >= kMaxNodes)
      return fault(at, E2BIG, "too complex: {} states to compare with", kMaxNodes);
    if (auto ok = make_room(path_.state, at); !ok) return ok;
    auto node = std::make_unique<Node>();
    node->state = path_.state;
    node->parent = path_.parent;
    node->at = at;
    node->rounds = rounds;
    node->generation = latest == nullptr ? 0 : latest->generation + 1;
    node->forks = path_.forks;
    // The path at hand now counts for the new node, and the new node for its parent.
    path_.parent = node.get();
    path_.distance = 0;
    nodes_[at].open.push_back(std::move(node));
    ++node_count_;
    ++statistics_.total_states;
    statistics_.peak_states = std::max(statistics_.peak_states, node_count_);
    statistics_.max_states_per_insn = std::max(statistics_.max_states_per_insn,
                                               nodes_[at].open.size() + nodes_[at].closed.size());
    return {};
  }

  void end_path() {
    walking_ = false;
    for (Node* node = path_.parent; node != nullptr && --node->waiting == 0;) {
      Node* parent = node->parent;
      auto& [open, closed] = nodes_[node->at];
      UARENA_ASSERT(!open.empty() && open.back().get() == node,
                    "insn {}: nodes closed out of order", node->at);
      closed.push_back(std::move(open.back()));
      open.pop_back();
      node = parent;
    }
  }

  void note_widened() {
    widened_ = true;
    log_.widened(path_.state);
  }

  const Subject& subject_;
  const Limits limits_;
  Findings found_;
  Statistics statistics_;
  std::vector<Nodes> nodes_;
  std::set<uint32_t> globals_done_;
  std::set<std::pair<uint32_t, uint32_t>> timed_done_;
  size_t node_count_ = 0;
  size_t state_bytes_ = 0;  // of nodes and of what waits
  std::vector<Path> waiting_;
  Path path_;
  bool walking_ = false;
  bool widened_ = false;
  std::vector<uint32_t> trace_;  // the instructions of the path at hand
  WalkLog log_;
};

}  // namespace

Outcome explore(const Subject& subject, const Limits& limits) {
  if (limits.sink != nullptr) limits.sink->restart();
  return Explorer(subject, limits).run();
}

}  // namespace uarena::jit::verifier
