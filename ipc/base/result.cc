#include "ipc/base/result.h"

#include <cstdio>
#include <cstdlib>

namespace uarena {

std::string errno_text(int code) {
  const char* text = strerrordesc_np(code);
  return text != nullptr ? text : fmt::format("error {}", code);
}

void assertion_failed(const char* file, int line, const char* expression,
                      const std::string& state) {
  std::fprintf(stderr, "%s:%d: assertion failed: %s (%s)\n", file, line, expression, state.c_str());
  std::abort();
}

}  // namespace uarena
