// A broker and a real journal, which has a /run of its own here: what the broker says is found
// there by what it is about.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/support/broker_process.h"

namespace uarena::testing {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kJournald = "/lib/systemd/systemd-journald";

// $1: journald, $2: where the programs are. Standard error of the broker is the journal's, and it
// is told so as a service manager would. Whoever waits for a socket looks until it is there; the
// whole has a limit.
constexpr const char* kScript = R"(
  set -e
  mount -t tmpfs tmpfs /run
  mkdir -p /run/systemd/journal /run/u
  if [ -d /var/log/journal ]; then mount -t tmpfs tmpfs /var/log/journal; fi
  "$1" >/dev/null 2>&1 &
  journald=$!
  until [ -S /run/systemd/journal/stdout ] && [ -S /run/systemd/journal/socket ]; do :; done
  systemd-cat -t cat sh -c 'JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$0" --socket /run/u/s' \
    "$2/uarenad" &
  broker=$!
  until [ -S /run/u/s ]; do :; done
  "$2/uarena" -s /run/u/s arena create heap --pages 4 >/dev/null
  kill -TERM $broker
  wait $broker
  journalctl --sync
  journalctl -q -o json UARENA_EVENT=arena.created
  journalctl -q -o cat MESSAGE_ID=$3
  journalctl -q -o short SYSLOG_IDENTIFIER=cat || true
  kill $journald
)";

TEST(Journal, HasTheBrokersLines) {
  if (::geteuid() != 0 || ::access(kJournald, X_OK) != 0)
    GTEST_SKIP() << "no root, or no systemd-journald to start";
  // The UUID of daemon.stopped in our namespace.
  const std::string stopped = "aaa52903d2655dc696be2394bb7018de";
  const RunOutput output =
      run_command({"/usr/bin/timeout", "60", "/usr/bin/unshare", "-m", "/bin/sh", "-c", kScript,
                   "script", kJournald, UARENA_BIN_DIR, stopped});
  EXPECT_EQ(output.exit_code(), 0) << output.err;
  EXPECT_THAT(output.out, HasSubstr("\"UARENA_NAME\":\"heap\""));
  EXPECT_THAT(output.out, HasSubstr("\"SYSLOG_IDENTIFIER\":\"uarenad\""));
  EXPECT_THAT(output.out, ContainsRegex("\"UARENA_CLIENT\":\"[0-9]+\""));
  EXPECT_THAT(output.out, HasSubstr("\nevent=daemon.stopped\n"));
  EXPECT_THAT(output.out, Not(HasSubstr("cat[")))
      << "nothing came by standard error: " << output.out;
}

}  // namespace
}  // namespace uarena::testing
