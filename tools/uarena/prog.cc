// uarena prog …: load, show, run, dump, unload.
#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

#include "ipc/base/log.h"
#include "tools/uarena/context.h"
#include "tools/uarena/files.h"
#include "tools/uarena/text.h"
#include "tools/uarena/views.h"

namespace uarena::cli {
namespace {

Result<ipc::LoadSpec> load_spec(Context& context) {
  const Invocation& call = context.call();
  ipc::LoadSpec spec;
  if (const std::string* given = call.value("--name"); given != nullptr) {
    auto name = parse_name("--name", *given);
    if (!name) return std::unexpected(name.error());
    spec.name = *name;
  }
  if (const std::string* given = call.value("--log-level"); given != nullptr) {
    auto level = parse_number("--log-level", *given, 0, 2);
    if (!level) return std::unexpected(level.error());
    spec.log_level = static_cast<uint32_t>(*level);
  }
  spec.flags = call.has("--interpret") ? UARENA_LOAD_INTERPRET : 0;
  if (const std::string* given = call.value("--arena"); given != nullptr) {
    auto arena = context.arena_named(*given);
    if (!arena) return std::unexpected(arena.error());
    spec.arena_id = arena->id;
  }
  return spec;
}

Result<void> load(Context& context) {
  auto spec = load_spec(context);
  if (!spec) return std::unexpected(spec.error());
  auto broker = context.broker();
  if (!broker) return std::unexpected(broker.error());
  Output& output = context.output();
  LoadedObject loaded;
  auto answer = (*broker)->load(*context.call().argument(0), *spec, &loaded.log);
  if (!answer) {
    if (!loaded.log.empty()) output.note(printable(loaded.log));
    return std::unexpected(answer.error());
  }
  loaded.programs = std::move(answer->programs);
  loaded.maps = std::move(answer->maps);
  loaded.arena_id = answer->arena_id;
  if (loaded.arena_id != 0) {
    auto arena = (*broker)->arena(loaded.arena_id);
    if (!arena) return std::unexpected(arena.error());
    loaded.arena = wire_name(arena->name);
  }
  if (output.json()) {
    output.json(loaded_json(loaded));
    return {};
  }
  if (!loaded.log.empty()) output.note(printable(loaded.log));
  output.text(loaded_text(loaded, output));
  return {};
}

// Digits are an id, everything else is a name, which must be unique among the loaded programs.
Result<uint64_t> program_id(Context& context, const std::string& word) {
  if (!word.empty() && std::ranges::all_of(word, [](char c) { return c >= '0' && c <= '9'; }))
    return parse_number("ID", word, 1, UINT64_MAX);
  auto name = parse_name("NAME", word);
  if (!name) return std::unexpected(name.error());
  auto broker = context.broker();
  if (!broker) return std::unexpected(broker.error());
  auto programs = (*broker)->programs();
  if (!programs) return std::unexpected(programs.error());
  return find_program(*programs, *name);
}

Result<void> show(Context& context) {
  const std::string* wanted = context.call().argument(0);
  Result<uint64_t> id = 0;
  if (wanted != nullptr) id = program_id(context, *wanted);
  if (!id) return std::unexpected(id.error());
  auto broker = context.broker();
  if (!broker) return std::unexpected(broker.error());
  auto programs = (*broker)->programs();
  if (!programs) return std::unexpected(programs.error());
  auto arenas = (*broker)->arenas();
  if (!arenas) return std::unexpected(arenas.error());
  Output& output = context.output();
  if (wanted == nullptr) {
    if (output.json())
      output.json(programs_json(*programs));
    else
      output.text(programs_text(*programs, *arenas, output));
    return {};
  }
  auto program = std::ranges::find(*programs, *id, &uarena_prog_info::id);
  if (program == programs->end())
    return fail(Why::not_found, ENOENT, "there is no program {}; see uarena prog list", *id);
  if (output.json())
    output.json(program_json(*program));
  else
    output.text(program_text(*program, *arenas, output));
  return {};
}

struct RunRequest {
  uint32_t repeat = 1;
  std::vector<std::byte> ctx;
  std::vector<std::byte> data;
};

Result<RunRequest> run_request(const Invocation& call) {
  RunRequest request;
  if (const std::string* given = call.value("--repeat"); given != nullptr) {
    auto repeat = parse_number("--repeat", *given, 1, UARENA_MAX_REPEAT);
    if (!repeat) return std::unexpected(repeat.error());
    request.repeat = static_cast<uint32_t>(*repeat);
  }
  if (const std::string* source = call.value("--ctx-in"); source != nullptr) {
    auto bytes = read_bytes("--ctx-in", *source, UARENA_MAX_CTX);
    if (!bytes) return std::unexpected(bytes.error());
    request.ctx = std::move(*bytes);
  }
  if (const std::string* source = call.value("--data-in"); source != nullptr) {
    auto bytes = read_bytes("--data-in", *source, UARENA_MAX_DATA);
    if (!bytes) return std::unexpected(bytes.error());
    request.data = std::move(*bytes);
  }
  return request;
}

// Where the context or the packet goes, if anywhere: known to be writable before the program has
// run.
Result<std::optional<OutputFile>> output_file(Context& context, const std::string& flag,
                                              std::string_view key) {
  const std::string* target = context.call().value(flag);
  if (target == nullptr) return std::nullopt;
  if (*target == "-" && context.output().json())
    return fail(Why::usage, EINVAL,
                "{} -: with -j standard output is for the JSON document, which has {}", flag, key);
  auto file = OutputFile::open(flag, *target);
  if (!file) return std::unexpected(file.error());
  return std::move(*file);
}

Result<void> run(Context& context) {
  auto request = run_request(context.call());
  if (!request) return std::unexpected(request.error());
  auto id = program_id(context, *context.call().argument(0));
  if (!id) return std::unexpected(id.error());
  auto broker = context.broker();
  if (!broker) return std::unexpected(broker.error());
  auto target = output_file(context, "--ctx-out", "ctx_out");
  if (!target) return std::unexpected(target.error());
  auto packet = output_file(context, "--data-out", "data_out");
  if (!packet) return std::unexpected(packet.error());
  auto answer = (*broker)->run(*id, request->ctx, request->repeat, request->data);
  if (!answer) return std::unexpected(answer.error());
  RunOutcome outcome{answer->r0, answer->duration_ns, answer->repeat, std::move(answer->ctx),
                     std::move(answer->data)};
  if (*target) {
    auto written = (*target)->write(outcome.ctx);
    if (!written) return written;
  }
  if (*packet) {
    auto written = (*packet)->write(outcome.data);
    if (!written) return written;
  }
  Output& output = context.output();
  if (output.json())
    output.json(run_json(outcome));
  else
    output.text(run_text(outcome, !*target, !*packet, output));
  return {};
}

Result<void> dump(Context& context) {
  const std::string& what = *context.call().argument(0);
  auto id = program_id(context, *context.call().argument(1));
  if (!id) return std::unexpected(id.error());
  auto broker = context.broker();
  if (!broker) return std::unexpected(broker.error());
  auto text = (*broker)->dump(*id, what == "jited" ? UARENA_DUMP_JITED : UARENA_DUMP_XLATED);
  if (!text) return std::unexpected(text.error());
  Output& output = context.output();
  if (output.json())
    output.json(listing_json(*id, what, *text));
  else
    output.text(printable(*text));
  return {};
}

Result<uarena_dump> wanted_log(const Invocation& call) {
  const std::string* stream = call.value("--stream");
  if (stream == nullptr) return UARENA_DUMP_LOG;
  if (*stream == "stdout") return UARENA_DUMP_STDOUT;
  if (*stream == "stderr") return UARENA_DUMP_STDERR;
  return fail(Why::usage, EINVAL, "--stream is `{}`: expected stdout or stderr", *stream);
}

std::string printed_text(const ipc::Inspector::Printed& printed) {
  const std::string before =
      printed.dropped == 0 ? "" : fmt::format("({} lines before)\n", printed.dropped);
  return before + printable(printed.text);
}

// What is new is asked for every so often: a program may print more than anybody can be sent. Ends
// when the program is unloaded.
Result<void> follow_log(Context& context, ipc::Inspector& broker, uint64_t id, uarena_dump what) {
  constexpr auto kInterval = std::chrono::milliseconds(100);
  uint64_t seen = 0;
  while (true) {
    auto printed = broker.printed(id, what);
    if (!printed && printed.error().why == Why::not_found) return {};
    if (!printed) return std::unexpected(printed.error());
    const uint64_t fresh = printed->end - std::min(printed->end, seen);
    if (seen != 0 && fresh > printed->text.size())
      context.output().note(
          fmt::format("({} bytes were too fast)\n", fresh - printed->text.size()));
    if (fresh < printed->text.size()) printed->text.erase(0, printed->text.size() - fresh);
    if (seen != 0) printed->dropped = 0;
    if (fresh != 0) context.output().text(printed_text(*printed));
    if (auto flushed = context.output().flush(); !flushed) return flushed;
    seen = printed->end;
    std::this_thread::sleep_for(kInterval);
  }
}

Result<void> show_log(Context& context) {
  const auto what = wanted_log(context.call());
  if (!what) return std::unexpected(what.error());
  auto id = program_id(context, *context.call().argument(0));
  if (!id) return std::unexpected(id.error());
  auto broker = context.broker();
  if (!broker) return std::unexpected(broker.error());
  Output& output = context.output();
  if (context.call().has("--follow")) {
    if (output.json()) return fail(Why::usage, EINVAL, "--follow has no end: it has no JSON");
    return follow_log(context, **broker, *id, *what);
  }
  auto printed = (*broker)->printed(*id, *what);
  if (!printed) return std::unexpected(printed.error());
  const std::string text = printed_text(*printed);
  if (output.json())
    output.json(listing_json(*id, "log", text));
  else
    output.text(text);
  return {};
}

Result<void> unload(Context& context) {
  auto id = program_id(context, *context.call().argument(0));
  if (!id) return std::unexpected(id.error());
  auto broker = context.broker();
  if (!broker) return std::unexpected(broker.error());
  auto done = (*broker)->unload(*id);
  if (!done) return done;
  if (context.output().json()) context.output().json({{"id", json_count(*id)}});
  return {};
}

Command load_command() {
  return {
      .names = {"load"},
      .arguments = {{"FILE", "an object of clang -target bpf", false, {}}},
      .flags = {{"--arena", "NAME",
                 "use this arena; otherwise one is created from the object's .maps"},
                {"--name", "NAME", "the object's name; otherwise the file's without .bpf.o"},
                {"--interpret", "", "do not compile, run in the interpreter"},
                {"--log-level", "N", "verifier log on standard error: 0 only on rejection, 1, 2"}},
      .summary = "verify, compile and keep the programs of an object",
      .details =
          "All of them or none. A rejection (exit 7) names the instruction and the "
          "source line. The verifier's log reads like the kernel's: level 1 is the path to the "
          "fault with what was known at each instruction, level 2 the whole walk, both with the "
          "source lines; of a rejection the last line says what to change. With -j the log of a "
          "load that succeeded is the key \"log\".",
      .example = "uarena prog load list.bpf.o --arena heap",
      .run = load};
}

Command run_command() {
  return {
      .names = {"run"},
      .arguments = {{"ID|NAME", "the program", false, {}}},
      .flags =
          {{"--ctx-in", "F",
            "the context: a file, - for standard input, or hex:00ff...; at most 65535 bytes"},
           {"--ctx-out", "F", "write the context that the program left to this file, or -"},
           {"--data-in", "F",
            "a packet for a program that takes one, given as the context is; at most 32768 bytes"},
           {"--data-out", "F", "write the packet that the program left to this file, or -"},
           {"--repeat", "N", "run it N times, 1..1000000; the duration is the mean"}},
      .summary = "run a program in the broker and show what it returned",
      .details =
          "A program that ran exits 0 whatever it returned. A name that several "
          "programs have is a usage error (exit 2): use the ID. Runs are at most once: "
          "if the broker dies meanwhile, the outcome is unknown. A run that is in a loop after "
          "10 s is ended there: exit 1, and the instruction is named.",
      .example = "uarena prog run build_list --ctx-in hex:0a000000",
      .run = run};
}

}  // namespace

Object prog_object() {
  const Argument program{"ID|NAME", "the program", false, {}};
  return {
      .name = "prog",
      .summary = "BPF programs that run on arenas",
      .commands =
          {{.names = {"show", "list"},
            .arguments = {{"ID|NAME", "only this program, in full", true, {}}},
            .flags = {},
            .summary = "show one program, or list all",
            .details = "CODE is the size of its machine code; MEAN is the time of a run.",
            .example = "uarena prog list",
            .run = show},
           load_command(),
           run_command(),
           {.names = {"dump"},
            .arguments = {{"WHAT", "BPF instructions, or machine code", false, {"xlated", "jited"}},
                          program},
            .flags = {},
            .summary = "print a program's instructions",
            .details = "xlated is what the verifier passed on, after fix-up; jited is what the "
                       "processor runs, for root and the broker's own user alone.",
            .example = "uarena prog dump jited build_list",
            .run = dump},
           {.names = {"log"},
            .arguments = {program},
            .flags = {{"--stream", "S",
                       "stdout or stderr; otherwise what bpf_trace_printk printed"},
                      {"--follow", "", "go on until the program is unloaded"}},
            .summary = "print what a program has printed",
            .details =
                "The latest 64 KiB of it: of bpf_trace_printk and bpf_trace_vprintk, or of what "
                "bpf_stream_vprintk wrote to one of the program's streams. stderr has reports, "
                "too: "
                "accesses to absent pages of the arena, once for each place in the program and "
                "then "
                "counted, and loops that ran into their limit. All of it is kept for as long as "
                "the "
                "program is loaded.",
            .example = "uarena prog log build_list --stream stderr --follow",
            .run = show_log},
           {.names = {"unload"},
            .arguments = {program},
            .flags = {},
            .summary = "forget a program",
            .details = "Its object's maps go with its last program; its arena stays.",
            .example = "uarena prog unload 3",
            .run = unload}},
      .default_command = "show"};
}

}  // namespace uarena::cli
