#include "broker/options.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <vector>

namespace uarena::broker {
namespace {

// Where a broker listens when it is not told: the system's place for root, else the user's own.
std::string default_socket() {
  if (::geteuid() == 0) return "/run/uarena/uarena.sock";
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  return runtime != nullptr && *runtime != '\0' ? std::string(runtime) + "/uarena/uarena.sock" : "";
}

// The parser's sentence quotes what was typed, whatever that is.
std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    line += byte >= 0x20 && byte < 0x7f ? std::string(1, c) : fmt::format("\\x{:02x}", byte);
  }
  return line;
}

}  // namespace

Options parse_options(int argc, char** argv) {
  Options options;
  options.socket = default_socket();
  std::string mode;
  CLI::App app{
      "uarenad: the broker of uarena, bpf_arena in user space. Runs in the foreground, logs "
      "one line per event on standard error, and stops cleanly on SIGTERM or SIGINT."};
  app.option_defaults()->always_capture_default(false);
  app.set_version_flag("-V,--version", std::string("uarenad ") + UARENA_VERSION);
  app.add_option("--socket", options.socket,
                 "path of the socket (default: /run/uarena/uarena.sock for root, else "
                 "$XDG_RUNTIME_DIR/uarena/uarena.sock)");
  app.add_option("--socket-mode", mode,
                 "mode of the socket, octal (default: 0666 for root, else 0600)")
      ->check([](const std::string& text) {
        const bool octal = !text.empty() && text.size() <= 4 &&
                           text.find_first_not_of("01234567") == std::string::npos;
        return octal && std::stoul(text, nullptr, 8) <= 0777 ? std::string()
                                                             : "allowed are octal modes 0 to 0777";
      });
  app.add_option("--fault-threads", options.fault_threads,
                 "threads that answer page faults (default: one per CPU)")
      ->check(CLI::Range(1, 256));
  app.add_option(
         "--runner-threads", options.runner_threads,
         "threads that run programs (default: two per CPU; more are started while all are busy)")
      ->check(CLI::Range(1, 256));
  app.add_option("--config", options.config,
                 "configuration file with the limits of users and groups, uarenad.toml(5); read "
                 "again at SIGHUP (default: none, no limits)")
      ->check([](const std::string& text) {
        return text.empty() ? "a file has a name" : std::string();
      });
  app.add_option("--load-group", options.load_group,
                 "group whose members may load programs, besides root and the broker's own uid")
      ->check([](const std::string& text) {
        return text.empty() ? "a group has a name or a number" : std::string();
      });
  app.add_option(
      "--jitdump", options.jitdump,
      "directory in which jit-PID.dump is made, from which `perf inject --jit` takes the "
      "names and lines of compiled programs");
  const std::vector<std::string> levels(kLogLevelNames.begin(), kLogLevelNames.end());
  std::string level = "info";
  app.add_option("--log-level", level, "debug, info, warning or error (default: info)")
      ->check(CLI::IsMember(levels));
  app.add_flag("--keeper", options.keeper,
               "be a small parent that holds the broker's descriptors and starts it anew when it "
               "dies");
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return fmt::format("uarenad: {}; see uarenad --help\n", one_line(error.what()));
  });
  try {
    app.parse(argc, argv);
    // Whoever passes descriptors may pass the socket, too.
    if (options.socket.empty() && std::getenv("LISTEN_FDS") == nullptr)
      throw CLI::RequiredError("--socket PATH (there is no $XDG_RUNTIME_DIR to put a socket into)");
  } catch (const CLI::Success& done) {
    std::exit(app.exit(done));
  } catch (const CLI::ParseError& error) {
    app.exit(error);
    std::exit(2);
  }
  options.log_level = *log_level_of(level);
  if (!mode.empty())
    options.socket_mode = static_cast<unsigned>(std::stoul(mode, nullptr, 8));
  else
    options.socket_mode = ::geteuid() == 0 ? 0666 : 0600;
  return options;
}

}  // namespace uarena::broker
