/* SPDX-License-Identifier: MIT */
/* A client in plain C that reads what a BPF program built: it attaches an arena and walks the list
 * and the hash table of demo.h through the pointers just as the program stored them.
 *
 *   walker [--socket PATH] [--write KEY VALUE] [--hold] ARENA
 *
 * Prints one line per walk, key=value pairs: base, head and table are addresses, the others counts
 * and sums. --write changes the value of a key first. --hold stays attached until standard input
 * ends, and walks again for every line of it.
 *
 * The bytes of an arena are whatever its sharers wrote, so every pointer is checked to lie in the
 * arena before it is followed, and no walk is longer than the program said.
 *
 * Exit status: 0 done, 1 failed (no broker, no arena, structures broken), 2 usage, 3 no such key.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demo.h"
#include "uarena.h"

enum { kFailed = 1, kUsage = 2, kNoKey = 3 };

struct options {
  const char* socket;
  const char* arena;
  int write;
  uint64_t key, value;
  int hold;
};

struct view {
  const char* base;
  uint64_t size;
};

static void usage(const char* problem, const char* what) {
  fprintf(stderr,
          "walker: %s%s\nusage: walker [--socket PATH] [--write KEY VALUE] [--hold] ARENA\n",
          problem, what);
  exit(kUsage);
}

static uint64_t number(const char* text) {
  char* end;
  errno = 0;
  uint64_t value = strtoull(text, &end, 0);
  if (*text < '0' || *text > '9' || *end != '\0' || errno != 0)
    usage("not a number, decimal or 0x…: ", text);
  return value;
}

static struct options parse(char** argv) {
  struct options options = {0};
  for (char** word = argv + 1; *word != NULL; word++) {
    if (strcmp(*word, "--socket") == 0 && word[1] != NULL) {
      options.socket = *++word;
    } else if (strcmp(*word, "--write") == 0 && word[1] != NULL && word[2] != NULL) {
      options.write = 1;
      options.key = number(*++word);
      options.value = number(*++word);
    } else if (strcmp(*word, "--hold") == 0) {
      options.hold = 1;
    } else if (**word == '-') {
      usage("unknown or incomplete option ", *word);
    } else if (options.arena != NULL) {
      usage("one argument too many: ", *word);
    } else {
      options.arena = *word;
    }
  }
  if (options.arena == NULL) usage("the name of an arena is missing", "");
  return options;
}

/* The pointer itself, when `size` bytes at it lie in the arena. */
static void* checked(const struct view* view, void* pointer, uint64_t size) {
  uint64_t offset = (uint64_t)pointer - (uint64_t)view->base;
  if (offset > view->size - size || offset % sizeof(uint64_t) != 0)
    errx(kFailed, "a pointer that leads out of the arena: %p", pointer);
  return pointer;
}

static struct demo_roots* roots_of(const struct view* view) {
  return (struct demo_roots*)(uintptr_t)view->base;
}

static struct demo_entry* chain_of(const struct view* view, uint32_t bucket) {
  struct demo_table* table = roots_of(view)->table;
  if (table == NULL) return NULL;
  return ((struct demo_table*)checked(view, table, sizeof(*table)))->buckets[bucket];
}

static void print_list(const struct view* view) {
  const struct demo_roots* roots = roots_of(view);
  uint64_t most = roots->list_len, len = 0, sum = 0;
  for (struct demo_node* node = roots->head; node != NULL; node = node->next) {
    node = checked(view, node, sizeof(*node));
    if (++len > most) errx(kFailed, "the list is longer than its %" PRIu64 " nodes", most);
    sum += node->value;
  }
  printf(" head=%#" PRIx64 " list_len=%" PRIu64 " list_sum=%" PRIu64, (uint64_t)roots->head, len,
         sum);
}

static void print_table(const struct view* view) {
  const struct demo_roots* roots = roots_of(view);
  uint64_t most = roots->entries, entries = 0, keys = 0, values = 0;
  for (uint32_t bucket = 0; bucket < DEMO_BUCKETS; bucket++) {
    for (struct demo_entry* entry = chain_of(view, bucket); entry != NULL; entry = entry->next) {
      entry = checked(view, entry, sizeof(*entry));
      if (++entries > most) errx(kFailed, "the table has more than its %" PRIu64 " entries", most);
      keys += entry->key;
      values += entry->value;
    }
  }
  printf(" table=%#" PRIx64 " entries=%" PRIu64 " key_sum=%" PRIu64 " value_sum=%" PRIu64,
         (uint64_t)roots->table, entries, keys, values);
}

static void walk(const struct view* view) {
  printf("base=%#" PRIx64, (uint64_t)view->base);
  print_list(view);
  print_table(view);
  printf("\n");
  fflush(stdout);
}

static void write_value(const struct view* view, uint64_t key, uint64_t value) {
  uint64_t most = roots_of(view)->entries, seen = 0;
  struct demo_entry* entry = chain_of(view, demo_bucket(key));
  for (; entry != NULL; entry = entry->next) {
    entry = checked(view, entry, sizeof(*entry));
    if (++seen > most) errx(kFailed, "the table has more than its %" PRIu64 " entries", most);
    if (entry->key != key) continue;
    printf("written=%#" PRIx64 " key=%" PRIu64 " old=%" PRIu64 " value=%" PRIu64 "\n",
           (uint64_t)&entry->value, key, (uint64_t)entry->value, value);
    entry->value = value;
    return;
  }
  errx(kNoKey, "the table has no key %" PRIu64, key);
}

int main(int argc, char** argv) {
  (void)argc;
  struct options options = parse(argv);
  uarena_conn* conn;
  struct uarena_info info;
  void* base;
  if (uarena_connect(options.socket, &conn) < 0 || uarena_find(conn, options.arena, &info) < 0 ||
      uarena_attach(conn, info.id, 0, &base) < 0)
    errx(kFailed, "%s", uarena_error());

  struct view view = {base, (uint64_t)info.max_entries * UARENA_PAGE_SIZE};
  if (options.write) write_value(&view, options.key, options.value);
  walk(&view);
  char line[64];
  while (options.hold && fgets(line, sizeof(line), stdin) != NULL) walk(&view);

  uarena_close(conn);
  return 0;
}
