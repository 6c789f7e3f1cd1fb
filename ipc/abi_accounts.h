/* SPDX-License-Identifier: MIT */
/* The part of the wire format (abi.h) that tells who has how much of what the broker holds
 * (ACCOUNT_LIST): one record for each user that has something, or has been refused it, and one for
 * the broker itself. Root and the broker's own uid hear of all users, others of themselves.
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
  UARENA_RESOURCE_CPU_MS = 6, /* per second, mean of the last 10 s */
  UARENA_RESOURCES = 7,
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

#define UARENA_ACCOUNT_INFO_SIZE_V1 184u
