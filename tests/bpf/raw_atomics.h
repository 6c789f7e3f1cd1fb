/* load_acquire and store_release: clang-19 has no way to write them, so they are spelled as bytes
 * (K61, K84). `kernel` is a pointer that has been cast to address space 0. */
#pragma once

#include "contexts.h"

#define ATOMIC_B 0xd3
#define ATOMIC_H 0xcb
#define ATOMIC_W 0xc3
#define ATOMIC_DW 0xdb
/* code, registers (src << 4 | dst), imm */
#define RAW_ATOMIC(code, regs, imm) ((__u64)(imm) << 32 | (regs) << 8 | (code))

/* r0 = load_acquire(r1 + 0), r0 having held `before`. */
#define load_acquire(code, kernel, before)                                                  \
  ({                                                                                        \
    __u64 uarena_value;                                                                     \
    asm volatile("r1 = %[p]\n r0 = %[b]\n .8byte %[i]\n %[v] = r0"                          \
                 : [v] "=r"(uarena_value)                                                   \
                 : [p] "r"(kernel), [b] "r"(before), [i] "i"(RAW_ATOMIC(code, 0x10, 0x100)) \
                 : "r0", "r1", "memory");                                                   \
    uarena_value;                                                                           \
  })

/* store_release(r1 + 0, r2) */
#define store_release(code, kernel, value)                                               \
  asm volatile("r2 = %[v]\n r1 = %[p]\n .8byte %[i]"                                     \
               :                                                                         \
               : [p] "r"(kernel), [v] "r"(value), [i] "i"(RAW_ATOMIC(code, 0x21, 0x110)) \
               : "r1", "r2", "memory")
