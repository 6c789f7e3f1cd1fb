// The fields of each request: one C++ value per struct of abi.h, and the checks that need nothing
// but the message itself: reserved fields, unknown flags, ranges that the wire format sets. What
// needs an arena or a program to judge is judged where those are known; the raw attributes of
// ARENA_CREATE and the arguments of PAGE_* above all, since the kernel's rules decide there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

#include "ipc/abi.h"
#include "ipc/abi_accounts.h"
#include "ipc/abi_faults.h"
#include "ipc/base/result.h"

namespace uarena::ipc {

// `struct` where a function of uarena.h has the same name: in C the two do not meet, in C++ the
// function would hide the type from whoever includes both headers.
using RequestBody =
    std::variant<uarena_hello, uarena_arena_create, uarena_arena_ref, uarena_list,
                 struct uarena_attach, uarena_attach_ready, struct uarena_detach, uarena_empty,
                 struct uarena_prog_load, struct uarena_prog_run, uarena_prog_ref, uarena_page_op,
                 uarena_page_list, uarena_page_read, uarena_client_stats, uarena_fault_trace,
                 uarena_arena_access>;

// `fixed` is the fixed struct as it came, its size already within message_rule(type); missing bytes
// at the end count as zero. `type` is a row of the table.
Result<RequestBody> parse_request_fields_untrusted(uint16_t type, std::span<const std::byte> fixed);

// EINVAL with a sentence that starts with `what`, unless `name` is 1..63 bytes of [A-Za-z0-9_.-].
Result<void> check_name(std::string_view what, std::string_view name);

}  // namespace uarena::ipc
