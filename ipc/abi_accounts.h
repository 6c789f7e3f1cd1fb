/* SPDX-License-Identifier: MIT */
/* The part of the wire format (abi.h) about users: who has how much of what the broker holds
 * (ACCOUNT_LIST), and who may do what with an arena (ARENA_ACCESS).
 *
 * ACCOUNT_LIST has one record for each user that the broker has met, and one for the broker itself.
 * Root and the broker's own uid hear of all users, others of themselves.
 */
#pragma once

#include "ipc/abi.h"

/* What users are charged for; uarenad.toml(5) calls them by these names. */
enum uarena_resource {
  UARENA_RESOURCE_PAGES = 0,
  UARENA_RESOURCE_ARENAS = 1,
  UARENA_RESOURCE_PROGRAMS = 2,
  UARENA_RESOURCE_CONNECTIONS = 3,
  UARENA_RESOURCE_DESCRIPTORS = 4,
  UARENA_RESOURCE_PENDING_FAULTS = 5,
  UARENA_RESOURCE_CPU_MS = 6,   /* per second, mean of the last 10 s */
  UARENA_RESOURCE_CONNECTS = 7, /* per second, mean of the last 10 s */
  UARENA_RESOURCES = 8,
};

struct uarena_resource_use {
  uint64_t used;
  uint64_t limit;  /* UINT64_MAX: none */
  uint64_t denied; /* requests beyond the limit, since this broker began */
};

/* The record of ACCOUNT_LIST. Resources are added at its end. */
struct uarena_account_info {
  uint64_t id; /* ascending: uid + 1, or UARENA_ACCOUNT_BROKER */
  uint32_t uid;
  uint32_t reserved;
  struct uarena_resource_use of[UARENA_RESOURCES];
};
/* All users together: the memory that the broker makes, as UARENA_RESOURCE_PAGES. */
#define UARENA_ACCOUNT_BROKER (1ull << 33)

#define UARENA_ACCOUNT_INFO_SIZE_V1 208u

/* An arena's mode is its owner's rights << 8, its group's << 4, and all others'. */
#define UARENA_RIGHT_READ 8u  /* look at pages, attach read-only */
#define UARENA_RIGHT_WRITE 4u /* attach; allocate, free, reserve pages */
#define UARENA_RIGHT_RUN 2u   /* run programs that are bound to it */
#define UARENA_RIGHT_LOAD 1u  /* bind programs to it */
#define UARENA_MODE_ALL 0xfffu

/* ARENA_ACCESS: changes what `which` names, as far as the caller may (EPERM): the owner the mode,
 * and the group to one that it is in; root and the broker's uid everything. The charges of an arena
 * go to its new owner (EDQUOT). What is attached or runs goes on. Answered by uarena_arena_reply.
 */
struct uarena_arena_access {
  struct uarena_msg msg;
  uint64_t arena_id;
  uint32_t which; /* UARENA_ACCESS_* */
  uint32_t uid;
  uint32_t gid;
  uint32_t mode;
};
#define UARENA_ACCESS_UID (1u << 0)
#define UARENA_ACCESS_GID (1u << 1)
#define UARENA_ACCESS_MODE (1u << 2)

#define UARENA_ARENA_ACCESS_SIZE_V1 40u
