// From a message's type, which is a number in an input, to the C++ type of its struct: the decoders
// of answers and lists are templates.
#pragma once

#include <cstdint>

#include "ipc/abi.h"
#include "ipc/abi_accounts.h"
#include "ipc/abi_faults.h"

namespace uarena::fuzz {

// visit.operator()<T>() with the struct that answers a request.
template <typename Visit>
auto with_answer(uint16_t type, const Visit& visit) {
  switch (type) {
    case UARENA_MSG_HELLO:
      return visit.template operator()<uarena_hello_reply>();
    case UARENA_MSG_ARENA_CREATE:
    case UARENA_MSG_ARENA_GET:
    case UARENA_MSG_ATTACH:
    case UARENA_MSG_ARENA_ACCESS:
      return visit.template operator()<uarena_arena_reply>();
    case UARENA_MSG_ARENA_LIST:
    case UARENA_MSG_PROG_LIST:
    case UARENA_MSG_CLIENT_LIST:
    case UARENA_MSG_ACCOUNT_LIST:
      return visit.template operator()<uarena_list_reply>();
    case UARENA_MSG_PROG_LOAD:
      return visit.template operator()<uarena_prog_load_reply>();
    case UARENA_MSG_PROG_RUN:
      return visit.template operator()<uarena_prog_run_reply>();
    case UARENA_MSG_PROG_DUMP:
    case UARENA_MSG_PAGE_LIST:
      return visit.template operator()<uarena_text_reply>();
    case UARENA_MSG_PAGE_ALLOC:
    case UARENA_MSG_PAGE_FREE:
    case UARENA_MSG_PAGE_RESERVE:
    case UARENA_MSG_PREFAULT:
      return visit.template operator()<uarena_page_op_reply>();
    case UARENA_MSG_STATUS:
      return visit.template operator()<uarena_status_reply>();
    case UARENA_MSG_ARENA_STATS:
      return visit.template operator()<uarena_arena_stats_reply>();
    case UARENA_MSG_CLIENT_STATS:
      return visit.template operator()<uarena_client_stats_reply>();
    case UARENA_MSG_FAULT_TRACE:
      return visit.template operator()<uarena_fault_trace_reply>();
    default:
      return visit.template operator()<uarena_empty>();
  }
}

// And with the struct of a list, by a number.
constexpr unsigned kListed = 8;
template <typename Visit>
auto with_listed(unsigned which, const Visit& visit) {
  switch (which % kListed) {
    case 0:
      return visit.template operator()<uarena_arena_info>();
    case 1:
      return visit.template operator()<uarena_prog_info>();
    case 2:
      return visit.template operator()<uarena_map_info>();
    case 3:
      return visit.template operator()<uarena_client_info>();
    case 4:
      return visit.template operator()<uarena_page_extent>();
    case 5:
      return visit.template operator()<uarena_account_info>();
    case 6:
      return visit.template operator()<uarena_attachment_info>();
    default:
      return visit.template operator()<uarena_traced_fault>();
  }
}

}  // namespace uarena::fuzz
