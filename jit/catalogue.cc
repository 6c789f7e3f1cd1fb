// The table. Prototypes are the kernel's (linux/bpf.h describes each helper); where it allows a
// function under a bpf_spin_lock is column `under_lock`.
#include "jit/catalogue.h"

#include <linux/bpf.h>

#include <algorithm>
#include <array>

#include "ipc/base/result.h"
#include "jit/helpers/functions.h"

namespace uarena::jit {
namespace {

using A = ArgKind;
using R = RetKind;
using E = Effect;

constexpr std::array kCatalogue = {
    FunctionDesc{.name = "bpf_map_lookup_elem",
                 .args = {A::map, A::map_key},
                 .ret = R::map_value_or_null,
                 .effect = E::none,
                 .helper = BPF_FUNC_map_lookup_elem,
                 .maps = kMapsElements},
    FunctionDesc{.name = "bpf_map_update_elem",
                 .args = {A::map, A::map_key, A::map_value, A::anything},
                 .ret = R::scalar,
                 .effect = E::none,
                 .helper = BPF_FUNC_map_update_elem,
                 .maps = kMapsElements},
    FunctionDesc{.name = "bpf_map_delete_elem",
                 .args = {A::map, A::map_key},
                 .ret = R::scalar,
                 .effect = E::none,
                 .helper = BPF_FUNC_map_delete_elem,
                 .maps = kMapsElements},
    FunctionDesc{.name = "bpf_for_each_map_elem",
                 .args = {A::map, A::callback, A::stack_or_null, A::anything},
                 .ret = R::scalar,
                 .effect = E::for_each,
                 .helper = BPF_FUNC_for_each_map_elem,
                 .maps = kMapsElements},
    FunctionDesc{.name = "bpf_map_lookup_percpu_elem",
                 .args = {A::map, A::map_key, A::anything},
                 .ret = R::cpu_value_or_null,
                 .effect = E::none,
                 .helper = BPF_FUNC_map_lookup_percpu_elem,
                 .maps = kMapsPercpu},
    FunctionDesc{.name = "bpf_probe_read_kernel",
                 .args = {A::uninit_mem, A::size_or_zero, A::followed},
                 .ret = R::scalar,
                 .effect = E::none,
                 .helper = BPF_FUNC_probe_read_kernel},
    FunctionDesc{.name = "bpf_probe_read_kernel_str",
                 .args = {A::uninit_mem, A::size_or_zero, A::followed},
                 .ret = R::length_or_error,
                 .effect = E::none,
                 .helper = BPF_FUNC_probe_read_kernel_str},
    FunctionDesc{.name = "bpf_ktime_get_ns",
                 .args = {},
                 .ret = R::scalar,
                 .effect = E::none,
                 .helper = BPF_FUNC_ktime_get_ns},
    FunctionDesc{.name = "bpf_ktime_get_boot_ns",
                 .args = {},
                 .ret = R::scalar,
                 .effect = E::none,
                 .helper = BPF_FUNC_ktime_get_boot_ns},
    FunctionDesc{.name = "bpf_ktime_get_coarse_ns",
                 .args = {},
                 .ret = R::scalar,
                 .effect = E::none,
                 .helper = BPF_FUNC_ktime_get_coarse_ns},
    FunctionDesc{.name = "bpf_ktime_get_tai_ns",
                 .args = {},
                 .ret = R::scalar,
                 .effect = E::none,
                 .helper = BPF_FUNC_ktime_get_tai_ns},
    FunctionDesc{.name = "bpf_jiffies64",
                 .args = {},
                 .ret = R::scalar,
                 .effect = E::none,
                 .helper = BPF_FUNC_jiffies64},
    FunctionDesc{.name = "bpf_trace_printk",
                 .args = {A::mem, A::size, A::printed, A::printed, A::printed},
                 .ret = R::scalar,
                 .effect = E::none,
                 .helper = BPF_FUNC_trace_printk},
    FunctionDesc{.name = "bpf_trace_vprintk",
                 .args = {A::mem, A::size, A::values_or_null, A::size_or_zero},
                 .ret = R::scalar,
                 .effect = E::none,
                 .helper = BPF_FUNC_trace_vprintk},
    FunctionDesc{.name = "bpf_get_prandom_u32",
                 .args = {},
                 .ret = R::scalar,
                 .effect = E::none,
                 .helper = BPF_FUNC_get_prandom_u32},
    FunctionDesc{.name = "bpf_get_smp_processor_id",
                 .args = {},
                 .ret = R::cpu,
                 .effect = E::none,
                 .helper = BPF_FUNC_get_smp_processor_id},
    FunctionDesc{.name = "bpf_get_numa_node_id",
                 .args = {},
                 .ret = R::scalar,
                 .effect = E::none,
                 .helper = BPF_FUNC_get_numa_node_id},
    FunctionDesc{.name = "bpf_get_current_pid_tgid",
                 .args = {},
                 .ret = R::scalar,
                 .effect = E::none,
                 .helper = BPF_FUNC_get_current_pid_tgid},
    FunctionDesc{.name = "bpf_get_current_uid_gid",
                 .args = {},
                 .ret = R::scalar,
                 .effect = E::none,
                 .helper = BPF_FUNC_get_current_uid_gid},
    FunctionDesc{.name = "bpf_get_current_comm",
                 .args = {A::uninit_mem, A::size},
                 .ret = R::scalar,
                 .effect = E::none,
                 .helper = BPF_FUNC_get_current_comm},
    FunctionDesc{.name = "bpf_spin_lock",
                 .args = {A::spin_lock},
                 .ret = R::void_,
                 .effect = E::lock,
                 .helper = BPF_FUNC_spin_lock},
    FunctionDesc{.name = "bpf_spin_unlock",
                 .args = {A::spin_lock},
                 .ret = R::void_,
                 .effect = E::unlock,
                 .helper = BPF_FUNC_spin_unlock,
                 .under_lock = true},
    FunctionDesc{.name = "bpf_timer_init",
                 .args = {A::timer, A::map, A::anything},
                 .ret = R::scalar,
                 .effect = E::none,
                 .helper = BPF_FUNC_timer_init,
                 .maps = kMapsElements},
    FunctionDesc{.name = "bpf_timer_set_callback",
                 .args = {A::timer, A::callback},
                 .ret = R::scalar,
                 .effect = E::sets_callback,
                 .helper = BPF_FUNC_timer_set_callback},
    FunctionDesc{.name = "bpf_timer_start",
                 .args = {A::timer, A::anything, A::anything},
                 .ret = R::scalar,
                 .effect = E::none,
                 .helper = BPF_FUNC_timer_start},
    FunctionDesc{.name = "bpf_timer_cancel",
                 .args = {A::timer},
                 .ret = R::scalar,
                 .effect = E::none,
                 .helper = BPF_FUNC_timer_cancel},
    FunctionDesc{.name = "bpf_loop",
                 .args = {A::anything, A::callback, A::stack_or_null, A::anything},
                 .ret = R::scalar,
                 .effect = E::calls_back,
                 .helper = BPF_FUNC_loop},
    FunctionDesc{.name = "bpf_strncmp",
                 .args = {A::mem, A::size, A::const_string},
                 .ret = R::scalar,
                 .effect = E::none,
                 .helper = BPF_FUNC_strncmp},
    FunctionDesc{.name = "bpf_snprintf",
                 .args = {A::uninit_mem, A::size_or_zero, A::const_string, A::values_or_null,
                          A::size_or_zero},
                 .ret = R::scalar,
                 .effect = E::none,
                 .helper = BPF_FUNC_snprintf},
    FunctionDesc{.name = "bpf_ringbuf_output",
                 .args = {A::map, A::mem, A::size_or_zero, A::anything},
                 .ret = R::scalar,
                 .effect = E::none,
                 .helper = BPF_FUNC_ringbuf_output,
                 .maps = kMapsRingbuf},
    FunctionDesc{.name = "bpf_ringbuf_reserve",
                 .args = {A::map, A::constant_size, A::anything},
                 .ret = R::ringbuf_record_or_null,
                 .effect = E::none,
                 .helper = BPF_FUNC_ringbuf_reserve,
                 .maps = kMapsRingbuf},
    FunctionDesc{.name = "bpf_ringbuf_submit",
                 .args = {A::ringbuf_record, A::anything},
                 .ret = R::void_,
                 .effect = E::none,
                 .helper = BPF_FUNC_ringbuf_submit},
    FunctionDesc{.name = "bpf_ringbuf_discard",
                 .args = {A::ringbuf_record, A::anything},
                 .ret = R::void_,
                 .effect = E::none,
                 .helper = BPF_FUNC_ringbuf_discard},
    FunctionDesc{.name = "bpf_ringbuf_query",
                 .args = {A::map, A::anything},
                 .ret = R::scalar,
                 .effect = E::none,
                 .helper = BPF_FUNC_ringbuf_query,
                 .maps = kMapsRingbuf},
    FunctionDesc{.name = "bpf_arena_alloc_pages",
                 .args = {A::map_arena, A::arena, A::scalar, A::scalar, A::scalar},
                 .ret = R::scalar,
                 .effect = E::none,
                 .under_lock = true},
    FunctionDesc{.name = "bpf_arena_free_pages",
                 .args = {A::map_arena, A::arena, A::scalar},
                 .ret = R::void_,
                 .effect = E::none,
                 .under_lock = true},
    FunctionDesc{.name = "bpf_arena_reserve_pages",
                 .args = {A::map_arena, A::arena, A::scalar},
                 .ret = R::scalar,
                 .effect = E::none,
                 .under_lock = true},
    FunctionDesc{.name = "bpf_iter_num_new",
                 .args = {A::iter_num, A::scalar, A::scalar},
                 .ret = R::scalar,
                 .effect = E::iter_new,
                 .under_lock = true},
    FunctionDesc{.name = "bpf_iter_num_next",
                 .args = {A::iter_num},
                 .ret = R::iter_value_or_null,
                 .effect = E::iter_next,
                 .under_lock = true},
    FunctionDesc{.name = "bpf_iter_num_destroy",
                 .args = {A::iter_num},
                 .ret = R::void_,
                 .effect = E::iter_destroy,
                 .under_lock = true},
    FunctionDesc{
        .name = "bpf_preempt_disable", .args = {}, .ret = R::void_, .effect = E::preempt_disable},
    FunctionDesc{
        .name = "bpf_preempt_enable", .args = {}, .ret = R::void_, .effect = E::preempt_enable},
    FunctionDesc{.name = "bpf_local_irq_save",
                 .args = {A::irq_flags},
                 .ret = R::void_,
                 .effect = E::irq_save},
    FunctionDesc{.name = "bpf_local_irq_restore",
                 .args = {A::irq_flags},
                 .ret = R::void_,
                 .effect = E::irq_restore},
    FunctionDesc{.name = "bpf_rcu_read_lock", .args = {}, .ret = R::void_, .effect = E::rcu_lock},
    FunctionDesc{
        .name = "bpf_rcu_read_unlock", .args = {}, .ret = R::void_, .effect = E::rcu_unlock},
    FunctionDesc{.name = "bpf_res_spin_lock",
                 .args = {A::res_spin_lock},
                 .ret = R::scalar,
                 .effect = E::try_lock,
                 .under_lock = true},
    FunctionDesc{.name = "bpf_res_spin_unlock",
                 .args = {A::res_spin_lock},
                 .ret = R::void_,
                 .effect = E::try_unlock,
                 .under_lock = true},
    FunctionDesc{.name = "bpf_stream_vprintk",
                 .args = {A::scalar, A::const_string, A::values_or_null, A::size_or_zero},
                 .ret = R::scalar,
                 .effect = E::none},
    FunctionDesc{
        .name = "bpf_stream_vprintk_impl",
        .args = {A::scalar, A::const_string, A::values_or_null, A::size_or_zero, A::anything},
        .ret = R::scalar,
        .effect = E::none},
};

constexpr std::string_view kHelperNames[] = {
#define UARENA_HELPER_NAME(name) "bpf_" #name
    __BPF_FUNC_MAPPER(UARENA_HELPER_NAME)
#undef UARENA_HELPER_NAME
};

}  // namespace

// The rows with what does them here.
std::span<const FunctionDesc> catalogue() {
  static const std::vector<FunctionDesc> rows = [] {
    std::vector<FunctionDesc> made(kCatalogue.begin(), kCatalogue.end());
    for (const helpers::Implementation& does : helpers::implementations()) {
      const auto row = std::ranges::find(made, does.name, &FunctionDesc::name);
      UARENA_ASSERT(row != made.end(), "function {} is not in the catalogue", does.name);
      row->function = does.function;
      row->follows_pointers = does.follows_pointers;
    }
    return made;
  }();
  return rows;
}

const FunctionDesc* find_kfunc(std::string_view name) {
  const auto found = std::ranges::find_if(catalogue(), [&](const FunctionDesc& function) {
    return function.helper == 0 && function.name == name;
  });
  return found == catalogue().end() ? nullptr : &*found;
}

std::vector<const FunctionDesc*> offered_helpers() {
  std::vector<const FunctionDesc*> helpers;
  for (const FunctionDesc& function : catalogue()) {
    if (function.helper == 0 || function.function == nullptr) continue;
    const auto number = static_cast<size_t>(function.helper);
    if (helpers.size() <= number) helpers.resize(number + 1);
    helpers[number] = &function;
  }
  return helpers;
}

std::string_view helper_name(int32_t number) {
  if (number < 0 || static_cast<size_t>(number) >= std::size(kHelperNames)) return "helper";
  return kHelperNames[number];
}

}  // namespace uarena::jit
