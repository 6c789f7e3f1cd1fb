// The C library's page calls: the kfuncs for clients, and prefault. The broker applies the kernel's
// rules; here only C's ways of passing arguments and results are translated.
#include <cerrno>

#include "ipc/base/page.h"
#include "ipc/client/connection_handle.h"
#include "ipc/client/last_error.h"

namespace {

using uarena::fail;
using uarena::kMaxArenaPages;
using uarena::kPageMask;
using uarena::kPageShift;
using uarena::page_aligned;
using uarena::Result;
using uarena::Why;
using uarena::ipc::check_conn;
using uarena::ipc::guarded;

uint64_t number(const void* address) { return reinterpret_cast<uint64_t>(address); }

Result<uarena_page_op_reply> page_op(uarena_conn* conn, uint16_t type, uint64_t arena_id,
                                     uint64_t addr, uint32_t page_cnt, int node_id = 0,
                                     uint64_t flags = 0) {
  if (auto ok = check_conn(conn); !ok) return std::unexpected(ok.error());
  return conn->broker.page_op(type, arena_id, addr, page_cnt, node_id, flags);
}

Result<int64_t> prefault(uarena_conn* conn, uint64_t arena_id, uint64_t addr, uint64_t length) {
  if (auto ok = check_conn(conn); !ok) return std::unexpected(ok.error());
  if (length == 0) return 0;
  uint64_t last;
  if (__builtin_add_overflow(addr, length - 1, &last))
    return fail(EINVAL, "{} bytes at {:#x} go beyond the end of memory", length, addr);
  const uint64_t pages = (last >> kPageShift) - (addr >> kPageShift) + 1;
  if (pages > kMaxArenaPages)
    return fail(EINVAL, "{} bytes at {:#x} are more than an arena has", length, addr);
  auto reply =
      page_op(conn, UARENA_MSG_PREFAULT, arena_id, addr & kPageMask, static_cast<uint32_t>(pages));
  if (!reply) return std::unexpected(std::move(reply.error()));
  return reply->result;
}

// The kfunc tells failure by 0 alone; C wants an errno with it.
Result<uint64_t> alloc(uarena_conn* conn, uint64_t arena_id, uint64_t addr, uint32_t page_cnt,
                       int node_id, uint64_t flags) {
  auto reply = page_op(conn, UARENA_MSG_PAGE_ALLOC, arena_id, addr, page_cnt, node_id, flags);
  if (!reply) return std::unexpected(std::move(reply.error()));
  if (reply->addr != 0) return reply->addr;
  if (flags != 0 || page_cnt == 0 || page_cnt > kMaxArenaPages || !page_aligned(addr))
    return fail(EINVAL,
                "flags {:#x}, page_cnt {} and addr {:#x}: flags must be 0, page_cnt 1..{}, addr a "
                "multiple of the page size",
                flags, page_cnt, addr, kMaxArenaPages);
  return fail(ENOMEM, "the arena has no {} free pages {}", page_cnt,
              addr != 0 ? fmt::format("at {:#x}", addr) : std::string("in a row"));
}

}  // namespace

extern "C" {

int64_t uarena_prefault(uarena_conn* conn, uint64_t arena_id, const void* addr, size_t length) {
  return guarded([&] { return prefault(conn, arena_id, number(addr), length); });
}

void* uarena_alloc(uarena_conn* conn, uint64_t arena_id, void* addr, uint32_t page_cnt, int node_id,
                   uint64_t flags) {
  const int64_t result = guarded([&]() -> Result<int64_t> {
    auto got = alloc(conn, arena_id, number(addr), page_cnt, node_id, flags);
    if (!got) return std::unexpected(std::move(got.error()));
    // User addresses are positive as int64_t; an answer that is not can't be one.
    if (static_cast<int64_t>(*got) < 0)
      return fail(EPROTO, "the broker's answer makes no sense: pages at {:#x}", *got);
    return static_cast<int64_t>(*got);
  });
  if (result >= 0) return reinterpret_cast<void*>(result);
  errno = static_cast<int>(-result);
  return nullptr;
}

int uarena_free(uarena_conn* conn, uint64_t arena_id, void* addr, uint32_t page_cnt) {
  return static_cast<int>(guarded([&]() -> Result<int> {
    auto reply = page_op(conn, UARENA_MSG_PAGE_FREE, arena_id, number(addr), page_cnt);
    if (!reply) return std::unexpected(std::move(reply.error()));
    return 0;
  }));
}

int uarena_reserve(uarena_conn* conn, uint64_t arena_id, void* addr, uint32_t page_cnt) {
  return static_cast<int>(guarded([&]() -> Result<int> {
    auto reply = page_op(conn, UARENA_MSG_PAGE_RESERVE, arena_id, number(addr), page_cnt);
    if (!reply) return std::unexpected(std::move(reply.error()));
    if (reply->result == 0) return 0;
    const int code = reply->result == -EBUSY ? EBUSY : EINVAL;
    return fail(code, "{} pages at {:#x} can't be reserved: {}", page_cnt, number(addr),
                code == EBUSY ? "one of them is taken" : "they must lie in the arena");
  }));
}

}  // extern "C"
