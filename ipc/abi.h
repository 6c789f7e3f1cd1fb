/* SPDX-License-Identifier: MIT */
/* The wire format between a client and uarenad: what crosses the socket, byte for byte.
 *
 * Transport: Unix SOCK_SEQPACKET. One record is one message together with its descriptors
 * (SCM_RIGHTS). All fields are little-endian, as the only supported machines are.
 *
 * A record is: a fixed struct that begins with uarena_msg, then an optional payload. `size` is the
 * size of the sender's fixed struct; everything after it is payload. So structs may grow: a
 * receiver that knows a smaller struct accepts a larger one when the bytes it does not know are
 * zero (else E2BIG), and takes a shorter one as if the missing bytes were zero, down to the size of
 * the message's first version (UARENA_*_SIZE_V1, else EINVAL). Unknown bits of flags are EINVAL.
 *
 * A request of type T is answered by type T | UARENA_REPLY, or by UARENA_MSG_ERROR (without that
 * bit); the answer carries the request's `seq`. Requests on one connection are answered in the
 * order they came.
 *
 * Two kinds of socket speak this format. The control connection (the socket that one connects to)
 * takes everything that is quick; the run channel (a descriptor that RUN_CHANNEL returns) takes
 * what may take its time: load and run of programs, allocation, freeing, reserving, prefaulting.
 * Each message below says where it is taken. What asks about page faults is in abi_faults.h,
 * about limits in abi_accounts.h.
 */
#pragma once

#include <stdint.h>

#define UARENA_ABI_VERSION 1

/* The largest record, payload included. What is larger travels as a sealed memfd beside it. */
#define UARENA_MAX_RECORD (128u * 1024u)
#define UARENA_MAX_FDS 4
/* The largest BPF object, bytes. */
#define UARENA_MAX_OBJECT (64 << 20)
/* Names of arenas, programs and objects: 1..63 bytes of [A-Za-z0-9_.-], then NUL. */
#define UARENA_NAME_SIZE 64

enum uarena_msg_type {
  UARENA_MSG_ERROR = 0,
  UARENA_MSG_HELLO = 1,         /* control */
  UARENA_MSG_ARENA_CREATE = 2,  /* control */
  UARENA_MSG_ARENA_GET = 3,     /* control */
  UARENA_MSG_ARENA_LIST = 4,    /* control */
  UARENA_MSG_ARENA_DELETE = 5,  /* control */
  UARENA_MSG_ATTACH = 6,        /* control; answer carries the memory file */
  UARENA_MSG_ATTACH_READY = 7,  /* control; carries the client's userfaultfd; answer means Armed */
  UARENA_MSG_DETACH = 8,        /* control */
  UARENA_MSG_RUN_CHANNEL = 9,   /* control; answer carries the run channel */
  UARENA_MSG_PROG_LOAD = 10,    /* run; carries the ELF object as a file descriptor */
  UARENA_MSG_PROG_LIST = 11,    /* control */
  UARENA_MSG_PROG_RUN = 12,     /* run */
  UARENA_MSG_PROG_DUMP = 13,    /* run; answer carries a memfd with text */
  UARENA_MSG_PROG_UNLOAD = 14,  /* run */
  UARENA_MSG_PAGE_ALLOC = 15,   /* run */
  UARENA_MSG_PAGE_FREE = 16,    /* run */
  UARENA_MSG_PAGE_RESERVE = 17, /* run */
  UARENA_MSG_PREFAULT = 18,     /* run */
  UARENA_MSG_PAGE_LIST = 19,    /* run; answer carries a memfd with uarena_page_extent records */
  UARENA_MSG_PAGE_READ = 20,    /* run; answer's payload is the bytes */
  UARENA_MSG_CLIENT_LIST = 21,  /* control */
  UARENA_MSG_STATUS = 22,       /* control */
  UARENA_MSG_ARENA_STATS = 23,  /* control */
  UARENA_MSG_CLIENT_STATS = 24, /* control */
  UARENA_MSG_FAULT_TRACE = 25,  /* run */
  UARENA_MSG_ACCOUNT_LIST = 26, /* control */
  UARENA_MSG_ARENA_ACCESS = 27, /* control */
  UARENA_MSG_TYPES = 28,
};
#define UARENA_REPLY 0x8000u

struct uarena_msg {
  uint32_t size;    /* of the fixed struct that begins here, in bytes */
  uint16_t type;    /* enum uarena_msg_type, with UARENA_REPLY in an answer */
  uint16_t version; /* UARENA_ABI_VERSION; anything else is EPROTONOSUPPORT */
  uint64_t seq;     /* chosen by the client, returned in the answer */
};

/* Why a request failed, where errno alone does not tell (see exit codes of the command). */
enum uarena_why {
  UARENA_WHY_GENERAL = 0,
  UARENA_WHY_USAGE = 1,
  UARENA_WHY_NOT_FOUND = 2,
  UARENA_WHY_PERMISSION = 3,
  UARENA_WHY_UNREACHABLE = 4,
  UARENA_WHY_VERSION = 5,
  UARENA_WHY_REJECTED = 6, /* a BPF object or program; a descriptor with the whole log may follow */
  UARENA_WHY_QUOTA = 7,
};

/* With `seq` 0 it answers nothing that was asked: the broker says why it ends the connection.
 * payload: one sentence, no NUL. An optional descriptor: a memfd with a longer text (verifier log).
 */
struct uarena_error {
  struct uarena_msg msg;
  uint32_t error; /* a positive errno */
  uint32_t why;   /* enum uarena_why */
};

/* The first message on a control connection. */
struct uarena_hello {
  struct uarena_msg msg;
  uint32_t abi_min, abi_max; /* what the client speaks */
  uint64_t flags;            /* 0 */
};
struct uarena_hello_reply {
  struct uarena_msg msg;
  uint32_t abi; /* what will be spoken */
  uint32_t page_size;
  uint64_t client_id; /* as `uarena client list` shows it */
  uint64_t features;  /* UARENA_FEATURE_* */
};
/* The broker can queue SIGSEGV to this client's threads (same uid, or CAP_KILL). */
#define UARENA_FEATURE_SIGNAL (1ull << 0)

/* The raw attributes of bpf(BPF_MAP_CREATE), checked as the kernel does (K2-K5). payload: the name.
 */
struct uarena_arena_create {
  struct uarena_msg msg;
  uint32_t map_type;     /* BPF_MAP_TYPE_ARENA = 33 */
  uint32_t key_size;     /* 0 */
  uint32_t value_size;   /* 0 */
  uint32_t max_entries;  /* pages, 1..1<<20 */
  uint32_t map_flags;    /* BPF_F_MMAPABLE | BPF_F_SEGV_ON_FAULT | BPF_F_NO_USER_CONV */
  uint32_t fault;        /* enum uarena_fault_way */
  uint64_t map_extra;    /* user_vm_start, page aligned; 0: the broker chooses */
  uint32_t fault_around; /* pages per fault: 0 or 1: one, up to UARENA_MAX_FAULT_AROUND, or _AUTO */
  uint32_t mode;         /* who may do what (abi_accounts.h); 0: UARENA_MODE_ALL */
};
/* Who answers a client's fault on an absent page of a demand-zero arena. */
enum uarena_fault_way {
  UARENA_FAULT_SERVED = 0, /* the broker, page by page (or fault_around of them) */
  UARENA_FAULT_DIRECT = 1, /* the client's kernel; all pages are charged at creation */
};
#define UARENA_MAX_FAULT_AROUND 512u        /* pages */
#define UARENA_FAULT_AROUND_AUTO UINT32_MAX /* a window that grows while faults are sequential */

/* How one arena stands. Answer of ARENA_CREATE and ARENA_GET, and the record of ARENA_LIST. */
struct uarena_arena_info {
  uint64_t id;
  uint64_t user_vm_start;
  uint64_t map_extra; /* as given at creation (K9) */
  uint32_t max_entries;
  uint32_t map_flags;
  uint32_t pages_allocated;
  uint32_t pages_reserved;
  uint32_t clients;  /* attached now */
  uint32_t programs; /* that use it */
  uint64_t faults;   /* page faults of clients that this broker has answered */
  uint64_t blocks;   /* pages that the memory file holds (st_blocks / 8) */
  uint32_t owner_uid;
  uint32_t fault; /* enum uarena_fault_way */
  char name[UARENA_NAME_SIZE];
  /* Runs that were cut off in the middle, and the last of them. What such a run had done to the
   * arena until then, it has done; nobody knows how much that is. */
  uint64_t cut_off_runs;
  uint64_t cut_off_program; /* id */
  uint64_t cut_off_ns;      /* CLOCK_REALTIME */
  char cut_off_name[UARENA_NAME_SIZE];
  uint32_t cut_off_why;  /* enum uarena_cut_off */
  uint32_t fault_around; /* pages per fault, as given at creation */
  uint32_t owner_gid;
  uint32_t mode; /* abi_accounts.h */
};
enum uarena_cut_off {
  UARENA_CUT_OFF_DEATH = 0, /* the broker died */
  UARENA_CUT_OFF_LIMIT = 1, /* the run had its time: PROG_RUN was answered with ETIMEDOUT */
  UARENA_CUT_OFF_GONE = 2,  /* the client that had asked for it was gone */
};
struct uarena_arena_reply {
  struct uarena_msg msg;
  struct uarena_arena_info info;
};

/* ARENA_GET, ARENA_DELETE, ARENA_STATS: by id, or, with id 0, by the name in the payload. */
struct uarena_arena_ref {
  struct uarena_msg msg;
  uint64_t id;
};

/* ARENA_LIST, PROG_LIST, CLIENT_LIST, ACCOUNT_LIST: the objects with ids above `after`, as many as
 * fit a record. */
struct uarena_list {
  struct uarena_msg msg;
  uint64_t after;
  uint64_t arena_id; /* CLIENT_LIST: only those that have this arena attached, 0: all; else 0 */
};
/* payload: `count` records of `record_size` bytes each, ids ascending. `more`: ask again. */
struct uarena_list_reply {
  struct uarena_msg msg;
  uint32_t count;
  uint32_t record_size;
  uint32_t more;
  uint32_t reserved;
};

/* Attach: the client states where it will map. addr and length 0 mean the arena's own; anything
 * else must equal them (K19: other address or shorter EINVAL, longer E2BIG). */
struct uarena_attach {
  struct uarena_msg msg;
  uint64_t arena_id;
  uint64_t addr;
  uint64_t length;
  uint32_t flags; /* UARENA_ATTACH_* */
  uint32_t reserved;
};
/* Will ask for UARENA_READY_EXACT. EINVAL without SEGV_ON_FAULT; EOPNOTSUPP where it can't be had. */
#define UARENA_ATTACH_EXACT (1u << 0)
/* Needs the right to read, and no right to write; EOPNOTSUPP unless the arena's fault is
 * UARENA_FAULT_DIRECT. The memory file is open for reading alone. */
#define UARENA_ATTACH_READONLY (1u << 1)
/* Answer of ATTACH: uarena_arena_reply with one descriptor, the memory file. */

/* The mapping is there, PROT_NONE, with MADV_DONTFORK and MADV_DONTDUMP; one descriptor: a
 * userfaultfd on which no ioctl has been made; none where the arena's fault is
 * UARENA_FAULT_DIRECT. */
struct uarena_attach_ready {
  struct uarena_msg msg;
  uint64_t arena_id;
  uint32_t flags; /* UARENA_READY_* */
  uint32_t reserved;
};
/* The userfaultfd also takes faults from kernel mode (made without UFFD_USER_MODE_ONLY). */
#define UARENA_READY_FULL (1u << 0)
/* Guards (MADV_GUARD_INSTALL) lie over the whole range, for SEGV_ON_FAULT arenas. The broker puts pages
 * over them as they are allocated; the answer has one descriptor, a SOCK_SEQPACKET socket on which it
 * asks for guards over pages that were freed: a uarena_guard each, sent back with `error` when
 * madvise(2) has returned. Until it is sent back, pages allocated there stay under their guards, so it
 * is answered at once, in a thread of its own. */
#define UARENA_READY_EXACT (1u << 1)
struct uarena_guard {
  uint64_t addr;
  uint64_t length; /* bytes, whole pages; 0: nothing is to be done */
  uint64_t seq;
  int32_t error; /* 0 or an errno */
  uint32_t reserved;
};

struct uarena_empty { /* DETACH's answer, RUN_CHANNEL, STATUS, and every answer without content */
  struct uarena_msg msg;
};
struct uarena_detach {
  struct uarena_msg msg;
  uint64_t arena_id;
};

/* payload: the object's name. One descriptor: the ELF object, in a memfd. */
struct uarena_prog_load {
  struct uarena_msg msg;
  uint64_t arena_id;  /* 0: created from the object's .maps */
  uint32_t flags;     /* UARENA_LOAD_* */
  uint32_t log_level; /* 0: only on rejection; 1, 2: as the kernel's */
};
#define UARENA_LOAD_INTERPRET (1u << 0) /* do not compile: run in the interpreter */
/* payload: `programs` uarena_prog_info records, then `maps` uarena_map_info records. Optional
 * descriptor: a memfd with the verifier's log. */
struct uarena_prog_load_reply {
  struct uarena_msg msg;
  uint64_t arena_id; /* 0: the object has no arena */
  uint32_t programs;
  uint32_t maps;
  uint32_t program_record_size;
  uint32_t map_record_size;
};
struct uarena_prog_info {
  uint64_t id;
  uint64_t arena_id;
  uint64_t run_cnt;
  uint64_t run_time_ns;
  uint32_t insns;       /* BPF instructions after fix-up */
  uint32_t jited_bytes; /* 0: interpreted */
  uint32_t ctx_size;    /* the smallest context that the program accesses, in bytes */
  uint32_t owner_uid;
  char name[UARENA_NAME_SIZE];
  char section[UARENA_NAME_SIZE];
  char object[UARENA_NAME_SIZE];
  uint64_t ended_cnt; /* runs that were ended in the middle, in a loop: of those in run_cnt */
};
struct uarena_map_info {
  uint64_t id;
  uint32_t type; /* BPF_MAP_TYPE_* */
  uint32_t value_size;
  uint32_t max_entries;
  uint32_t map_flags;
  char name[UARENA_NAME_SIZE];
};

/* payload: the context, `ctx_size` bytes, at most UARENA_MAX_CTX; then for programs that take
 * packets the packet, `data_size` bytes, at most UARENA_MAX_DATA. Such a program's context is a
 * struct __sk_buff or a struct xdp_md with the fields that BPF_PROG_TEST_RUN takes, or nothing; it
 * comes back with the fields that BPF_PROG_TEST_RUN gives back.
 * ETIMEDOUT: the run was ended in the middle, because a loop of which nobody can say that it ends
 * had gone on for 10 s; the sentence names the instruction. Locks and records that it held are
 * released, its other effects stay. ETIME: more repetitions than 10 s had room for; all runs that
 * were begun ended. */
#define UARENA_MAX_CTX 65535u
struct uarena_prog_run {
  struct uarena_msg msg;
  uint64_t prog_id;
  uint32_t repeat; /* 0 counts as 1; at most UARENA_MAX_REPEAT */
  uint32_t ctx_size;
  uint32_t data_size;
  uint32_t cpu; /* where the calling thread runs, + 1; 0: unknown. Only a hint */
};
#define UARENA_MAX_DATA 32768u
#define UARENA_MAX_REPEAT 1000000u
/* payload: the context as the program left it, then the packet. */
struct uarena_prog_run_reply {
  struct uarena_msg msg;
  uint64_t r0;          /* the whole register; retval is its low 32 bits */
  uint64_t duration_ns; /* mean of one run */
  uint32_t repeat;
  uint32_t ctx_size;
  uint32_t data_size;
  uint32_t reserved;
};

struct uarena_prog_ref { /* PROG_UNLOAD, PROG_DUMP */
  struct uarena_msg msg;
  uint64_t prog_id;
  uint32_t what; /* PROG_DUMP: enum uarena_dump */
  uint32_t reserved;
};
enum uarena_dump {
  UARENA_DUMP_XLATED = 0,
  UARENA_DUMP_JITED = 1,
  UARENA_DUMP_LOG = 2,    /* the latest lines that the program has printed */
  UARENA_DUMP_STDOUT = 3, /* the latest text of its streams */
  UARENA_DUMP_STDERR = 4,
};
struct uarena_text_reply { /* PROG_DUMP, PAGE_LIST: the content is in the descriptor */
  struct uarena_msg msg;
  uint64_t bytes;
  uint64_t end;     /* logs and streams: bytes that were ever written, these are the last of them */
  uint64_t dropped; /* pieces of text before them that are no more */
};

/* PAGE_ALLOC, PAGE_FREE, PAGE_RESERVE: the kfuncs of the same names, for clients (K33-K41). All
 * four are answered by uarena_page_op_reply.
 * PREFAULT: every absent page of [addr, addr + page_cnt pages) is allocated as a fault would. */
struct uarena_page_op {
  struct uarena_msg msg;
  uint64_t arena_id;
  uint64_t addr;
  uint32_t page_cnt;
  int32_t node_id; /* PAGE_ALLOC: -1 */
  uint64_t flags;  /* PAGE_ALLOC: 0 */
};
struct uarena_page_op_reply {
  struct uarena_msg msg;
  uint64_t addr; /* PAGE_ALLOC: the address or 0 */
  int64_t
      result; /* PAGE_RESERVE: 0 or -errno as the kfunc returns it; PREFAULT: pages newly made */
};

struct uarena_page_list {
  struct uarena_msg msg;
  uint64_t arena_id;
};
/* Adjacent pages of the same origin, ascending. */
struct uarena_page_extent {
  uint32_t page;
  uint32_t count;
  uint32_t origin; /* enum uarena_origin */
  uint32_t reserved;
};
enum uarena_origin {
  UARENA_ORIGIN_PROGRAM = 1,
  UARENA_ORIGIN_FAULT = 2,
  UARENA_ORIGIN_CLIENT = 3,
  UARENA_ORIGIN_RESERVED = 4,
};

#define UARENA_MAX_PAGE_READ (64u * 1024u)
struct uarena_page_read {
  struct uarena_msg msg;
  uint64_t arena_id;
  uint64_t offset; /* from user_vm_start, in bytes */
  uint32_t length; /* 1..UARENA_MAX_PAGE_READ; absent pages read as zeros and stay absent */
  uint32_t reserved;
};

struct uarena_client_info {
  uint64_t id;
  uint32_t pid; /* in the broker's pid namespace */
  uint32_t uid;
  uint32_t arenas;
  uint32_t programs;
  uint64_t faults;
  uint32_t full;   /* arenas whose userfaultfd also takes kernel-mode faults */
  uint32_t signal; /* 1: SIGSEGV can be queued; 0: an absent page in SEGV_ON_FAULT is a SIGBUS */
  char comm[16];
};

struct uarena_status_reply {
  struct uarena_msg msg;
  uint64_t started_ns; /* CLOCK_REALTIME */
  uint64_t arenas, clients, programs;
  uint64_t pages_allocated;
  uint64_t faults_served, faults_refused;
  uint32_t pid, uid;
  uint32_t fault_threads, runner_threads;
  uint64_t uffd_features;     /* as UFFDIO_API reported them */
  uint32_t uffd_full;         /* 1: the broker's own userfaultfd needs no UFFD_USER_MODE_ONLY */
  uint32_t can_signal_others; /* 1: CAP_KILL */
  uint64_t fault_p50_ns, fault_p99_ns; /* broker's time from message to answer */
  char version[32];
  uint32_t exact; /* 1: UARENA_ATTACH_EXACT is offered */
  uint32_t reserved;
};

/* The size that each message had in version 1 of this format: the shortest that is accepted. They
 * are written out, never sizeof, so that growth of a struct can't change them. */
#define UARENA_HELLO_SIZE_V1 32u
#define UARENA_ARENA_CREATE_SIZE_V1 56u
#define UARENA_ARENA_REF_SIZE_V1 24u
#define UARENA_LIST_SIZE_V1 24u
#define UARENA_ATTACH_SIZE_V1 48u
#define UARENA_ATTACH_READY_SIZE_V1 32u
#define UARENA_DETACH_SIZE_V1 24u
#define UARENA_EMPTY_SIZE_V1 16u
#define UARENA_PROG_LOAD_SIZE_V1 32u
#define UARENA_PROG_RUN_SIZE_V1 32u
#define UARENA_PROG_REF_SIZE_V1 32u
#define UARENA_PAGE_OP_SIZE_V1 48u
#define UARENA_PAGE_LIST_SIZE_V1 24u
#define UARENA_PAGE_READ_SIZE_V1 40u
/* The same for answers and for the records inside them. */
#define UARENA_ERROR_SIZE_V1 24u
#define UARENA_HELLO_REPLY_SIZE_V1 40u
#define UARENA_ARENA_REPLY_SIZE_V1 240u
#define UARENA_LIST_REPLY_SIZE_V1 32u
#define UARENA_PROG_LOAD_REPLY_SIZE_V1 40u
#define UARENA_PROG_RUN_REPLY_SIZE_V1 40u
#define UARENA_TEXT_REPLY_SIZE_V1 24u
#define UARENA_PAGE_OP_REPLY_SIZE_V1 32u
#define UARENA_STATUS_REPLY_SIZE_V1 152u
#define UARENA_ARENA_INFO_SIZE_V1 224u
#define UARENA_PROG_INFO_SIZE_V1 240u
#define UARENA_MAP_INFO_SIZE_V1 88u
#define UARENA_CLIENT_INFO_SIZE_V1 56u
#define UARENA_PAGE_EXTENT_SIZE_V1 16u
