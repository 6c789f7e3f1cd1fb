// A child has no mapping of its parent's arenas (K22), so whoever is to lose a mapping, or to do to
// it what ends a process, is a child that maps the arena for itself.
#include "tests/parity/side.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "tests/parity/in_child.h"

namespace uarena::testing {

std::string Subject::in_client(const std::function<std::string()>& body) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  const Fd out(ends[0]);
  Fd in(ends[1]);
  // Answers fit a pipe, so a child never waits for its reader.
  const int status = in_child([&] {
    std::signal(SIGSEGV, SIG_DFL);
    std::signal(SIGBUS, SIG_DFL);
    std::string answer;
    try {
      map_here();
      answer = body();
    } catch (const std::exception& error) {
      answer = std::string("failed: ") + error.what();
    }
    return ::write(in.get(), answer.data(), answer.size()) < 0 ? 1 : 0;
  });
  in.reset();
  if (WIFSIGNALED(status)) return std::string("SIG") + ::sigabbrev_np(WTERMSIG(status));
  char text[4096];
  const ssize_t got = ::read(out.get(), text, sizeof text);
  return {text, static_cast<size_t>(std::max<ssize_t>(got, 0))};
}

}  // namespace uarena::testing
