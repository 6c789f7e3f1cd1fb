// uarenad: reads its command line, makes a broker, serves until it is told to stop. Or it is
// the keeper of such a process.
#include <signal.h>

#include <cstdio>
#include <cstdlib>

#include "broker/broker.h"
#include "broker/keeper.h"
#include "broker/keeper_child.h"
#include "broker/options.h"
#include "ipc/base/journal.h"

int main(int argc, char** argv) {
  using namespace uarena;
  const broker::Options options = broker::parse_options(argc, argv);
  set_log_level(options.log_level);
  log_to_journal("uarenad");
  if (options.keeper) return broker::run_keeper({argv, static_cast<size_t>(argc)});
  broker::die_with_keeper();
  auto inherited = broker::Inherited::from_environment();
  auto made = inherited ? broker::Broker::create(options, std::move(*inherited))
                        : std::unexpected(inherited.error());
  if (!made) {
    std::fprintf(stderr, "uarenad: %s\n", made.error().message.c_str());
    return EXIT_FAILURE;
  }
  (*made)->run();
  // Told to stop once is enough: a second signal while it lets go must not make a failure of it.
  sigset_t stopping;
  ::sigemptyset(&stopping);
  ::sigaddset(&stopping, SIGTERM);
  ::sigaddset(&stopping, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &stopping, nullptr);
  const bool all_ended = (*made)->close();
  if (all_ended) made->reset();
  log(LogLevel::info, "daemon.stopped");
  // What hangs uses what destructors would take away.
  if (!all_ended) std::_Exit(EXIT_SUCCESS);
  return EXIT_SUCCESS;
}
