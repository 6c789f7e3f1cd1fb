#include "jit/helpers/functions.h"

#include <sched.h>

namespace uarena::jit {

unsigned RunContext::current_cpu() {
  if (cpu < 0) cpu = ::sched_getcpu();
  return static_cast<unsigned>(cpu);
}

namespace helpers {

std::span<const Implementation> implementations() {
  static constexpr Implementation kAll[] = {
      {"bpf_loop", loop},
      {"bpf_iter_num_new", iter_num_new},
      {"bpf_iter_num_next", iter_num_next},
      {"bpf_iter_num_destroy", iter_num_destroy},
      {"bpf_preempt_disable", preempt_disable},
      {"bpf_preempt_enable", preempt_enable},
      {"bpf_local_irq_save", irq_save},
      {"bpf_local_irq_restore", irq_restore},
      {"bpf_rcu_read_lock", rcu_read_lock},
      {"bpf_rcu_read_unlock", rcu_read_unlock},
      {"bpf_ktime_get_ns", ktime_get_ns},
      {"bpf_ktime_get_boot_ns", ktime_get_boot_ns},
      {"bpf_ktime_get_coarse_ns", ktime_get_coarse_ns},
      {"bpf_ktime_get_tai_ns", ktime_get_tai_ns},
      {"bpf_jiffies64", jiffies64},
      {"bpf_get_prandom_u32", get_prandom_u32},
      {"bpf_get_smp_processor_id", get_smp_processor_id},
      {"bpf_get_numa_node_id", get_numa_node_id},
      {"bpf_get_current_pid_tgid", get_current_pid_tgid},
      {"bpf_get_current_uid_gid", get_current_uid_gid},
      {"bpf_get_current_comm", get_current_comm},
      {"bpf_probe_read_kernel", probe_read_kernel, true},
      {"bpf_probe_read_kernel_str", probe_read_kernel_str, true},
      {"bpf_strncmp", strncmp},
      {"bpf_trace_printk", trace_printk, true},
      {"bpf_trace_vprintk", trace_vprintk, true},
      {"bpf_snprintf", snprintf, true},
      {"bpf_stream_vprintk", stream_vprintk, true},
      {"bpf_stream_vprintk_impl", stream_vprintk, true},
      {"bpf_spin_lock", spin_lock},
      {"bpf_spin_unlock", spin_unlock},
      {"bpf_res_spin_lock", res_spin_lock},
      {"bpf_res_spin_unlock", res_spin_unlock},
      {"bpf_map_lookup_elem", map_lookup_elem},
      {"bpf_map_update_elem", map_update_elem},
      {"bpf_map_delete_elem", map_delete_elem},
      {"bpf_map_lookup_percpu_elem", map_lookup_percpu_elem},
      {"bpf_for_each_map_elem", for_each_map_elem},
      {"bpf_ringbuf_reserve", ringbuf_reserve},
      {"bpf_ringbuf_submit", ringbuf_submit},
      {"bpf_ringbuf_discard", ringbuf_discard},
      {"bpf_ringbuf_output", ringbuf_output},
      {"bpf_ringbuf_query", ringbuf_query},
      {"bpf_timer_init", timer_init},
      {"bpf_timer_set_callback", timer_set_callback},
      {"bpf_timer_start", timer_start},
      {"bpf_timer_cancel", timer_cancel},
  };
  return kAll;
}

}  // namespace helpers
}  // namespace uarena::jit
