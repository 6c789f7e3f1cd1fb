/* The smallest client: makes an arena, attaches it, writes and reads a word of it. */
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <uarena.h>

int main(int argc, char** argv) {
  struct uarena_attr attr = {
      .map_type = UARENA_MAP_TYPE_ARENA, .max_entries = 16, .map_flags = UARENA_F_MMAPABLE};
  struct uarena_info arena;
  uarena_conn* conn;
  void* base;
  if (argc != 3) errx(2, "usage: client SOCKET ARENA");
  if (uarena_connect(argv[1], &conn) < 0) errx(1, "connect: %s", uarena_error());
  if (uarena_create(conn, argv[2], &attr, &arena) < 0) errx(1, "create: %s", uarena_error());
  if (uarena_attach(conn, arena.id, 0, &base) < 0) errx(1, "attach: %s", uarena_error());
  volatile uint64_t* word = base;
  *word = 4711;
  printf("%s %llu\n", argv[2], (unsigned long long)*word);
  uarena_close(conn);
  return 0;
}
