// What a run holds at the moment and would have given back by its own end: locks, records of ring
// buffers. The verifier sees to it that a program which runs to its end has released everything; a
// run that is ended in the middle (turns.h) has not, and compiled code knows nothing of what is
// held. So the functions that acquire something enter it here, and the engine releases what is
// left.
#pragma once

#include <array>
#include <cstddef>

namespace uarena::jit {

struct RunContext;

class Held {
 public:
  using Release = void (*)(void* what, RunContext* run);

  // More than the kernel's 31 resilient locks together with some records. The last place is for the
  // one bpf_spin_lock that a program may hold at a time, which can't fail.
  static constexpr size_t kMost = 64;

  // False: too many are held; the function fails then. `last_too`: may take the last place.
  bool add(void* what, Release release, bool last_too = false) {
    if (count_ >= kMost - (last_too ? 0 : 1)) return false;
    held_[count_++] = {what, release};
    return true;
  }

  // False: it was not held. The latest is looked for first.
  bool remove(const void* what) {
    for (size_t n = count_; n-- > 0;) {
      if (held_[n].what != what) continue;
      for (; n + 1 < count_; ++n) held_[n] = held_[n + 1];
      --count_;
      return true;
    }
    return false;
  }

  bool holds(const void* what) const {
    for (size_t n = 0; n < count_; ++n)
      if (held_[n].what == what) return true;
    return false;
  }

  size_t count() const { return count_; }

  // Latest first.
  void release_all(RunContext* run) {
    while (count_ > 0) {
      const One one = held_[--count_];
      one.release(one.what, run);
    }
  }

 private:
  struct One {
    void* what;
    Release release;
  };
  size_t count_ = 0;
  std::array<One, kMost> held_;  // left as it is: a run that holds nothing pays nothing
};

}  // namespace uarena::jit
