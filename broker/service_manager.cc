#include "broker/service_manager.h"

#include <systemd/sd-daemon.h>
#include <time.h>

#include "ipc/base/log.h"

namespace uarena::broker {
namespace {

void tell(const std::string& state) {
  const int told = ::sd_notify(/*unset_environment=*/0, state.c_str());
  if (told < 0)
    log(LogLevel::warning, "daemon.manager_not_told",
        {{"state", state}, {"error", strerrordesc_np(-told)}});
}

}  // namespace

void tell_ready(std::string_view status) { tell("READY=1\nSTATUS=" + escaped(status)); }
void tell_reloading() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  tell(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1'000'000 + now.tv_nsec / 1000));
}
void tell_stopping() { tell("STOPPING=1\nSTATUS=letting go of clients"); }
void tell_alive() { tell("WATCHDOG=1"); }

}  // namespace uarena::broker
