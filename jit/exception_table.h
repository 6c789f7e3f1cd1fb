// Which instructions may meet an absent arena page, and where each goes on. A client can take any
// page of an arena away at any moment, so every access to the kernel view may raise SIGBUS (hole in
// the file, userfaultfd) or SIGSEGV (guard, PROT_NONE). As in the kernel, nothing is tested before
// the access; the handler looks the faulting RIP up here, zeroes the destination register and goes
// on behind the instruction (K49-K51).
//
// Two kinds of entries:
//  - static: the inline assembly of fault_safe.cc, collected by the linker in one section;
//  - dynamic: the accesses of a compiled program, registered for as long as the code lives.
// A fault is fixed up only if its address lies in the arena that the instruction may touch. Every
// other one is a bug of ours (or not our business) and goes to the previous disposition.
//
// Register contract: in static entries RDX holds kern_vm_start; in compiled code [RBP + 8] holds
// the RunContext whose fault counter is raised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "jit/runtime.h"

namespace uarena::jit {

// Numbers of the general registers as instructions encode them (rax 0, rcx 1, … r15 15).
inline constexpr uint8_t kNoRegister = 0xff;

// One access of compiled code. Offsets are in bytes from the start of the code.
struct ExceptionEntry {
  uint32_t insn = 0;           // the access
  uint32_t resume = 0;         // where the program goes on
  uint8_t zero = kNoRegister;  // register to clear: the destination
};

// The entries of one piece of code, in force while the object lives. Creation and destruction may
// happen on any thread while others fault; the destructor returns when no handler looks at the
// entries any more, so that the code may be freed after it.
class ExceptionRegion {
 public:
  static constexpr uint32_t kNoFrames = ~uint32_t{0};

  // `entries` ascend by insn. `frames_from`: from here on each return address is that of a frame of
  // x86_64/emitter.h.
  ExceptionRegion(const std::byte* code, size_t size, const ArenaView& arena,
                  std::vector<ExceptionEntry> entries, uint32_t frames_from = kNoFrames);
  ~ExceptionRegion();
  ExceptionRegion(const ExceptionRegion&) = delete;
  ExceptionRegion& operator=(const ExceptionRegion&) = delete;

  // For the handler.
  uint64_t start() const { return start_; }
  uint64_t end() const { return end_; }
  uint64_t kern_vm_start() const { return kern_vm_start_; }
  uint64_t user_vm_start() const { return user_vm_start_; }
  bool in_frames(uint64_t address) const {
    return frames_from_ != kNoFrames && address >= start_ + frames_from_ && address < end_;
  }
  const ExceptionEntry* find(uint64_t rip) const;

 private:
  uint64_t start_;
  uint64_t end_;
  uint64_t kern_vm_start_;
  uint64_t user_vm_start_;
  uint32_t frames_from_;
  std::vector<ExceptionEntry> entries_;
};

}  // namespace uarena::jit
