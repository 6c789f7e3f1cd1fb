// uarenad: reads its command line, makes a broker, serves until it is told to stop.
#include <cstdio>
#include <cstdlib>

#include "broker/broker.h"
#include "broker/options.h"

int main(int argc, char** argv) {
  using namespace uarena;
  const broker::Options options = broker::parse_options(argc, argv);
  set_log_level(options.log_level);
  auto made = broker::Broker::create(options);
  if (!made) {
    std::fprintf(stderr, "uarenad: %s\n", made.error().message.c_str());
    return EXIT_FAILURE;
  }
  (*made)->run();
  made->reset();
  log(LogLevel::info, "daemon.stopped");
  return EXIT_SUCCESS;
}
