// A function that is nowhere.
#include "uarena_bpf.h"

int nowhere(int x);

SEC("syscall") int program(void* ctx) { return nowhere(1); }
