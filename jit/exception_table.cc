// The fault handler: decides for one SIGSEGV or SIGBUS whether an arena access raised it, and
// either moves the thread on or hands the signal to whoever had it before.
//
// Everything on the path of a hit is async-signal-safe and touches no errno.
#include "jit/exception_table.h"

#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "ipc/base/page.h"
#include "ipc/base/result.h"
#include "jit/engine.h"
#include "jit/exception_registry.h"
#include "jit/fault_reports.h"
#include "jit/fault_safe_entry.h"

namespace uarena::jit {
namespace {

struct sigaction g_previous_segv;
struct sigaction g_previous_bus;

struct sigaction& previous_of(int signal) {
  return signal == SIGSEGV ? g_previous_segv : g_previous_bus;
}

// From the number in an instruction's encoding to the register's place in the signal frame.
constexpr int kGregs[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                            REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

// Did the CPU raise it, rather than kill(2) or sigqueue(3)?
bool raised_by_access(const siginfo_t* info) { return info->si_code > 0; }

// Can this fault come from an access to the arena at `kern_vm_start`? The reservation reaches
// half a guard to each side (K11). An access that begins in its last bytes may be reported at the
// page behind it; it can't have moved a byte, because its first ones lie in the guard.
bool belongs_to_arena(int signal, const siginfo_t* info, uint64_t kern_vm_start) {
  // With split_lock_detect=fatal a misaligned atomic is an #AC, which carries no address. That a
  // program may cause it must not end the broker: treated as an absent page.
  if (signal == SIGBUS && info->si_code == BUS_ADRALN) return true;
  constexpr uint64_t kLargestAccess = 8;
  const auto address = reinterpret_cast<uint64_t>(info->si_addr);
  const uint64_t low = kern_vm_start - kGuardSize / 2;
  return address - low < kMaxArenaSize + kGuardSize + kLargestAccess;
}

bool fix_static(int signal, const siginfo_t* info, greg_t* gregs) {
  const auto rip = static_cast<uint64_t>(gregs[REG_RIP]);
  for (const StaticEntry* entry = __start_uarena_extable; entry != __stop_uarena_extable; ++entry) {
    if (entry->insn_address() != rip) continue;
    if (!belongs_to_arena(signal, info, static_cast<uint64_t>(gregs[REG_RDX]))) return false;
    gregs[REG_RIP] = static_cast<greg_t>(entry->resume_address());
    if (entry->zero < 16) gregs[kGregs[entry->zero]] = 0;
    return true;
  }
  return false;
}

// The user's address of what was accessed: the upper half is the arena's, as in the kernel (K52).
uint64_t user_address(const ExceptionRegion& region, const siginfo_t* info) {
  const auto address = reinterpret_cast<uint64_t>(info->si_addr);
  return (region.user_vm_start() & ~uint64_t{UINT32_MAX}) + (address - region.kern_vm_start());
}

// Who called the frame at `frame`, from there on outwards: until the way in, behind which the
// frames are not ours.
void trace_calls(const ExceptionRegion& region, uint64_t frame, FaultReports::Access* access) {
  while (access->call_count < access->calls.size()) {
    const auto* words = reinterpret_cast<const uint64_t*>(frame);
    if (!region.in_frames(words[2])) return;
    // The call is before the address that it returns to.
    access->calls[access->call_count++] = static_cast<uint32_t>(words[2] - region.start() - 1);
    frame = words[0];
  }
}

void report(RunContext* run, const ExceptionRegion& region, const siginfo_t* info, uint64_t rip,
            uint64_t frame) {
  run->faults.fetch_add(1, std::memory_order_relaxed);
  if (run->reports == nullptr) return;
  FaultReports::Access access;
  access.at = static_cast<uint32_t>(rip - region.start());
  access.address = user_address(region, info);
  if (run->reports->counted(access.at, access.address)) return;
  access.caller = run->caller;
  trace_calls(region, frame, &access);
  run->reports->note(access);
}

bool fix_compiled(int signal, const siginfo_t* info, greg_t* gregs) {
  const auto rip = static_cast<uint64_t>(gregs[REG_RIP]);
  const ExceptionRegistry::Reader reader(ExceptionRegistry::instance());
  const ExceptionRegion* region = reader.find(rip);
  if (region == nullptr || !belongs_to_arena(signal, info, region->kern_vm_start())) return false;
  const ExceptionEntry* entry = region->find(rip);
  if (entry == nullptr) return false;
  gregs[REG_RIP] = static_cast<greg_t>(region->start() + entry->resume);
  if (entry->zero < 16) gregs[kGregs[entry->zero]] = 0;
  // The frame's RunContext, above the saved frame pointer (x86_64/emitter.h).
  const auto frame = static_cast<uint64_t>(gregs[REG_RBP]);
  report(reinterpret_cast<RunContext* const*>(frame)[1], *region, info, rip, frame);
  return true;
}

// Not ours. An earlier handler is called in our place and we stay installed. The default action
// comes about by restoring it and returning: the instruction faults again, and the core dump shows
// the state of the first time. A signal that was only sent does not come again by itself and is
// queued once more with its own siginfo, which a process may always do to itself.
void hand_over(int signal, siginfo_t* info, void* context) {
  const struct sigaction& previous = previous_of(signal);
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signal, info, context);
    return;
  }
  if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal);
    return;
  }
  if (!raised_by_access(info) && previous.sa_handler == SIG_IGN) return;
  ::sigaction(signal, &previous, nullptr);
  if (!raised_by_access(info)) {
    ::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), ::syscall(SYS_gettid), signal, info);
  }
}

void on_fault(int signal, siginfo_t* info, void* context) {
  greg_t* gregs = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  if (raised_by_access(info) &&
      (fix_static(signal, info, gregs) || fix_compiled(signal, info, gregs))) {
    return;
  }
  hand_over(signal, info, context);
}

Result<void> install_once() {
  ExceptionRegistry::instance();  // made before the first fault, not inside it
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  // ONSTACK: where a thread has an alternate stack, a stack overflow still reaches hand_over().
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigemptyset(&action.sa_mask);
  for (const int signal : {SIGSEGV, SIGBUS}) {
    // The previous disposition is read first: the handler may run as soon as it is installed.
    if (::sigaction(signal, nullptr, &previous_of(signal)) != 0 ||
        ::sigaction(signal, &action, nullptr) != 0) {
      return fail_errno(errno, "cannot install the fault handler for signal {}", signal);
    }
  }
  return {};
}

}  // namespace

ExceptionRegion::ExceptionRegion(const std::byte* code, size_t size, const ArenaView& arena,
                                 std::vector<ExceptionEntry> entries, uint32_t frames_from)
    : start_(reinterpret_cast<uint64_t>(code)),
      end_(start_ + size),
      kern_vm_start_(arena.kern_vm_start),
      user_vm_start_(arena.user_vm_start),
      frames_from_(frames_from),
      entries_(std::move(entries)) {
  UARENA_ASSERT(std::ranges::is_sorted(entries_, {}, &ExceptionEntry::insn),
                "exception entries of the code at {:#x} do not ascend", start_);
  ExceptionRegistry::instance().add(this);
}

ExceptionRegion::~ExceptionRegion() { ExceptionRegistry::instance().remove(this); }

const ExceptionEntry* ExceptionRegion::find(uint64_t rip) const {
  const auto offset = static_cast<uint32_t>(rip - start_);
  auto entry = std::ranges::lower_bound(entries_, offset, {}, &ExceptionEntry::insn);
  return entry != entries_.end() && entry->insn == offset ? &*entry : nullptr;
}

Result<void> install_fault_handler() {
  static const Result<void> installed = install_once();
  return installed;
}

}  // namespace uarena::jit
