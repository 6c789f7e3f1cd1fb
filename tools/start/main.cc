// uarena-start: the privileged part of starting uarena's services. It runs before a service, as
// root (ExecStartPre=+), opens what the sandboxed service may not, leaves it with the service
// manager, and ends. The services themselves never have these rights.
//
//   uarena-start devices [--cpu-dma-latency USEC]     for uarenad.service
//   uarena-start mount DIRECTORY                      for uarenafs.service
//   uarena-start unmount DIRECTORY                    after uarenafs.service
//
// Exit status: 0 done (also without a device that can't be opened), 1 failed, 2 usage.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>

#include "ipc/base/journal.h"
#include "ipc/base/log.h"
#include "tools/start/devices.h"
#include "tools/start/fuse_mount.h"

namespace {

using namespace uarena;

// The power management of the kernel takes bounds of up to 2,000 seconds; a second is no bound at
// all.
constexpr int32_t kMaxLatency = 1'000'000;

Result<void> with_manager(const std::function<Result<void>(start::Manager&)>& work) {
  auto manager = start::Manager::connect();
  if (!manager) return std::unexpected(manager.error());
  return work(*manager);
}

}  // namespace

int main(int argc, char** argv) {
  log_to_journal("uarena-start");
  CLI::App app{"uarena-start: opens for uarena's sandboxed services what they may not open."};
  app.set_version_flag("-V,--version", std::string("uarena-start ") + UARENA_VERSION);
  app.require_subcommand(1);
  std::optional<int32_t> latency;
  std::string directory;
  CLI::App* devices = app.add_subcommand("devices", "hand over the devices that the broker uses");
  devices
      ->add_option("--cpu-dma-latency", latency,
                   "keep CPUs out of sleep states that take longer to leave, in us (costs power)")
      ->check(CLI::Range(0, kMaxLatency));
  CLI::App* mount = app.add_subcommand("mount", "mount uarenafs and hand over its device");
  CLI::App* unmount = app.add_subcommand("unmount", "unmount uarenafs");
  for (CLI::App* command : {mount, unmount})
    command->add_option("DIRECTORY", directory, "an absolute path")
        ->required()
        ->check([](const std::string& path) {
          return path.starts_with('/') ? std::string() : "must be an absolute path";
        });
  // One line, whatever was typed.
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return fmt::format("uarena-start: {}; see uarena-start --help\n", escaped(error.what()));
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? EXIT_SUCCESS : 2;
  }
  const auto done =
      *devices ? with_manager([&](auto& manager) { return keep_devices(manager, latency); })
      : *mount ? with_manager([&](auto& manager) { return mount_fuse(manager, directory); })
               : start::unmount_fuse(directory);
  if (done) return EXIT_SUCCESS;
  std::fprintf(stderr, "uarena-start: %s\n", done.error().message.c_str());
  return EXIT_FAILURE;
}
