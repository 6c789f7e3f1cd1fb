/* SPDX-License-Identifier: MIT */
/* libuarena: bpf_arena in user space, for clients of the broker uarenad.
 *
 * An arena is up to 4 GiB of sparse memory that every attached process sees at one and the same
 * address, so that pointers stored in it are valid as they stand in each of them, and in the BPF
 * programs that the broker runs on the same pages.
 *
 *   uarena_conn *conn;
 *   struct uarena_info info;
 *   if (uarena_connect(NULL, &conn) < 0 || uarena_find(conn, "heap", &info) < 0)
 *     errx(1, "%s", uarena_error());
 *   void *base;
 *   if (uarena_attach(conn, info.id, 0, &base) < 0)
 *     errx(1, "%s", uarena_error());
 *   ... base is info.user_vm_start; read and write it like any memory ...
 *   uarena_close(conn);
 *
 * Errors: every function that returns int returns 0 (or a count) on success and a negative errno on
 * failure; uarena_error() then has one sentence that says what was wrong and what is allowed. A
 * failed call changes nothing.
 * A broker that dies under a keeper or a service manager has a successor that goes on where it was:
 * attachments, faults, connections. A request that it had begun and that must not be carried out twice
 * (a run, a load, an unload, pages allocated, freed or reserved) then fails with -EOWNERDEAD: its outcome
 * is unknown. Without them the connection is lost (-ECONNRESET, -EPIPE).
 * Threads: calls on one connection are serialised by the library; different threads may share it.
 * uarena_error() and uarena_why() belong to the calling thread.
 * Ownership: everything that the library returns by pointer is freed by the function named beside
 * it. Strings passed in are copied.
 * Units: addresses and lengths are bytes unless a name says pages; a page is 4096 bytes.
 * K numbers name the rows of docs/kernel-parity.md, where a rule is the kernel's.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct uarena_conn uarena_conn;

#define UARENA_PAGE_SIZE 4096u
#define UARENA_MAX_PAGES (1u << 20)

/* As in <linux/bpf.h>. */
#define UARENA_MAP_TYPE_ARENA 33u
#define UARENA_F_MMAPABLE (1u << 10)
#define UARENA_F_SEGV_ON_FAULT (1u << 17)
#define UARENA_F_NO_USER_CONV (1u << 18)

/* The raw attributes of a bpf_arena map. They are checked as bpf(BPF_MAP_CREATE) does: key_size and
 * value_size must be 0, max_entries 1..1<<20 pages (else -EINVAL, above -E2BIG, K4), map_flags must
 * contain UARENA_F_MMAPABLE and may add the other two (else -EINVAL, K2), map_extra 0 or a page
 * aligned user_vm_start (else -EINVAL, K3) from which the arena does not cross a 4 GiB line (else
 * -ERANGE, K5). With map_extra 0 the broker chooses an address of the arena's own. */
struct uarena_attr {
  uint32_t map_type; /* UARENA_MAP_TYPE_ARENA */
  uint32_t key_size;
  uint32_t value_size;
  uint32_t max_entries;
  uint32_t map_flags;
  uint64_t map_extra;
};

struct uarena_info {
  uint64_t id;
  uint64_t user_vm_start;
  uint64_t map_extra;
  uint32_t max_entries;
  uint32_t map_flags;
  uint32_t pages_allocated; /* by programs, faults and clients */
  uint32_t pages_reserved;
  uint32_t clients;
  uint32_t programs;
  uint64_t faults;
  uint64_t blocks; /* pages that the memory file really holds */
  char name[64];
  /* Runs that were cut off in the middle (uarena_prog_run gave -EOWNERDEAD or -ETIMEDOUT), and the id
   * of the last one's program: what they had done until then, they have done. */
  uint64_t cut_off_runs;
  uint64_t cut_off_program;
};

struct uarena_prog {
  uint64_t id;
  uint64_t arena_id;
  uint32_t insns;
  uint32_t jited_bytes; /* 0: runs in the interpreter */
  uint32_t ctx_size;    /* smallest context in bytes that uarena_prog_run takes */
  char name[64];
  char section[64];
};

/* Connects to the broker and says hello. `socket_path` NULL: $UARENA_SOCKET if that is set; else
 * $XDG_RUNTIME_DIR/uarena/uarena.sock, else /run/uarena/uarena.sock, the first that exists.
 * On success *conn is to be closed with uarena_close. The socket is close-on-exec.
 * -ENOENT, -ECONNREFUSED, -EACCES: no broker there, or not for us. -ETIMEDOUT: it does not answer.
 * -EPROTONOSUPPORT: versions. -EINVAL: a word of $UARENA_OPTIONS, which uarena_error() names.
 * $UARENA_OPTIONS says what programs get that leave it open, in words with commas between them:
 * `direct` or `fault-around=N` (or =auto) for arenas made without uarena_create_opts (not with
 * UARENA_F_SEGV_ON_FAULT), `exact` for attachments without UARENA_EXACT, `user-mode-only` for
 * system calls as they are for who may not have more (uarena_syscalls_served).
 * A connection belongs to the process that made it: in a child after fork every call but
 * uarena_close fails with -ECHILD, and the arenas are not mapped there. */
int uarena_connect(const char *socket_path, uarena_conn **conn);

/* Detaches every arena (their memory is unmapped) and closes. NULL is allowed. In a child after fork
 * it only closes the child's descriptors. No other thread may use the connection any more. */
void uarena_close(uarena_conn *conn);

/* The calling thread's last failure: one sentence, valid until its next call; "" if none. */
const char *uarena_error(void);
/* Its class: enum uarena_why of the wire format (0 general, 1 usage, 2 not found, 3 permission,
 * 4 broker unreachable, 5 version, 6 program rejected, 7 over quota). */
int uarena_why(void);
/* The verifier's log of the calling thread's last uarena_prog_load; "" if none. Valid until the
 * next uarena_prog_load of this thread. */
const char *uarena_log(void);

/* Creates the arena `name` (1..63 bytes of [A-Za-z0-9_.-]; -EEXIST if taken). It lives until
 * uarena_delete, whatever becomes of this connection. `info` may be NULL. */
int uarena_create(uarena_conn *conn, const char *name, const struct uarena_attr *attr,
                  struct uarena_info *info);
/* How faults of clients on absent pages are answered, chosen at creation (not with
 * UARENA_F_SEGV_ON_FAULT, which refuses them): -EINVAL where it can't be.
 * UARENA_SERVED: by the broker, which counts, traces and charges each, `fault_around` pages at a
 * time (0 or 1: one; up to 512; UARENA_AROUND_AUTO: a window that grows while faults are sequential).
 * UARENA_DIRECT: by the kernel alone, as fast as any shared memory, system calls included; all pages
 * are charged at creation. `sz` is sizeof(struct uarena_create_opts): later versions may add to it,
 * and what an older caller does not know of is 0. */
#define UARENA_SERVED 0u
#define UARENA_DIRECT 1u
#define UARENA_AROUND_AUTO UINT32_MAX
struct uarena_create_opts {
  size_t sz;
  uint32_t fault;
  uint32_t fault_around;
  uint32_t mode; /* who may do what with it (uarena_chmod); 0: UARENA_MODE_ALL */
  uint32_t reserved; /* 0 */
};
/* As uarena_create; `opts` NULL: all 0, or what $UARENA_OPTIONS says (uarena_connect). */
int uarena_create_with(uarena_conn *conn, const char *name, const struct uarena_attr *attr,
                       const struct uarena_create_opts *opts, struct uarena_info *info);
/* -ENOENT if there is none. */
int uarena_find(uarena_conn *conn, const char *name, struct uarena_info *info);
int uarena_stat(uarena_conn *conn, uint64_t arena_id, struct uarena_info *info);
/* -EBUSY while clients are attached or programs use it. */
int uarena_delete(uarena_conn *conn, uint64_t arena_id);

/* Who may do what with an arena: as a file it has an owner (its creator), a group (the creator's) and a
 * mode, which is the owner's rights << 8, those of members of the group << 4, and those of all others.
 * Root and the broker's own uid may do everything. Without a right a call fails with -EACCES. A right is
 * asked for when something begins: what is attached or runs goes on. */
#define UARENA_RIGHT_READ 8u  /* look at pages, attach with UARENA_READONLY */
#define UARENA_RIGHT_WRITE 4u /* attach, allocate, free, reserve, prefault */
#define UARENA_RIGHT_RUN 2u   /* run programs that are bound to it */
#define UARENA_RIGHT_LOAD 1u  /* bind programs to it, if one may load programs at all */
#define UARENA_MODE_ALL 0xfffu
/* For the owner. -EPERM for others. */
int uarena_chmod(uarena_conn *conn, uint64_t arena_id, uint32_t mode);
/* UINT32_MAX leaves uid or gid as it is. The uid is for root, who pays from then on is the new owner
 * (-EDQUOT beyond his limits); the gid for the owner, to a group that he is in. -EPERM for others. */
int uarena_chown(uarena_conn *conn, uint64_t arena_id, uint32_t uid, uint32_t gid);

/* Maps the arena at its user_vm_start, which *base receives. -EEXIST: something of this process
 * occupies the address range; uarena_error() names it. -EALREADY: attached already. The mapping is
 * not inherited by fork (K22), stays out of core dumps, and belongs to the connection.
 *
 * `flags` is 0 or, for arenas with UARENA_F_SEGV_ON_FAULT, UARENA_EXACT: absent pages lie under guards of
 * this process, so that touching one is the kernel's own SIGSEGV (SEGV_MAPERR, exact si_addr) with
 * nobody asked. Without it the broker queues the signal (si_code -5). It costs some 30 ms and 8 MB of page
 * tables for 4 GiB, each allocation a few microseconds more, and a thread of this process that takes no
 * signals: it installs guards where pages were freed. Until it has, some milliseconds later, a touch there
 * is a queued signal as without the flag. -EINVAL in other arenas, -EOPNOTSUPP where the kernel can't.
 * While it is attached, nothing else may be mapped over a part of it, and mlock(2) over it makes freed
 * pages keep the queued signal. A process that is stopped for more than a second while it guards may find
 * a page under a guard that was allocated meanwhile, until it has caught up. */
#define UARENA_EXACT 1u
/* `flags` UARENA_READONLY: the mapping can be read, and not be made writable. Reading an absent page makes
 * it. Only for UARENA_DIRECT arenas: of others reading would ask the broker, and the kernel lets it answer
 * for nobody who could not write (-EOPNOTSUPP). */
#define UARENA_READONLY 2u
int uarena_attach(uarena_conn *conn, uint64_t arena_id, unsigned flags, void **base);
int uarena_detach(uarena_conn *conn, uint64_t arena_id);
/* 1: system calls into absent pages of this attached arena are served by the broker too; 0: they
 * fail with EFAULT: prefault first. Served are, in UARENA_DIRECT arenas, all; in others without
 * SEGV_ON_FAULT, processes with
 * CAP_SYS_PTRACE, those that may open /dev/userfaultfd (members of the group `uarena`, where uarena is
 * installed as a service), and everyone if the sysctl vm.unprivileged_userfaultfd is 1. */
int uarena_syscalls_served(uarena_conn *conn, uint64_t arena_id);

/* Allocates every absent page of the pages that [addr, addr+length) touches, as page faults would:
 * for memory that system calls are to read or write, where uarena_syscalls_served is 0.
 * Returns how many were new. -EFAULT in a SEGV_ON_FAULT arena with an absent page in the range. */
int64_t uarena_prefault(uarena_conn *conn, uint64_t arena_id, const void *addr, size_t length);

/* bpf_arena_alloc_pages for clients (K33-K37): NULL with errno set, and the kernel's conditions for
 * it: flags or page_cnt 0 or too large, addr unaligned or outside, a page of a fixed range taken,
 * no gap. addr NULL: anywhere. node_id: -1. */
void *uarena_alloc(uarena_conn *conn, uint64_t arena_id, void *addr, uint32_t page_cnt,
                   int node_id, uint64_t flags);
/* bpf_arena_free_pages (K38-K40): clipped at the arena's end; what is not allocated is skipped. */
int uarena_free(uarena_conn *conn, uint64_t arena_id, void *addr, uint32_t page_cnt);
/* bpf_arena_reserve_pages (K41): 0, -EINVAL or -EBUSY as the kfunc returns them. */
int uarena_reserve(uarena_conn *conn, uint64_t arena_id, void *addr, uint32_t page_cnt);

/* Loads a BPF object file: parsed, verified and compiled by the broker. `arena_id` 0: the arena is
 * created from the object's .maps, under the map's name. Up to `max` programs are written to
 * `progs`; returns how many the object has. -EACCES, -EINVAL with uarena_why() 6: rejected;
 * uarena_error() names the instruction and source line, uarena_log() tells the path. */
int uarena_prog_load(uarena_conn *conn, const char *path, uint64_t arena_id, struct uarena_prog *progs,
                     size_t max);
/* Runs a program once in the broker. `ctx` (may be NULL with ctx_size 0) is passed in and written
 * back. *retval receives the low 32 bits of R0; *duration_ns (may be NULL) the time of the run.
 * -ETIMEDOUT: it was ended in a loop after 10 s (uarena_error() names the place, and the arena is
 * marked), or the broker does not answer. What it had done until then it has done; how much that is
 * is unknown, as it is with -EOWNERDEAD or a lost connection while it runs. */
int uarena_prog_run(uarena_conn *conn, uint64_t prog_id, void *ctx, size_t ctx_size, int32_t *retval,
                    uint64_t *duration_ns);

/* All that a run takes and gives, as BPF_PROG_TEST_RUN has it. */
struct uarena_test_run {
  /* In and out, as the program left it. syscall: its context; tc and socket: the beginning of a
   * struct __sk_buff; xdp: of a struct xdp_md; raw_tp: up to 12 arguments of 8 bytes. NULL with size
   * 0: none, or zeros where the program has one. At most 65535 bytes. */
  void *ctx;
  size_t ctx_size;
  /* In and out, for tc, socket and xdp: the packet from its Ethernet header on, 14..32768 bytes. */
  void *data;
  size_t data_size;
  uint32_t repeat;      /* 0 and 1: once; each run begins with what the one before has left */
  int32_t retval;       /* out: the low 32 bits of R0, of the last run */
  uint64_t duration_ns; /* out: mean of one run */
};
/* -EINVAL: the program takes no packet, or a longer one. -ETIME: the repetitions took more than 10 s.
 * Otherwise as uarena_prog_run. */
int uarena_prog_test_run(uarena_conn *conn, uint64_t prog_id, struct uarena_test_run *run);

int uarena_prog_unload(uarena_conn *conn, uint64_t prog_id);

#ifdef __cplusplus
}
#endif
