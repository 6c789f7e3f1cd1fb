#include "tools/uarenafs/options.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace uarena::inspectfs {

std::string default_mountpoint() {
  if (::geteuid() == 0) return "/run/uarena/fs";
  const char* runtime = ::secure_getenv("XDG_RUNTIME_DIR");
  return runtime != nullptr && *runtime == '/' ? std::string(runtime) + "/uarena/fs" : "";
}

// What was typed is quoted in it, whatever that is.
void usage_error(const std::string& problem) {
  std::fprintf(stderr, "uarenafs: %s; see uarenafs --help\n", escaped(problem).c_str());
  std::exit(2);
}

Options parse_options(int argc, char** argv) {
  Options options;
  CLI::App app{
      "uarenafs: the arenas of a uarena broker as a read-only file system. Runs in the foreground, "
      "logs one line per event on standard error, and unmounts on SIGTERM or SIGINT."};
  app.option_defaults()->always_capture_default(false);
  app.set_version_flag("-V,--version", std::string("uarenafs ") + UARENA_VERSION);
  const auto not_empty = [](const std::string& text) {
    return text.empty() ? std::string("an empty path") : std::string();
  };
  app.add_option("-s,--socket", options.socket,
                 "the broker's socket (default: $UARENA_SOCKET, then "
                 "$XDG_RUNTIME_DIR/uarena/uarena.sock, then /run/uarena/uarena.sock)")
      ->check(not_empty);
  app.add_option("MOUNTPOINT", options.mountpoint,
                 "an existing directory (default: /run/uarena/fs for root, else "
                 "$XDG_RUNTIME_DIR/uarena/fs, which is made)")
      ->check(not_empty);
  app.add_flag("--allow-other", options.allow_other,
               "other users may look, too (for others than root, /etc/fuse.conf must allow it)");
  const std::vector<std::string> levels(kLogLevelNames.begin(), kLogLevelNames.end());
  std::string level = "info";
  app.add_option("--log-level", level, "debug, info, warning or error (default: info)")
      ->check(CLI::IsMember(levels));
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {
    std::exit(app.exit(done));
  } catch (const CLI::ParseError& error) {
    usage_error(error.what());
  }
  options.log_level = *log_level_of(level);
  return options;
}

}  // namespace uarena::inspectfs
