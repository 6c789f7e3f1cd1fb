// Functions, but none that can be run.
#include "uarena_bpf.h"

int function(int x) { return x + 1; }
