// The functions that programs call and that need nothing of the broker's. One file per theme; each
// function is the kernel's of the same name, with its results for every argument. catalogue.cc puts
// them into its rows.
#pragma once

#include <cerrno>
#include <cstdint>
#include <span>
#include <string_view>

#include "jit/runtime.h"

namespace uarena::jit::helpers {

struct Implementation {
  std::string_view name;
  HelperFn function = nullptr;
  bool follows_pointers = false;  // FunctionDesc::follows_pointers
};
std::span<const Implementation> implementations();

// An int or long result in R0, as the kernel returns it: sign-extended.
inline uint64_t result(int64_t value) { return static_cast<uint64_t>(value); }

template <typename T>
T* pointer(uint64_t value) {
  return reinterpret_cast<T*>(value);
}

// At most so many iterations of bpf_loop and of a bpf_iter_num (BPF_MAX_LOOPS).
inline constexpr int64_t kMaxLoops = int64_t{8} << 20;

// Declares a function of the theme files.
#define UARENA_HELPER(name) \
  uint64_t name(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5, RunContext* run)

// loops.cc
UARENA_HELPER(loop);
UARENA_HELPER(iter_num_new);
UARENA_HELPER(iter_num_next);
UARENA_HELPER(iter_num_destroy);
// sections.cc
UARENA_HELPER(preempt_disable);
UARENA_HELPER(preempt_enable);
UARENA_HELPER(irq_save);
UARENA_HELPER(irq_restore);
UARENA_HELPER(rcu_read_lock);
UARENA_HELPER(rcu_read_unlock);
// surroundings.cc
UARENA_HELPER(ktime_get_ns);
UARENA_HELPER(ktime_get_boot_ns);
UARENA_HELPER(ktime_get_coarse_ns);
UARENA_HELPER(ktime_get_tai_ns);
UARENA_HELPER(jiffies64);
UARENA_HELPER(get_prandom_u32);
UARENA_HELPER(get_smp_processor_id);
UARENA_HELPER(get_numa_node_id);
UARENA_HELPER(get_current_pid_tgid);
UARENA_HELPER(get_current_uid_gid);
UARENA_HELPER(get_current_comm);
// memory.cc
UARENA_HELPER(probe_read_kernel);
UARENA_HELPER(probe_read_kernel_str);
UARENA_HELPER(strncmp);
// printing.cc
UARENA_HELPER(trace_printk);
UARENA_HELPER(trace_vprintk);
UARENA_HELPER(snprintf);
UARENA_HELPER(stream_vprintk);
// locks.cc
UARENA_HELPER(spin_lock);
UARENA_HELPER(spin_unlock);
// res_locks.cc
UARENA_HELPER(res_spin_lock);
UARENA_HELPER(res_spin_unlock);
// maps.cc
UARENA_HELPER(map_lookup_elem);
UARENA_HELPER(map_update_elem);
UARENA_HELPER(map_delete_elem);
UARENA_HELPER(map_lookup_percpu_elem);
UARENA_HELPER(for_each_map_elem);
// ring_buffers.cc
UARENA_HELPER(ringbuf_reserve);
UARENA_HELPER(ringbuf_submit);
UARENA_HELPER(ringbuf_discard);
UARENA_HELPER(ringbuf_output);
UARENA_HELPER(ringbuf_query);
// timers.cc
UARENA_HELPER(timer_init);
UARENA_HELPER(timer_set_callback);
UARENA_HELPER(timer_start);
UARENA_HELPER(timer_cancel);

#undef UARENA_HELPER

}  // namespace uarena::jit::helpers
