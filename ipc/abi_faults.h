/* SPDX-License-Identifier: MIT */
/* The part of the wire format (abi.h) that tells of page faults: what they came to, for an arena
 * (ARENA_STATS) and for a client (CLIENT_STATS), and the latest of them one by one (FAULT_TRACE).
 * ARENA_STATS is asked for with a uarena_arena_ref.
 */
#pragma once

#include "ipc/abi.h"

/* What page faults came to, of one arena, one client, or one client in one arena, counted by this
 * broker since it has them (a successor begins anew). Those of clients that are gone count for the
 * arena. Each fault that was answered is one of the first six; STATUS counts those of all arenas,
 * `installed` and `present` as served, the others as refused. */
struct uarena_fault_stats {
  uint64_t installed;  /* the page was made for it */
  uint64_t present;    /* the page was there by then */
  uint64_t deferred;   /* no page, raised again */
  uint64_t discarded;  /* nobody was left to answer */
  uint64_t denied;     /* no page: SEGV_ON_FAULT, no memory, or outside the arena */
  uint64_t errors;     /* answers that failed */
  uint64_t signalled;  /* of those denied: told by SIGSEGV */
  uint64_t poisoned;   /* and by SIGBUS */
  uint64_t around;     /* pages made with one that was asked for (fault_around) */
  uint64_t unexpected; /* messages that were no fault of a missing page */
  uint64_t pending;    /* read and not answered now */
  /* The broker's time from reading a message to its answer; at most 1/32 too long. */
  uint64_t p50_ns, p99_ns, p999_ns, max_ns;
};

/* Answer of ARENA_STATS. */
struct uarena_arena_stats_reply {
  struct uarena_msg msg;
  struct uarena_fault_stats faults;
  uint32_t pages_program, pages_fault, pages_client; /* allocated, by origin */
  uint32_t pages_reserved;
};

struct uarena_client_stats {
  struct uarena_msg msg;
  uint64_t client_id;
  uint64_t after; /* arena id: only attachments to arenas above it */
};
/* payload: `count` uarena_attachment_info records of `record_size` bytes, arena ids ascending,
 * those that are armed. `more`: ask again. `faults` are those of all its attachments, past ones
 * too. */
struct uarena_client_stats_reply {
  struct uarena_msg msg;
  struct uarena_fault_stats faults;
  uint32_t count;
  uint32_t record_size;
  uint32_t more;
  uint32_t reserved;
};
/* One client in one arena, and what it gets there. */
struct uarena_attachment_info {
  uint64_t arena_id;
  char arena_name[UARENA_NAME_SIZE];
  uint32_t map_flags;                                /* of the arena */
  uint32_t fault;                                    /* of the arena: enum uarena_fault_way */
  uint32_t syscalls;                                 /* enum uarena_syscalls */
  uint32_t refusal;                                  /* enum uarena_refusal */
  uint32_t pages_program, pages_fault, pages_client; /* of the arena, by origin */
  uint32_t pages_reserved;
  struct uarena_fault_stats faults;
};
/* A system call of the client that meets an absent page. */
enum uarena_syscalls {
  UARENA_SYSCALLS_EFAULT = 0, /* its userfaultfd is user mode only: PREFAULT before */
  UARENA_SYSCALLS_SERVED = 1,
};
/* What a refused fault is to the client. */
enum uarena_refusal {
  UARENA_REFUSAL_SIGNAL = 0, /* SIGSEGV with the exact address, where the thread takes it */
  UARENA_REFUSAL_POISON = 1, /* SIGBUS: the broker may not signal it */
  UARENA_REFUSAL_EXACT = 2,  /* the kernel's own SIGSEGV, by guards; of pages just freed as above */
};

/* The latest faults of an arena, those with numbers from `from` (0: from the first) on. */
struct uarena_fault_trace {
  struct uarena_msg msg;
  uint64_t arena_id;
  uint64_t from;
  uint32_t most; /* records; 0: as many as fit into the answer */
  uint32_t reserved;
};
/* payload: `count` uarena_traced_fault records of `record_size` bytes, numbers ascending. */
struct uarena_fault_trace_reply {
  struct uarena_msg msg;
  uint64_t since_ns; /* CLOCK_REALTIME when numbers began; another one: another broker's, who asks
                      * goes on from 0 */
  uint64_t next;     /* the number to go on from */
  uint64_t lost;     /* numbers from `from` up to `next` that were overwritten meanwhile */
  uint32_t count;
  uint32_t record_size;
};
struct uarena_traced_fault {
  uint64_t number;  /* within this arena, from 1 */
  uint64_t time_ns; /* CLOCK_REALTIME, when the broker read its message */
  uint64_t client_id;
  uint64_t address; /* the exact byte */
  uint64_t latency_ns;
  uint32_t thread;  /* the thread's id: see UARENA_TRACED_TID */
  uint32_t outcome; /* enum uarena_outcome */
  uint32_t refusal; /* of a fault that was denied: enum uarena_refusal, as it was delivered */
  uint32_t flags;   /* UARENA_TRACED_* */
};
#define UARENA_TRACED_WRITE (1u << 0)
/* `thread` is its id in the broker's pid namespace; otherwise in the client's own. */
#define UARENA_TRACED_TID (1u << 1)
enum uarena_outcome { /* as in uarena_fault_stats */
                      UARENA_OUTCOME_INSTALLED = 0,
                      UARENA_OUTCOME_PRESENT = 1,
                      UARENA_OUTCOME_DEFERRED = 2,
                      UARENA_OUTCOME_DISCARDED = 3,
                      UARENA_OUTCOME_DENIED = 4,
                      UARENA_OUTCOME_ERROR = 5,
};

/* As at the end of abi.h. */
#define UARENA_CLIENT_STATS_SIZE_V1 32u
#define UARENA_FAULT_TRACE_SIZE_V1 40u
#define UARENA_ARENA_STATS_REPLY_SIZE_V1 152u
#define UARENA_CLIENT_STATS_REPLY_SIZE_V1 152u
#define UARENA_FAULT_TRACE_REPLY_SIZE_V1 48u
#define UARENA_ATTACHMENT_INFO_SIZE_V1 224u
#define UARENA_TRACED_FAULT_SIZE_V1 56u
