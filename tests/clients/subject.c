/* A client for tests that need a process of its own.
 *
 *   subject SOCKET ARENA syscalls        what read(2) into an absent page comes to, before and
 * after uarena_prefault, on one line subject SOCKET ARENA busy PROGRAM    attaches, touches,
 * allocates, runs PROGRAM (an id) and lets go, for ever, with a dot on standard output after each
 *                                        step: for being killed at any moment
 *
 * Exit status: 0 done, 1 a call failed, 2 usage.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "uarena.h"

static void check(int64_t result, const char* what) {
  if (result < 0) errx(1, "%s: %s", what, uarena_error());
}

static ssize_t read_zeros(void* where) {
  int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  if (zero < 0) err(1, "/dev/zero");
  ssize_t got = read(zero, where, UARENA_PAGE_SIZE);
  if (got < 0) got = -errno;
  close(zero);
  return got;
}

static void syscalls(uarena_conn* conn, const struct uarena_info* arena) {
  void* base;
  check(uarena_attach(conn, arena->id, 0, &base), "attach");
  char* page = (char*)base + 5 * UARENA_PAGE_SIZE;
  int served = uarena_syscalls_served(conn, arena->id);
  check(served, "syscalls_served");
  ssize_t before = read_zeros(page);
  int64_t made = uarena_prefault(conn, arena->id, page, UARENA_PAGE_SIZE);
  check(made, "prefault");
  printf("served=%d before=%zd made=%lld after=%zd\n", served, before, (long long)made,
         read_zeros(page));
}

static void dot(void) {
  if (write(STDOUT_FILENO, ".", 1) != 1) exit(0);
}

static void busy_round(const char* socket, const char* name, uint64_t program, unsigned turn) {
  uarena_conn* conn;
  struct uarena_info arena;
  void* base;
  check(uarena_connect(socket, &conn), "connect");
  dot();
  check(uarena_find(conn, name, &arena), "find");
  check(uarena_attach(conn, arena.id, 0, &base), "attach");
  dot();
  for (unsigned i = 0; i < 8; i++) {
    ((volatile char*)base)[(16 + (turn * 8 + i) % 1000) * UARENA_PAGE_SIZE] = 1;
    dot();
  }
  void* pages = uarena_alloc(conn, arena.id, NULL, 3, -1, 0);
  if (pages == NULL) errx(1, "alloc: %s", uarena_error());
  memset(pages, 7, 3 * UARENA_PAGE_SIZE);
  dot();
  int retval;
  char ctx[64] = {0};
  check(uarena_prog_run(conn, program, ctx, sizeof(ctx), &retval, NULL), "run");
  dot();
  check(uarena_free(conn, arena.id, pages, 3), "free");
  check(uarena_free(conn, arena.id, (char*)base + 16 * UARENA_PAGE_SIZE, 1000), "free");
  dot();
  if (turn % 2 == 0) check(uarena_detach(conn, arena.id), "detach");
  dot();
  uarena_close(conn);
}

int main(int argc, char** argv) {
  if (argc == 5 && strcmp(argv[3], "busy") == 0)
    for (unsigned turn = (unsigned)getpid();; turn++)
      busy_round(argv[1], argv[2], strtoull(argv[4], NULL, 0), turn);
  if (argc != 4 || strcmp(argv[3], "syscalls") != 0) {
    fprintf(stderr, "usage: subject SOCKET ARENA (syscalls | busy PROGRAM)\n");
    return 2;
  }
  uarena_conn* conn;
  struct uarena_info arena;
  check(uarena_connect(argv[1], &conn), "connect");
  check(uarena_find(conn, argv[2], &arena), "find");
  syscalls(conn, &arena);
  uarena_close(conn);
  return 0;
}
