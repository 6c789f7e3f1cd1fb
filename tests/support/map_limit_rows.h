// Attributes of maps and what BPF_MAP_CREATE answers: 0 or an errno. The loader's check and the
// live kernel are held against the same rows.
#pragma once

#include <linux/bpf.h>

#include <cerrno>
#include <cstdint>

namespace uarena::testing {

struct MapLimitRow {
  uint32_t type, key_size, value_size, max_entries, map_flags;
  int answer;
};

inline constexpr MapLimitRow kMapLimitRows[] = {
    {BPF_MAP_TYPE_ARRAY, 4, 1, 1, 0, 0},
    {BPF_MAP_TYPE_ARRAY, 8, 1, 1, 0, EINVAL},
    {BPF_MAP_TYPE_ARRAY, 4, 0, 1, 0, EINVAL},
    {BPF_MAP_TYPE_ARRAY, 4, 1, 0, 0, EINVAL},
    {BPF_MAP_TYPE_ARRAY, 4, UINT32_MAX, 1, 0, E2BIG},
    {BPF_MAP_TYPE_ARRAY, 4, 8, 1, BPF_F_MMAPABLE, 0},
    {BPF_MAP_TYPE_ARRAY, 4, 8, 1, BPF_F_RDONLY_PROG, 0},
    {BPF_MAP_TYPE_ARRAY, 4, 8, 1, BPF_F_NO_PREALLOC, EINVAL},
    {BPF_MAP_TYPE_ARRAY, 4, 8, 1, BPF_F_RDONLY | BPF_F_WRONLY, EINVAL},
    {BPF_MAP_TYPE_ARRAY, 4, 8, 1, BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG, EINVAL},
    {BPF_MAP_TYPE_PERCPU_ARRAY, 4, 32768, 1, 0, 0},
    {BPF_MAP_TYPE_PERCPU_ARRAY, 4, 32769, 1, 0, E2BIG},
    {BPF_MAP_TYPE_PERCPU_ARRAY, 8, 8, 1, 0, EINVAL},
    {BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 1, BPF_F_MMAPABLE, EINVAL},
    {BPF_MAP_TYPE_HASH, 1, 1, 1, BPF_F_NO_PREALLOC, 0},
    {BPF_MAP_TYPE_HASH, 1, 1, 1, BPF_F_ZERO_SEED, 0},
    {BPF_MAP_TYPE_HASH, 0, 1, 1, 0, EINVAL},
    {BPF_MAP_TYPE_HASH, 8, 0, 1, 0, EINVAL},
    {BPF_MAP_TYPE_HASH, 8, 8, 0, 0, EINVAL},
    {BPF_MAP_TYPE_HASH, 8, 4 << 20, 1, 0, E2BIG},
    {BPF_MAP_TYPE_HASH, 8, 8, 1, BPF_F_MMAPABLE, EINVAL},
    {BPF_MAP_TYPE_HASH, 8, 8, 1, BPF_F_NO_COMMON_LRU, EINVAL},
    {BPF_MAP_TYPE_LRU_HASH, 8, 8, 64, BPF_F_NO_COMMON_LRU, 0},
    {BPF_MAP_TYPE_LRU_HASH, 8, 8, 64, BPF_F_NO_PREALLOC, ENOTSUP},
    {BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0, 0},
    {BPF_MAP_TYPE_RINGBUF, 4, 0, 4096, 0, EINVAL},
    {BPF_MAP_TYPE_RINGBUF, 0, 4, 4096, 0, EINVAL},
    {BPF_MAP_TYPE_RINGBUF, 0, 0, 0, 0, EINVAL},
    {BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, BPF_F_MMAPABLE, EINVAL},
};

}  // namespace uarena::testing
