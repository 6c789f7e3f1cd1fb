#include "ipc/client/process_id.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace uarena::ipc {
namespace {

// In a child and in its child, each of which has asked before it forked.
TEST(ProcessId, IsTheSystemCallsInEveryGeneration) {
  EXPECT_EQ(process_id(), ::getpid());
  EXPECT_EQ(process_id(), ::getpid());
  const pid_t child = ::fork();
  if (child == 0) {
    bool good = process_id() == ::getpid() && process_id() == ::getpid();
    const pid_t grandchild = ::fork();
    if (grandchild == 0) ::_exit(process_id() == ::getpid() ? 0 : 1);
    int status = -1;
    good = good && ::waitpid(grandchild, &status, 0) == grandchild && status == 0;
    ::_exit(good ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(process_id(), ::getpid());
}

}  // namespace
}  // namespace uarena::ipc
