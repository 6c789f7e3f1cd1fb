/* uarena.h and abi.h are C: this file is compiled as C11 and linked to the shared library. It also
 * checks that the wire format's sizes are what abi.h writes out. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ipc/abi.h"
#include "ipc/abi_accounts.h"
#include "ipc/abi_faults.h"
#include "uarena.h"

static_assert(sizeof(struct uarena_hello) == UARENA_HELLO_SIZE_V1, "size");
static_assert(sizeof(struct uarena_arena_create) == UARENA_ARENA_CREATE_SIZE_V1, "size");
/* Grown since version 1: arenas by cut_off_why, programs by ended_cnt. */
static_assert(sizeof(struct uarena_arena_reply) == UARENA_ARENA_REPLY_SIZE_V1 + 16, "size");
static_assert(sizeof(struct uarena_status_reply) == UARENA_STATUS_REPLY_SIZE_V1 + 8, "size");
static_assert(sizeof(struct uarena_arena_info) == UARENA_ARENA_INFO_SIZE_V1 + 16, "size");
static_assert(sizeof(struct uarena_prog_info) == UARENA_PROG_INFO_SIZE_V1 + 8, "size");
static_assert(sizeof(struct uarena_map_info) == UARENA_MAP_INFO_SIZE_V1, "size");
static_assert(sizeof(struct uarena_client_info) == UARENA_CLIENT_INFO_SIZE_V1, "size");
static_assert(sizeof(struct uarena_arena_access) == UARENA_ARENA_ACCESS_SIZE_V1, "size");
static_assert(sizeof(struct uarena_account_info) == UARENA_ACCOUNT_INFO_SIZE_V1, "size");
static_assert(sizeof(struct uarena_page_extent) == UARENA_PAGE_EXTENT_SIZE_V1, "size");
static_assert(sizeof(struct uarena_arena_stats_reply) == UARENA_ARENA_STATS_REPLY_SIZE_V1, "size");
static_assert(sizeof(struct uarena_client_stats) == UARENA_CLIENT_STATS_SIZE_V1, "size");
static_assert(sizeof(struct uarena_client_stats_reply) == UARENA_CLIENT_STATS_REPLY_SIZE_V1,
              "size");
static_assert(sizeof(struct uarena_attachment_info) == UARENA_ATTACHMENT_INFO_SIZE_V1, "size");
static_assert(sizeof(struct uarena_fault_trace) == UARENA_FAULT_TRACE_SIZE_V1, "size");
static_assert(sizeof(struct uarena_fault_trace_reply) == UARENA_FAULT_TRACE_REPLY_SIZE_V1, "size");
static_assert(sizeof(struct uarena_traced_fault) == UARENA_TRACED_FAULT_SIZE_V1, "size");

int main(void) {
  uarena_conn* conn = NULL;
  if (uarena_connect("/nonexistent/uarena.sock", &conn) != -ENOENT || conn != NULL) {
    fprintf(stderr, "connecting to nobody: %s\n", uarena_error());
    return 1;
  }
  if (strstr(uarena_error(), "/nonexistent/uarena.sock") == NULL || uarena_why() != 4) return 2;
  uarena_close(conn);
  return 0;
}
