// uarena arena …: create, show, delete. (trace: trace.cc)
#include "ipc/base/log.h"
#include "ipc/base/page.h"
#include "ipc/mode_text.h"
#include "tools/uarena/access.h"
#include "tools/uarena/context.h"
#include "tools/uarena/text.h"
#include "tools/uarena/trace.h"
#include "tools/uarena/views.h"

namespace uarena::cli {
namespace {

Result<uint32_t> fault_answer(const Invocation& call) {
  const std::string* way = call.value("--fault");
  if (way == nullptr || *way == "served") return UARENA_FAULT_SERVED;
  if (*way == "direct") return UARENA_FAULT_DIRECT;
  return fail(Why::usage, EINVAL, "--fault {}: allowed are served, direct", escaped(*way));
}

Result<uint32_t> fault_around(const Invocation& call) {
  const std::string* pages = call.value("--fault-around");
  if (pages == nullptr) return 0;
  if (*pages == "auto") return UARENA_FAULT_AROUND_AUTO;
  auto number = parse_number("--fault-around", *pages, 1, UARENA_MAX_FAULT_AROUND);
  if (!number) return fail(Why::usage, EINVAL, "{} or auto", number.error().message);
  return static_cast<uint32_t>(*number);
}

Result<uint64_t> address(const Invocation& call) {
  const std::string* text = call.value("--addr");
  if (text == nullptr) return 0;
  auto number = parse_number("--addr", *text, 0, UINT64_MAX);
  if (number && !page_aligned(*number))
    return fail(Why::usage, EINVAL, "--addr {}: allowed are multiples of {}", hex(*number),
                kPageSize);
  return number;
}

Result<uint32_t> mode_of(const Invocation& call) {
  const std::string* text = call.value("--mode");
  if (text == nullptr) return 0;
  auto mode = ipc::changed_mode(0, *text);
  if (mode && *mode == 0)
    return fail(Why::usage, EINVAL, "--mode {}: nobody but root could use it", escaped(*text));
  return mode;
}

Result<ipc::ArenaSpec> spec_of(const Invocation& call) {
  ipc::ArenaSpec spec;
  auto pages = parse_number("--pages", *call.value("--pages"), 1, kMaxArenaPages);
  if (!pages) return std::unexpected(pages.error());
  auto map_extra = address(call);
  if (!map_extra) return std::unexpected(map_extra.error());
  auto fault = fault_answer(call);
  if (!fault) return std::unexpected(fault.error());
  auto around = fault_around(call);
  if (!around) return std::unexpected(around.error());
  spec.max_entries = static_cast<uint32_t>(*pages);
  spec.map_flags = kBpfFMmapable | (call.has("--segv-on-fault") ? kBpfFSegvOnFault : 0) |
                   (call.has("--no-user-conv") ? kBpfFNoUserConv : 0);
  spec.map_extra = *map_extra;
  auto mode = mode_of(call);
  if (!mode) return std::unexpected(mode.error());
  spec.mode = *mode;
  if (call.value("--fault") != nullptr || call.value("--fault-around") != nullptr)
    spec.faults = {*fault, *around};
  return spec;
}

void print(Context& context, const uarena_arena_info& arena) {
  Output& output = context.output();
  if (output.json())
    output.json(arena_json(arena));
  else
    output.text(arena_text(arena, output));
}

Result<void> create(Context& context) {
  auto name = parse_name("NAME", *context.call().argument(0));
  if (!name) return std::unexpected(name.error());
  auto spec = spec_of(context.call());
  if (!spec) return std::unexpected(spec.error());
  auto broker = context.broker();
  if (!broker) return std::unexpected(broker.error());
  auto arena = (*broker)->create_arena(*name, *spec);
  if (!arena) return std::unexpected(arena.error());
  print(context, *arena);
  return {};
}

Result<void> list(Context& context) {
  auto broker = context.broker();
  if (!broker) return std::unexpected(broker.error());
  auto arenas = (*broker)->arenas();
  if (!arenas) return std::unexpected(arenas.error());
  Output& output = context.output();
  if (output.json())
    output.json(arenas_json(*arenas));
  else
    output.text(arenas_text(*arenas, output));
  return {};
}

Result<void> show(Context& context) {
  if (context.call().argument(0) == nullptr) return list(context);
  auto arena = context.arena_named(*context.call().argument(0));
  if (!arena) return std::unexpected(arena.error());
  auto broker = context.broker();
  if (!broker) return std::unexpected(broker.error());
  auto stats = (*broker)->arena_stats(arena->id);
  if (!stats) return std::unexpected(stats.error());
  Output& output = context.output();
  if (output.json())
    output.json(arena_json(*arena, *stats));
  else
    output.text(arena_text(*arena, *stats, output));
  return {};
}

Result<void> remove(Context& context) {
  auto arena = context.arena_named(*context.call().argument(0));
  if (!arena) return std::unexpected(arena.error());
  auto broker = context.broker();
  if (!broker) return std::unexpected(broker.error());
  auto done = (*broker)->delete_arena(arena->id);
  if (!done) return done;
  Output& output = context.output();
  if (output.json())
    output.json({{"id", json_count(arena->id)}, {"name", *context.call().argument(0)}});
  return {};
}

}  // namespace

Object arena_object() {
  return {
      .name = "arena",
      .summary = "sparse memory of up to 4 GiB that clients and programs share",
      .commands =
          {{.names = {"show", "list"},
            .arguments = {{"NAME", "only this arena, in full", true, {}}},
            .flags = {},
            .summary = "show one arena, or list all",
            .details =
                "Sizes are what clients map; ALLOCATED is what has pages. Faults are those of all "
                "clients that have or had it attached, counted by what became of them, since this "
                "broker began to serve; uarena arena trace explains the words. The memory file "
                "holds "
                "one page for each that is allocated, but for moments in which one comes or goes; "
                "where it does not, somebody has written or emptied the file past the broker.",
            .example = "uarena arena list",
            .run = show},
           {.names = {"create"},
            .arguments = {{"NAME", "1..63 characters of A-Z a-z 0-9 _ . -", false, {}}},
            .flags = {{"--pages", "N", "size in pages of 4096 bytes, 1..1048576", true},
                      {"--segv-on-fault", "",
                       "touching an absent page is a SIGSEGV instead of a new page "
                       "(BPF_F_SEGV_ON_FAULT)"},
                      {"--no-user-conv", "",
                       "programs store pointers as they are (BPF_F_NO_USER_CONV)"},
                      {"--addr", "ADDR",
                       "user_vm_start, the address at which every client maps it, a multiple of "
                       "4096; otherwise the broker chooses"},
                      {"--fault", "served|direct",
                       "who fills an absent page: the broker, which counts and decides (served, "
                       "the default), or the kernel alone (direct; all pages are charged at once)"},
                      {"--fault-around", "auto|N",
                       "pages that one fault brings: 1 to 512, or auto for a window that grows "
                       "with sequential access; otherwise 1"},
                      {"--mode", "MODE",
                       "who may do what, as for uarena arena chmod, beginning with nothing for "
                       "anybody: u=rwxl,g=rwx,o=r; otherwise everybody may do everything"}},
            .summary = "create an arena",
            .details = "It lives until it is deleted, whatever becomes of its clients.",
            .example = "uarena arena create heap --pages 1048576",
            .run = create},
           {.names = {"delete"},
            .arguments = {{"NAME", "the arena", false, {}}},
            .flags = {},
            .summary = "delete an arena and its pages",
            .details = "Refused (EBUSY) while clients are attached or programs use it.",
            .example = "uarena arena delete heap",
            .run = remove},
           chmod_command(),
           chown_command(),
           trace_command()},
      .default_command = "show"};
}

}  // namespace uarena::cli
