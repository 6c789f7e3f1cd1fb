// The table of messages; see message_table.h.
#include "ipc/message_table.h"

#include <array>

#include "ipc/abi.h"
#include "ipc/abi_accounts.h"
#include "ipc/abi_faults.h"

namespace uarena::ipc {
namespace {

using enum Place;
using enum PayloadRule;

template <typename Request, typename Reply>
constexpr MessageRule row(std::string_view name, Place place, uint32_t size_v1, unsigned fds,
                          PayloadRule payload, unsigned reply_fds_min = 0,
                          unsigned reply_fds_max = 0, bool reply_payload = false,
                          bool fds_optional = false) {
  return {name,          place,         size_v1,       sizeof(Request), fds,         payload,
          sizeof(Reply), reply_fds_min, reply_fds_max, reply_payload,   fds_optional};
}

// clang-format off
constexpr std::array<MessageRule, UARENA_MSG_TYPES> kRules = [] {
  std::array<MessageRule, UARENA_MSG_TYPES> r{};
  // request and answer struct, name, socket, size in version 1, descriptors, payload; then the
  // answer's least and most descriptors, and whether it may have a payload; and whether the
  // request may come without its descriptors
  r[UARENA_MSG_HELLO]        = row<uarena_hello,        uarena_hello_reply>    ("HELLO",        control, UARENA_HELLO_SIZE_V1,        0, none);
  r[UARENA_MSG_ARENA_CREATE] = row<uarena_arena_create, uarena_arena_reply>    ("ARENA_CREATE", control, UARENA_ARENA_CREATE_SIZE_V1, 0, PayloadRule::name);
  r[UARENA_MSG_ARENA_GET]    = row<uarena_arena_ref,    uarena_arena_reply>    ("ARENA_GET",    control, UARENA_ARENA_REF_SIZE_V1,    0, name_unless_id);
  r[UARENA_MSG_ARENA_LIST]   = row<uarena_list,         uarena_list_reply>     ("ARENA_LIST",   control, UARENA_LIST_SIZE_V1,         0, none, 0, 0, true);
  r[UARENA_MSG_ARENA_DELETE] = row<uarena_arena_ref,    uarena_empty>          ("ARENA_DELETE", control, UARENA_ARENA_REF_SIZE_V1,    0, name_unless_id);
  r[UARENA_MSG_ATTACH]       = row<uarena_attach,       uarena_arena_reply>    ("ATTACH",       control, UARENA_ATTACH_SIZE_V1,       0, none, 1, 1);
  r[UARENA_MSG_ATTACH_READY] = row<uarena_attach_ready, uarena_empty>          ("ATTACH_READY", control, UARENA_ATTACH_READY_SIZE_V1, 1, none, 0, 1, false, true);
  r[UARENA_MSG_DETACH]       = row<uarena_detach,       uarena_empty>          ("DETACH",       control, UARENA_DETACH_SIZE_V1,       0, none);
  r[UARENA_MSG_RUN_CHANNEL]  = row<uarena_empty,        uarena_empty>          ("RUN_CHANNEL",  control, UARENA_EMPTY_SIZE_V1,        0, none, 1, 1);
  r[UARENA_MSG_PROG_LOAD]    = row<uarena_prog_load,    uarena_prog_load_reply>("PROG_LOAD",    run,     UARENA_PROG_LOAD_SIZE_V1,    1, PayloadRule::name, 0, 1, true);
  r[UARENA_MSG_PROG_LIST]    = row<uarena_list,         uarena_list_reply>     ("PROG_LIST",    control, UARENA_LIST_SIZE_V1,         0, none, 0, 0, true);
  r[UARENA_MSG_PROG_RUN]     = row<uarena_prog_run,     uarena_prog_run_reply> ("PROG_RUN",     run,     UARENA_PROG_RUN_SIZE_V1,     0, context, 0, 0, true);
  r[UARENA_MSG_PROG_DUMP]    = row<uarena_prog_ref,     uarena_text_reply>     ("PROG_DUMP",    run,     UARENA_PROG_REF_SIZE_V1,     0, none, 1, 1);
  r[UARENA_MSG_PROG_UNLOAD]  = row<uarena_prog_ref,     uarena_empty>          ("PROG_UNLOAD",  run,     UARENA_PROG_REF_SIZE_V1,     0, none);
  r[UARENA_MSG_PAGE_ALLOC]   = row<uarena_page_op,      uarena_page_op_reply>  ("PAGE_ALLOC",   run,     UARENA_PAGE_OP_SIZE_V1,      0, none);
  r[UARENA_MSG_PAGE_FREE]    = row<uarena_page_op,      uarena_page_op_reply>  ("PAGE_FREE",    run,     UARENA_PAGE_OP_SIZE_V1,      0, none);
  r[UARENA_MSG_PAGE_RESERVE] = row<uarena_page_op,      uarena_page_op_reply>  ("PAGE_RESERVE", run,     UARENA_PAGE_OP_SIZE_V1,      0, none);
  r[UARENA_MSG_PREFAULT]     = row<uarena_page_op,      uarena_page_op_reply>  ("PREFAULT",     run,     UARENA_PAGE_OP_SIZE_V1,      0, none);
  r[UARENA_MSG_PAGE_LIST]    = row<uarena_page_list,    uarena_text_reply>     ("PAGE_LIST",    run,     UARENA_PAGE_LIST_SIZE_V1,    0, none, 1, 1);
  r[UARENA_MSG_PAGE_READ]    = row<uarena_page_read,    uarena_empty>          ("PAGE_READ",    run,     UARENA_PAGE_READ_SIZE_V1,    0, none, 0, 0, true);
  r[UARENA_MSG_CLIENT_LIST]  = row<uarena_list,         uarena_list_reply>     ("CLIENT_LIST",  control, UARENA_LIST_SIZE_V1,         0, none, 0, 0, true);
  r[UARENA_MSG_STATUS]       = row<uarena_empty,        uarena_status_reply>   ("STATUS",       control, UARENA_EMPTY_SIZE_V1,        0, none);
  r[UARENA_MSG_ARENA_STATS]  = row<uarena_arena_ref,    uarena_arena_stats_reply> ("ARENA_STATS",  control, UARENA_ARENA_REF_SIZE_V1,    0, name_unless_id);
  r[UARENA_MSG_CLIENT_STATS] = row<uarena_client_stats, uarena_client_stats_reply>("CLIENT_STATS", control, UARENA_CLIENT_STATS_SIZE_V1, 0, none, 0, 0, true);
  r[UARENA_MSG_FAULT_TRACE]  = row<uarena_fault_trace,  uarena_fault_trace_reply> ("FAULT_TRACE",  run,     UARENA_FAULT_TRACE_SIZE_V1,  0, none, 0, 0, true);
  r[UARENA_MSG_ACCOUNT_LIST] = row<uarena_list,         uarena_list_reply>     ("ACCOUNT_LIST", control, UARENA_LIST_SIZE_V1,         0, none, 0, 0, true);
  r[UARENA_MSG_ARENA_ACCESS] = row<uarena_arena_access, uarena_arena_reply>    ("ARENA_ACCESS", control, UARENA_ARENA_ACCESS_SIZE_V1, 0, none);
  return r;
}();
// clang-format on

constexpr bool every_request_has_a_row() {
  for (size_t type = 1; type < kRules.size(); ++type)
    if (kRules[type].size < kRules[type].size_v1 || kRules[type].size_v1 == 0) return false;
  return kRules[UARENA_MSG_ERROR].size == 0;
}
static_assert(every_request_has_a_row());

}  // namespace

const MessageRule* message_rule(uint16_t type) {
  return type < kRules.size() && kRules[type].size != 0 ? &kRules[type] : nullptr;
}

std::string_view message_name(uint16_t type) {
  const MessageRule* rule = message_rule(type);
  return rule != nullptr ? rule->name : "unknown";
}

}  // namespace uarena::ipc
