// A field of a kernel structure, to be found at load time (CO-RE).
#include "uarena_bpf.h"

struct task_struct {
  int pid;
} __attribute__((preserve_access_index));

SEC("syscall") int program(struct task_struct* ctx) { return ctx->pid; }
