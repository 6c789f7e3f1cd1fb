// One arena: its memory file, the kernel view on it, and the truth about its pages. Programs
// (kfuncs), clients' requests and the fault threads all come to the same few functions here, which
// follow the kernel's rules (K26-K41) behind the arena's one lock.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "broker/account.h"
#include "broker/arena_access.h"
#include "broker/page_counts.h"
#include "ipc/base/fd.h"
#include "ipc/base/page.h"
#include "ipc/base/result.h"
#include "jit/runtime.h"
#include "uffd/fault_tally.h"
#include "uffd/fault_trace.h"

namespace uarena::broker {

// The raw attributes of bpf(BPF_MAP_CREATE), untrusted until check_attr has seen them.
struct ArenaAttr {
  uint32_t map_type = kBpfMapTypeArena;
  uint32_t key_size = 0;
  uint32_t value_size = 0;
  uint32_t max_entries = 0;
  uint32_t map_flags = 0;
  uint64_t map_extra = 0;
};

// Who answers clients' faults on absent pages of a demand-zero arena, and how many pages at once.
// Never changes. Wire format (abi.h, uarena_arena_create) and state file.
enum class FaultWay : uint8_t {
  served = 0,  // this broker: it charges, counts and may refuse each
  direct = 1,  // the client's kernel, and nobody hears of it; charged in full at creation
};
struct Faulting {
  // A window that grows while faults come one behind the other.
  static constexpr uint32_t kAroundAuto = UINT32_MAX;
  // A page table: what one call of the kernel fills at best.
  static constexpr uint32_t kMostAround = 512;

  FaultWay way = FaultWay::served;
  uint32_t around = 0;  // pages per fault; 0 and 1 are one, kAroundAuto, else up to kMostAround
  friend bool operator==(const Faulting&, const Faulting&) = default;
};

struct PageExtent {
  PageRange pages;
  Origin origin;
  friend bool operator==(const PageExtent&, const PageExtent&) = default;
};

struct ArenaCounts {
  PagesByOrigin by_origin;
  uint32_t pages_allocated = 0;
  uint32_t pages_reserved = 0;
  uint64_t blocks = 0;
};

// What clients' faults on an arena came to, since this process has it.
struct ArenaFaults {
  std::shared_ptr<uffd::FaultTally> tally;
  std::shared_ptr<uffd::FaultTrace> trace;
};

// Who an arena is; never changes.
struct ArenaIdentity {
  uint64_t id = 0;
  std::string name;  // as check_name_untrusted allows
  ArenaAttr attr;
  uint64_t user_vm_start = 0;
  uint32_t owner_uid = 0;   // who made it; whose it is now says Arena::access
  uint64_t created_ns = 0;  // CLOCK_REALTIME
  // The request that made it: a client's number and its own of the request; 0, 0: an object's load.
  uint64_t creator_client = 0;
  uint64_t creator_seq = 0;
  Faulting faulting = {};
};

// Why a run did not come to its end. Wire format (abi.h, UARENA_CUT_OFF_*).
enum class CutOff : uint8_t {
  death = 0,  // of the broker
  limit = 1,  // its time was over
  gone = 2,   // nobody waited for it any more
};

// Runs that were cut off in the middle: what they had done to the arena until then, they have done,
// and nobody knows how much it is.
struct CutOffRuns {
  uint64_t count = 0;
  // The last one.
  CutOff why = CutOff::death;
  uint64_t program_id = 0;
  uint64_t when_ns = 0;  // CLOCK_REALTIME
  std::string program;   // its name
};

enum class FaultDecision {
  installed,  // the page is new
  present,    // it was there, by the time that the arena looked
  refuse,
};

class MemoryFile;
class PageTable;
class PageWatcher;

class Arena {
 public:
  // `attr` has passed check_attr; user_vm_start is where it lives. The time of creation is entered
  // here.
  // `access`: whose uid is the account's; its group and its mode.
  static Result<std::shared_ptr<Arena>> create(ArenaIdentity identity, Account& account,
                                               ArenaAccess access = {});
  // A predecessor's, with all its pages as they were. EINVAL and others: the files are no arena's.
  // `account` finds who pays for it.
  static Result<std::shared_ptr<Arena>> open_untrusted(
      Fd memory, Fd state, const std::function<Account&(uint32_t uid)>& account);
  ~Arena();

  uint64_t id() const;
  const std::string& name() const;
  const ArenaAttr& attr() const;
  // Who may do what, at this moment.
  ArenaAccess access() const;
  uint32_t owner_uid() const { return access().uid; }
  // From now on. `account` is the new owner's: what the arena costs is charged to it, EDQUOT.
  Result<void> set_access(const ArenaAccess& access, Account& account);
  uint64_t user_vm_start() const;
  uint64_t size() const;  // bytes
  bool segv_on_fault() const;
  const Faulting& faulting() const { return identity().faulting; }
  bool direct() const { return faulting().way == FaultWay::direct; }
  int memory_fd() const;  // the sealed memory file; dup it to hand it over
  int state_fd() const;   // for the successor, and nobody else
  const ArenaIdentity& identity() const;
  const jit::ArenaView& view() const;

  // bpf_arena_alloc_pages: the full user address, or 0 (K33-K37). `refused`, if given, gets the
  // sentence when it was 0 because the arena's owner may have no more pages.
  uint64_t alloc_pages(uint64_t addr, uint32_t page_cnt, int node_id, uint64_t flags, Origin origin,
                       std::optional<Error>* refused = nullptr);
  // bpf_arena_free_pages (K38-K40).
  void free_pages(uint64_t addr, uint32_t page_cnt);
  // bpf_arena_reserve_pages: 0, -EINVAL, -EBUSY (K41).
  int reserve_pages(uint64_t addr, uint32_t page_cnt);

  // A client touched `address` and the page was absent there (K26, K27, K29, K30).
  FaultDecision fault(uint64_t address);
  // The free pages at the beginning of the range are allocated as faults on them would, and `make`
  // brings them into the file (uffd::Resolver): how many, 0 too where no more may be had.
  using MakePages = std::function<uint32_t(uint64_t address, uint32_t pages)>;
  uint32_t fault_around(uint64_t address, uint32_t pages, const MakePages& make);
  // What faults on every page of the range would do: how many pages are new; EFAULT with
  // SEGV_ON_FAULT when one is absent; EINVAL outside the arena.
  Result<uint32_t> prefault(uint64_t address, uint64_t length);

  // Writes initial bytes (.addr_space.1) at the offset and allocates the pages they touch, as
  // libbpf's copy through its own mapping does (K80): those pages count as origin program. EBUSY
  // and no change when one of the pages is taken.
  Result<void> install_globals(uint64_t offset, std::span<const std::byte> bytes);

  // Hears of all pages that are allocated or freed from now on. Whoever asks for extents() after
  // that misses no page.
  void add_watcher(std::shared_ptr<PageWatcher> watcher);
  // It may be told of a page once more, by somebody who has begun.
  void remove_watcher(const PageWatcher* watcher);

  // A run was cut off in the middle. And all that were, so far.
  void note_cut_off_run(CutOff why, uint64_t program_id, const std::string& program,
                        uint64_t when_ns);
  CutOffRuns cut_off_runs() const;

  // Inspection: consistent copies, no client can make them wait. Where clients' faults are direct,
  // the file is asked for the pages that they have touched (some 80 ms for 4 GiB).
  std::vector<PageExtent> extents() const;
  // Takes no lock: each number is exact, all together need not be of one moment. Where clients'
  // faults are direct, what the file holds beyond the table's pages counts as theirs.
  ArenaCounts counts() const;
  const ArenaFaults& faults() const;
  // Bytes of the memory file; absent pages read as zeros and stay absent.
  Result<std::vector<std::byte>> read(uint64_t offset, uint32_t length) const;

 private:
  struct Impl;
  explicit Arena(std::unique_ptr<Impl> impl);
  static Result<std::shared_ptr<Arena>> assemble(MemoryFile file, PageTable table,
                                                 Account& account);
  std::unique_ptr<Impl> impl_;
};

}  // namespace uarena::broker
