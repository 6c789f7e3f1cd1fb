// Every request that is one question and one answer, as C++ calls: what the C library is made of,
// and what the `uarena` command needs beyond it. Attaching, which is more than one question, is in
// attachment.h.
//
// Threads: any; page and program calls go through the run channel and may take their time, all
// others are quick. Errors are the broker's, or those of Channel::ask.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ipc/client/broker_link.h"

namespace uarena::ipc {

// The broker's table is the truth about pages, and the memory file holds one for each that is
// allocated. Whoever has the file can make others or take some out, which changes its count.
struct FileDifference {
  uint64_t unallocated = 0;  // pages in the file beyond the allocated ones
  uint64_t missing = 0;      // allocated pages that the file lacks
};
inline FileDifference file_difference(const uarena_arena_info& arena) {
  const uint64_t allocated = arena.pages_allocated;
  return {arena.blocks > allocated ? arena.blocks - allocated : 0,
          arena.blocks < allocated ? allocated - arena.blocks : 0};
}

struct ArenaSpec {
  uint32_t map_type = 33;  // BPF_MAP_TYPE_ARENA
  uint32_t key_size = 0;
  uint32_t value_size = 0;
  uint32_t max_entries = 0;  // pages
  uint32_t map_flags = 0;
  uint64_t map_extra = 0;          // user_vm_start, or 0
  uint32_t mode = 0;               // UARENA_RIGHT_*, 0: everybody may do everything
  std::optional<FaultWay> faults;  // as $UARENA_OPTIONS has it where nobody says so
};

struct LoadSpec {
  std::string name;       // of the object; empty: made from the path
  uint64_t arena_id = 0;  // 0: the object's own
  uint32_t flags = 0;     // UARENA_LOAD_*
  uint32_t log_level = 0;
};

struct LoadAnswer {
  uint64_t arena_id = 0;  // 0: the object has no arena
  std::vector<uarena_prog_info> programs;
  std::vector<uarena_map_info> maps;
};

struct RunAnswer {
  uint64_t r0 = 0;
  uint64_t duration_ns = 0;  // mean of one run
  uint32_t repeat = 1;
  std::vector<std::byte> ctx;   // as the program left it
  std::vector<std::byte> data;  // the packet, likewise
};

class Inspector {
 public:
  // `socket_path` empty: see default_socket_path.
  static Result<Inspector> connect(const std::string& socket_path, BrokerLink::Limit limit = {});
  explicit Inspector(std::unique_ptr<BrokerLink> link) : link_(std::move(link)) {}

  BrokerLink& link() { return *link_; }

  Result<uarena_arena_info> create_arena(const std::string& name, const ArenaSpec& spec);
  Result<uarena_arena_info> arena(const std::string& name);
  Result<uarena_arena_info> arena(uint64_t id);
  Result<std::vector<uarena_arena_info>> arenas();
  Result<void> delete_arena(uint64_t id);
  Result<uarena_arena_stats_reply> arena_stats(uint64_t id);

  // The latest faults of an arena, from number `from` on, as many as come in one answer.
  struct Trace {
    std::vector<uarena_traced_fault> faults;  // numbers ascending
    uint64_t since_ns = 0;                    // of another broker's numbers it is another one
    uint64_t next = 0;                        // the number to go on from
    uint64_t lost = 0;                        // before `next`, and overwritten
  };
  Result<Trace> trace(uint64_t arena_id, uint64_t from);

  // Adjacent pages of the same origin, ascending.
  Result<std::vector<uarena_page_extent>> page_extents(uint64_t arena_id);
  // `offset` from user_vm_start, 1..UARENA_MAX_PAGE_READ bytes; absent pages read as zeros.
  Result<std::vector<std::byte>> page_read(uint64_t arena_id, uint64_t offset, uint32_t length);
  // PAGE_ALLOC, PAGE_FREE, PAGE_RESERVE or PREFAULT; the answer's fields as abi.h says.
  Result<uarena_page_op_reply> page_op(uint16_t type, uint64_t arena_id, uint64_t addr,
                                       uint32_t page_cnt, int node_id = 0, uint64_t flags = 0);

  // The verifier's log, if there is one, is put into `log` (may be null), also of a rejected
  // object.
  Result<LoadAnswer> load(const std::string& path, const LoadSpec& spec, std::string* log);
  Result<std::vector<uarena_prog_info>> programs();
  // `ctx` at most UARENA_MAX_CTX bytes (else EINVAL), `repeat` at most UARENA_MAX_REPEAT.
  Result<RunAnswer> run(uint64_t prog_id, std::span<const std::byte> ctx, uint32_t repeat = 1,
                        std::span<const std::byte> data = {});
  Result<std::string> dump(uint64_t prog_id, uarena_dump what);
  // What a program has printed, or a stream of it.
  struct Printed {
    std::string text;
    uint64_t end = 0;      // bytes that were ever written; `text` is the last of them
    uint64_t dropped = 0;  // pieces before it that are no more
  };
  Result<Printed> printed(uint64_t prog_id, uarena_dump what);
  Result<void> unload(uint64_t prog_id);

  // With an arena's id only those that have it attached.
  Result<std::vector<uarena_client_info>> clients(uint64_t arena_id = 0);
  struct ClientStats {
    uarena_fault_stats faults;                        // of all that it has and had attached
    std::vector<uarena_attachment_info> attachments;  // arena ids ascending
  };
  Result<ClientStats> client_stats(uint64_t client_id);
  // What is none stays as it is.
  Result<uarena_arena_info> set_access(uint64_t arena_id, std::optional<uint32_t> uid,
                                       std::optional<uint32_t> gid, std::optional<uint32_t> mode);
  Result<uarena_status_reply> status();
  // Users with their limits and what they have; the broker's own record comes last.
  Result<std::vector<uarena_account_info>> accounts();

 private:
  std::unique_ptr<BrokerLink> link_;
};

}  // namespace uarena::ipc
