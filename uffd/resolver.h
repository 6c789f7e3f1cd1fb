// The seam between the fault loop, which knows userfaultfd, and whoever decides what a fault means,
// who does not. One call down, one value back; called on fault threads only.
#pragma once

#include <cstdint>
#include <functional>

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
  // Lets `make` bring up to `pages` pages from `address` on, as long as nobody has them, into the
  // memory file and the client's mapping; they count as made by faults. How many it brought. `make`
  // is called once at most, for a range at `address`, and may wait for the client.
  using Make = std::function<uint32_t(uint64_t address, uint32_t pages)>;
  virtual uint32_t make_around(uint64_t, uint32_t, const Make&) noexcept { return 0; }
};

}  // namespace uarena::uffd
