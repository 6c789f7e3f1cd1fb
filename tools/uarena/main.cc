// uarena: the command. Everything is in run_uarena; this gives it the words and the streams.
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "tools/uarena/context.h"

int main(int argc, char** argv) {
  using namespace uarena::cli;
  std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  try {
    return static_cast<int>(run_uarena(words, stdout, stderr));
  } catch (const std::exception& error) {  // out of memory
    std::fprintf(stderr, "uarena: %s\n", error.what());
    return static_cast<int>(ExitCode::failed);
  }
}
