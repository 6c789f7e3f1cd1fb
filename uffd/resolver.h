// The seam between the fault loop, which knows userfaultfd, and whoever decides what a fault means,
// who does not. One call down, one value back; called on fault threads only.
#pragma once

#include <cstdint>

namespace uarena::uffd {

struct Fault {
  uint64_t address = 0;  // exact byte
  uint32_t ptid = 0;     // faulting thread, in the client's pid namespace
  bool write = false;
};

enum class Verdict {
  installed,  // the page has been made for this fault and is in the memory file: wake
  present,    // it was in the memory file: wake
  refuse,     // no page: SIGSEGV at this address (SEGV_ON_FAULT, quota, no memory)
};

class Resolver {
 public:
  virtual ~Resolver() = default;
  // Must not block on anything that a client controls. Never throws.
  virtual Verdict resolve(const Fault& fault) noexcept = 0;
};

}  // namespace uarena::uffd
