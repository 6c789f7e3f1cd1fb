// uarena prog …: load, show, run, dump, unload.
#include <algorithm>
#include <optional>

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
};

Result<RunRequest> run_request(const Invocation& call) {
  if (call.has("--data-in"))
    return fail(EOPNOTSUPP,
                "--data-in is for programs that take packets, which this version does not load; "
                "use --ctx-in");
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
  return request;
}

// Where the context goes, if anywhere: known to be writable before the program has run.
Result<std::optional<OutputFile>> ctx_out(Context& context) {
  const std::string* target = context.call().value("--ctx-out");
  if (target == nullptr) return std::nullopt;
  if (*target == "-" && context.output().json())
    return fail(Why::usage, EINVAL,
                "--ctx-out -: with -j standard output is for the JSON document, which has ctx_out");
  auto file = OutputFile::open("--ctx-out", *target);
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
  auto target = ctx_out(context);
  if (!target) return std::unexpected(target.error());
  auto answer = (*broker)->run(*id, request->ctx, request->repeat);
  if (!answer) return std::unexpected(answer.error());
  RunOutcome outcome{answer->r0, answer->duration_ns, answer->repeat, std::move(answer->ctx)};
  if (*target) {
    auto written = (*target)->write(outcome.ctx);
    if (!written) return written;
  }
  Output& output = context.output();
  if (output.json())
    output.json(run_json(outcome));
  else
    output.text(run_text(outcome, !*target, output));
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
      .flags = {{"--ctx-in", "F",
                 "the context: a file, - for standard input, or hex:00ff...; at most 65535 bytes"},
                {"--ctx-out", "F", "write the context that the program left to this file, or -"},
                {"--data-in", "F", "a packet; only for programs that take packets"},
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
            .details = "xlated is what the verifier passed on, after fix-up; jited is "
                       "what the processor runs.",
            .example = "uarena prog dump jited build_list",
            .run = dump},
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
