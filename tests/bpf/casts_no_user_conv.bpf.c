// casts.bpf.c on an arena with BPF_F_NO_USER_CONV (K58).
#define CAST_FLAGS BPF_F_NO_USER_CONV
#include "casts.bpf.c"
