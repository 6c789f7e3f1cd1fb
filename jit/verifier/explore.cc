// Depth-first search over states. Remembered states are nodes: open while some path from them is
// still to be walked, closed afterwards. Since the search is depth first, the open nodes are those
// on the current path.
//
// Why cutting is right: a path that meets a closed node adds nothing (its continuations were
// walked). A path that comes back to an open node may only be cut where the node is at a may_goto
// of the same call: every cycle among remembered states needs such an edge, so every endless run
// passes that may_goto again and again, and it ends there. Any other return to an equal open state
// is an endless loop.
//
// A may_goto counts per call, so that argument holds while a cycle stays in the call. A closed node
// from which a cut leads back to an open one is part of a cycle that is still being walked: it ends
// paths of its own call only. A path of a later call of the same function would close a cycle that
// leaves the may_goto's frame and enters it anew, with its count full again.
#include "jit/verifier/explore.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "jit/verifier/print.h"

namespace uarena::jit::verifier {
namespace {

// As in the kernel: more branches waiting than this is no ordinary program.
constexpr size_t kMaxWaiting = 8192;
constexpr size_t kMaxNodes = 100'000;
constexpr uint64_t kLookAtClock = 256;  // instructions, of some 10 us each at worst
// What remembered and waiting states may take together. A state can have 60 KiB, so that their
// numbers alone would allow one object gigabytes; ordinary programs stay below 50 MiB.
constexpr size_t kMaxStateBytes = size_t{256} << 20;
// How many of the newest open nodes are looked at for an endless loop, and from how many on only
// some passes are remembered.
constexpr size_t kRecent = 16;
constexpr size_t kManyOpen = 64;
// The newest steps of a path keep their text.
constexpr size_t kLoggedSteps = 4096;
constexpr unsigned kMinDistance = 8;  // instructions between two remembered states

struct Node {
  State state;
  Node* parent = nullptr;
  size_t at = 0;
  uint32_t waiting = 1;  // paths from here that are not finished
  unsigned rounds = 0;   // widenings that led to this state
  uint32_t serial = 0;   // in the order of remembering, so parents have lower ones
  uint64_t may_gotos = 0;
  uint32_t hits = 0;
  uint32_t misses = 0;
};

// Of every node ever remembered, by serial. `back_to`: the oldest node that its paths, as far as
// they are walked, lead back to; its own serial if to none before it.
struct Cycle {
  uint32_t back_to;
  bool open;
};

// The nodes of one instruction.
struct Nodes {
  std::vector<std::unique_ptr<Node>> open;  // oldest first
  std::vector<std::unique_ptr<Node>> closed;
  uint64_t passes = 0;
};

size_t bytes_of(const State& state) {
  size_t bytes = 0;
  for (const Frame& frame : state.frames)
    bytes += sizeof(Frame) + frame.stack.size() * sizeof(Slot);
  return bytes;
}

struct Path {
  State state;
  size_t at = 0;
  Node* parent = nullptr;
  size_t length = 0;       // of the trace
  uint64_t may_gotos = 0;  // passed so far
  unsigned distance = 0;   // instructions since a state was remembered
};

class Explorer {
 public:
  Explorer(const Subject& subject, const Limits& limits)
      : subject_(subject),
        limits_(limits),
        found_(subject.program),
        nodes_(subject.program.insns.size() + 1) {}

  Outcome run() {
    start();
    Checked<> verdict;
    while (verdict && next_path()) verdict = walk_path();
    Outcome out{verdict, std::move(found_), insns_, widened_, {}, {}, {}};
    if (!verdict) {
      for (const Step& step : trace_) out.path.push_back(step.insn);
      if (!path_.state.frames.empty()) out.last_state = to_string(path_.state);
    }
    out.log = limits_.log_level >= 2 ? std::move(log_) : path_log();
    return out;
  }

 private:
  struct Step {
    uint32_t insn;
    std::string note;  // with a log: the state before it
  };

  void start() {
    path_.state.frames.emplace_back();
    auto& regs = path_.state.regs();
    regs[1] = {Kind::ctx, 0, 0, 0, Scalar::constant(0)};
    regs[10] = {Kind::stack, 0, 0, 0, Scalar::constant(0)};
    walking_ = true;
    // The root stands after the last instruction, where no path is ever compared with it.
    const auto remembered = remember(subject_.program.insns.size());
    UARENA_ASSERT(remembered.has_value(), "the first state was refused");
  }

  // The path at hand, or the newest of those that wait.
  bool next_path() {
    if (walking_) return true;
    if (waiting_.empty()) return false;
    path_ = std::move(waiting_.back());
    waiting_.pop_back();
    state_bytes_ -= bytes_of(path_.state);
    trace_.resize(path_.length);
    walking_ = true;
    return true;
  }

  Checked<> check_time(size_t at) const {
    if (limits_.cancelled != nullptr && limits_.cancelled->load(std::memory_order_relaxed))
      return fault(at, ECANCELED, "verification was given up: nobody waits for it");
    if (std::chrono::steady_clock::now() >= limits_.deadline)
      return fault(at, E2BIG,
                   "too complex: {} instructions walked in the time that a load may take", insns_);
    return {};
  }

  Checked<> walk_path() {
    while (walking_) {
      const size_t at = path_.at;
      if (++insns_ > limits_.insns)
        return fault(at, E2BIG, "too complex: {} instructions walked", limits_.insns);
      if (insns_ % kLookAtClock == 0)
        if (auto ok = check_time(at); !ok) return ok;
      note_step(at);
      if (must_compare(at)) {
        if (auto ok = compare(at); !ok) return ok;
        if (!walking_) return {};
      }
      if (auto ok = step(at); !ok) return ok;
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
        ++path_.may_gotos;
        return wait_at(jump_target(subject_.program, walk.at), path_.state, walk.at);
      case kCall:
        if (!is_pseudo_call(i)) return step_function(walk);
        if (auto ok = enter_subprog(walk); !ok) return ok;
        path_.at = subject_.program.subprogs[path_.state.top().subprog].start;
        return {};
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

  Checked<> step_fork(Walk& walk) {
    const auto fork = step_branch(walk);
    if (!fork) return std::unexpected(fork.error());
    if (!fork->taken.possible && !fork->fall.possible)  // never, while every step is sound
      return fault(walk.at, EFAULT, "contradictory state: {}", to_string(path_.state));
    const Insn& i = walk.insn();
    const size_t target = jump_target(subject_.program, walk.at);
    if (fork->taken.possible && fork->fall.possible) {
      State taken = path_.state;
      learn(taken, i, fork->taken);
      if (auto ok = wait_at(target, std::move(taken), walk.at); !ok) return ok;
    }
    if (fork->fall.possible) {
      learn(path_.state, i, fork->fall);
    } else {
      learn(path_.state, i, fork->taken);
      path_.at = target;
    }
    return {};
  }

  Checked<> wait_at(size_t target, State state, size_t at) {
    if (waiting_.size() >= kMaxWaiting)
      return fault(at, E2BIG, "too complex: {} branches wait to be walked", kMaxWaiting);
    if (auto ok = make_room(state, at); !ok) return ok;
    ++path_.parent->waiting;
    waiting_.push_back(
        {std::move(state), target, path_.parent, trace_.size(), path_.may_gotos, path_.distance});
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
    return subject_.cfg.join_point[at] || is_may_goto(subject_.insn(at));
  }

  Checked<> compare(size_t at) {
    forget_dead(path_.state, at, subject_.live);
    if (walked_already(at)) {
      end_path();
      return {};
    }
    if (is_may_goto(subject_.insn(at))) return settle(at);
    return look_for_endless_loop(at);
  }

  bool walked_already(size_t at) {
    auto& closed = nodes_[at].closed;
    for (size_t n = 0; n < closed.size(); ++n) {
      Node& node = *closed[n];
      const std::optional<uint32_t> back_to = open_cycle(node.serial);
      const bool may_end = !back_to || node.state.top().activation == path_.state.top().activation;
      if (may_end && same_calls(node.state, path_.state) && subsumes(node.state, path_.state)) {
        ++node.hits;
        if (back_to) leads_back_to(*back_to);
        return true;
      }
      if (++node.misses > 8 + 4 * node.hits) {  // seldom of use
        std::swap(closed[n], closed.back());
        state_bytes_ -= bytes_of(closed.back()->state);
        closed.pop_back();
        --node_count_;
        --n;
      }
    }
    return false;
  }

  // The open node that a closed one leads back to. None: all that can follow it was walked.
  std::optional<uint32_t> open_cycle(uint32_t serial) const {
    while (!cycles_[serial].open) {
      const uint32_t back_to = cycles_[serial].back_to;
      if (back_to == serial) return std::nullopt;
      serial = back_to;
    }
    return serial;
  }

  // The path at hand ends because its continuations are those of an open node, or lead to it.
  void leads_back_to(uint32_t serial) {
    uint32_t& back_to = cycles_[path_.parent->serial].back_to;
    back_to = std::min(back_to, serial);
  }

  Checked<> look_for_endless_loop(size_t at) {
    auto& [open, closed, passes] = nodes_[at];
    const size_t from = open.size() > kRecent ? open.size() - kRecent : 0;
    for (size_t n = open.size(); n-- > from;) {
      const Node& node = *open[n];
      if (node.may_gotos == path_.may_gotos && same_calls(node.state, path_.state) &&
          subsumes(node.state, path_.state) && subsumes(path_.state, node.state))
        return fault(at, EINVAL, "infinite loop detected at insn {}", at);
    }
    ++passes;
    const bool often = open.size() >= kManyOpen && passes % kManyOpen != 0;
    if (path_.distance < kMinDistance || often) return {};
    return remember(at);
  }

  // At a may_goto: ends the path if an earlier state of this loop holds it; else widens it, so that
  // sooner or later one does.
  Checked<> settle(size_t at) {
    const Node* latest = nullptr;
    unsigned seen = 0;
    for (auto node = nodes_[at].open.rbegin(); node != nodes_[at].open.rend(); ++node) {
      const State& before = (*node)->state;
      if (!same_calls(before, path_.state) ||
          before.top().activation != path_.state.top().activation)
        continue;
      if (subsumes(before, path_.state)) {
        leads_back_to((*node)->serial);
        end_path();
        return {};
      }
      if (latest == nullptr) latest = node->get();
      ++seen;
    }
    unsigned rounds = 0;
    if (latest != nullptr && seen >= limits_.widen_after &&
        widen(latest->state, path_.state, subject_.thresholds, latest->rounds)) {
      rounds = latest->rounds + 1;
      widened_ = true;
      note_widened();
    }
    if (auto ok = remember(at); !ok) return ok;
    path_.parent->rounds = rounds;
    return {};
  }

  Checked<> remember(size_t at) {
    if (node_count_ >= kMaxNodes)
      return fault(at, E2BIG, "too complex: {} states to compare with", kMaxNodes);
    if (auto ok = make_room(path_.state, at); !ok) return ok;
    ++node_count_;
    auto node = std::make_unique<Node>();
    node->state = path_.state;
    node->parent = path_.parent;
    node->at = at;
    node->may_gotos = path_.may_gotos;
    node->serial = static_cast<uint32_t>(cycles_.size());
    cycles_.push_back({node->serial, true});
    // The path at hand now counts for the new node, and the new node for its parent.
    path_.parent = node.get();
    path_.distance = 0;
    nodes_[at].open.push_back(std::move(node));
    return {};
  }

  void end_path() {
    walking_ = false;
    for (Node* node = path_.parent; node != nullptr && --node->waiting == 0;) {
      Node* parent = node->parent;
      auto& [open, closed, passes] = nodes_[node->at];
      UARENA_ASSERT(!open.empty() && open.back().get() == node,
                    "insn {}: nodes closed out of order", node->at);
      cycles_[node->serial].open = false;
      if (parent != nullptr) {
        uint32_t& back_to = cycles_[parent->serial].back_to;
        back_to = std::min(back_to, cycles_[node->serial].back_to);
      }
      closed.push_back(std::move(open.back()));
      open.pop_back();
      node = parent;
    }
  }

  // --- log ---

  void note_step(size_t at) {
    trace_.push_back({static_cast<uint32_t>(at), {}});
    if (limits_.log_level < 1) return;
    if (trace_.size() > kLoggedSteps) trace_[trace_.size() - 1 - kLoggedSteps].note = {};
    std::string text = fmt::format("{}\n{}: {}\n", to_string(path_.state), at,
                                   disassemble(subject_.program.insns, at));
    if (limits_.log_level >= 2) append(log_, text);
    trace_.back().note = std::move(text);
  }

  void note_widened() {
    if (limits_.log_level >= 2) append(log_, "widened: " + to_string(path_.state) + "\n");
  }

  static void append(std::string& log, const std::string& text) {
    if (log.size() + text.size() > 2 * kMaxLog) log.erase(0, log.size() - kMaxLog);
    log += text;
  }

  std::string path_log() const {
    std::string log;
    for (const Step& step : trace_) append(log, step.note);
    return log;
  }

  const Subject& subject_;
  const Limits limits_;
  Findings found_;
  std::vector<Nodes> nodes_;
  std::vector<Cycle> cycles_;
  size_t node_count_ = 0;
  size_t state_bytes_ = 0;  // of nodes and of what waits
  std::vector<Path> waiting_;
  Path path_;
  bool walking_ = false;
  bool widened_ = false;
  uint64_t insns_ = 0;
  std::vector<Step> trace_;
  std::string log_;
};

}  // namespace

Outcome explore(const Subject& subject, const Limits& limits) {
  return Explorer(subject, limits).run();
}

}  // namespace uarena::jit::verifier
