// The whole command as a function, so that tests can call it: parse, help or run, report.
#include "tools/uarena/context.h"
#include "tools/uarena/help.h"
#include "tools/uarena/text.h"

namespace uarena::cli {
namespace {

std::string help_of(const Invocation& call) {
  if (call.object == nullptr) return help_all();
  return call.command == nullptr ? help_object(*call.object)
                                 : help_command(*call.object, *call.command);
}

Result<void> perform(const Invocation& call, Output& output) {
  if (call.error) return std::unexpected(*call.error);
  switch (call.what) {
    case Invocation::What::help:
      output.text(help_of(call));
      return {};
    case Invocation::What::man:
      output.text(manual_page());
      return {};
    case Invocation::What::version:
      if (output.json())
        output.json({{"uarena", UARENA_VERSION}, {"abi", UARENA_ABI_VERSION}});
      else
        output.text(fmt::format("uarena {}, wire format {}\n", UARENA_VERSION, UARENA_ABI_VERSION));
      return {};
    case Invocation::What::command:
      break;
  }
  Context context(call, output);
  return call.command->run(context);
}

}  // namespace

Result<ipc::Inspector*> Context::broker() {
  if (broker_ == nullptr) {
    auto connected = ipc::Inspector::connect(call_.socket);
    if (!connected) return std::unexpected(connected.error());
    broker_ = std::make_unique<ipc::Inspector>(std::move(*connected));
  }
  return broker_.get();
}

Result<uarena_arena_info> Context::arena_named(const std::string& name) {
  auto checked = parse_name("NAME", name);
  if (!checked) return std::unexpected(checked.error());
  auto connected = broker();
  if (!connected) return std::unexpected(connected.error());
  return (*connected)->arena(*checked);
}

ExitCode run_uarena(const std::vector<std::string>& words, std::FILE* out, std::FILE* err) {
  Invocation call = parse_command_line(words);
  Output output(out, err, detect_style(out, call.colour, call.json));
  Result<void> done = perform(call, output);
  ExitCode code = done ? ExitCode::ok : output.error(done.error());
  if (auto flushed = output.flush(); !flushed && code == ExitCode::ok) {
    output.note(fmt::format("uarena: {}\n", flushed.error().message));
    code = ExitCode::failed;
  }
  return code;
}

}  // namespace uarena::cli
