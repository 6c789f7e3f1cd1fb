// From the thread id of a message to the thread: same namespace, another one, not the peer's, gone.
#include "uffd/thread_identity.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "tests/uffd/child.h"
#include "tests/uffd/client.h"

namespace uarena::uffd {
namespace {

using testing::Child;
using testing::Line;

constexpr const char* kStatus =
    "Name:\tevil NSpid:\t77\n"
    "State:\tS (sleeping)\n"
    "Uid:\t1000\t0\t1001\t0\n"
    "NStgid:\t4711\t1\n"
    "NSpid:\t4712\t8\t2\n"
    "SigPnd:\t0000000000000400\n"
    "SigBlk:\t0000000000000000\n"
    "SigIgn:\t0000000000000400\n"
    "SigCgt:\tfffffffffffffbff\n";

TEST(ParseStatus, TakesLastIdsAndTheBitOfSigsegv) {
  const auto status = parse_status(kStatus);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->innermost_tid, 2u);
  EXPECT_EQ(status->innermost_tgid, 1u);
  EXPECT_TRUE(status->sleeps);
  EXPECT_EQ(status->real_uid, 1000u);
  EXPECT_EQ(status->saved_uid, 1001u);
  EXPECT_TRUE(status->segv_pending);
  EXPECT_FALSE(status->segv_blocked);
  EXPECT_TRUE(status->segv_ignored);
  EXPECT_FALSE(status->segv_caught);
}

TEST(ParseStatus, EveryLineIsNeeded) {
  const std::string whole = kStatus;
  for (const char* key :
       {"State:", "Uid:", "NStgid:", "\nNSpid:", "SigPnd:", "SigBlk:", "SigIgn:", "SigCgt:"}) {
    std::string text = whole;
    text.replace(text.find(key) + 1, 1, "#");
    EXPECT_FALSE(parse_status(text)) << key;
  }
  EXPECT_FALSE(parse_status(""));
  EXPECT_FALSE(parse_status("Uid:\nNStgid:\nNSpid:\nSigPnd:\nSigBlk:\nSigIgn:\nSigCgt:"));
}

TEST(ThreadStatus, WhoTakesSigsegv) {
  EXPECT_TRUE(ThreadStatus{.innermost_tgid = 5}.takes_segv());
  EXPECT_FALSE((ThreadStatus{.innermost_tgid = 5, .segv_blocked = true}.takes_segv()));
  EXPECT_FALSE((ThreadStatus{.innermost_tgid = 5, .segv_ignored = true}.takes_segv()));
  EXPECT_FALSE(ThreadStatus{.innermost_tgid = 1}.takes_segv());
  EXPECT_TRUE((ThreadStatus{.innermost_tgid = 1, .segv_caught = true}.takes_segv()));
}

TEST(ThreadStatus, WhoMaySignal) {
  const ThreadStatus status{.real_uid = 1000, .saved_uid = 1001};
  EXPECT_TRUE(status.may_be_signalled_by(0));
  EXPECT_TRUE(status.may_be_signalled_by(1000));
  EXPECT_TRUE(status.may_be_signalled_by(1001));
  EXPECT_FALSE(status.may_be_signalled_by(1002));
}

// A child with a second thread; tells both ids as it sees them, then waits.
void two_threads(Line& line) {
  line.send(static_cast<uint32_t>(::gettid()));
  std::thread second([&line] {
    line.send(static_cast<uint32_t>(::gettid()));
    line.wait_go();
  });
  second.join();
}

TEST(FindThread, SameNamespace) {
  Child child(two_threads);
  const auto main_id = child.line().receive<uint32_t>();
  const auto second_id = child.line().receive<uint32_t>();
  ASSERT_TRUE(main_id && second_id);
  const Peer peer = child.peer();
  const auto main_thread = find_thread(peer, *main_id);
  ASSERT_TRUE(main_thread);
  EXPECT_EQ(main_thread->tid, child.pid());
  const auto second = find_thread(peer, *second_id);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->tid, static_cast<pid_t>(*second_id));
  EXPECT_TRUE(second->pidfd);
  EXPECT_EQ(second->status.innermost_tgid, static_cast<uint32_t>(child.pid()));
}

TEST(FindThread, OtherNamespace) {
  if (::geteuid() != 0) GTEST_SKIP() << "CLONE_NEWPID needs root";
  Child child(two_threads, CLONE_NEWPID);
  ASSERT_EQ(child.line().receive<uint32_t>(), 1u);
  ASSERT_EQ(child.line().receive<uint32_t>(), 2u);
  const Peer peer = child.peer();
  const auto main_thread = find_thread(peer, 1);
  ASSERT_TRUE(main_thread);
  EXPECT_EQ(main_thread->tid, child.pid());
  const auto second = find_thread(peer, 2);
  ASSERT_TRUE(second);
  EXPECT_NE(second->tid, child.pid());
  EXPECT_FALSE(find_thread(peer, 3));
  EXPECT_FALSE(in_our_pid_namespace(peer));
}

TEST(FindThread, OurNamespaceIsKnown) {
  Child child(two_threads);
  ASSERT_TRUE(child.line().receive<uint32_t>());
  EXPECT_TRUE(in_our_pid_namespace(child.peer()));
  EXPECT_FALSE(in_our_pid_namespace(Peer{}));
  EXPECT_FALSE(in_our_pid_namespace(Peer{child.pid(), Fd(), 0})) << "that it is it can't be told";
}

TEST(FindThread, ThreadsOfOthersAreNotFound) {
  Child child(two_threads);
  ASSERT_TRUE(child.line().receive<uint32_t>());
  EXPECT_FALSE(find_thread(child.peer(), static_cast<uint32_t>(::gettid())));
  EXPECT_FALSE(find_thread(child.peer(), 0));
}

TEST(FindThread, NobodyAfterDeath) {
  Child child([](Line& line) { line.wait_go(); });
  const Peer peer = child.peer();
  ASSERT_TRUE(find_thread(peer, static_cast<uint32_t>(child.pid())));
  child.kill(SIGKILL);
  pollfd dead{peer.pidfd.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&dead, 1, testing::kLimitMs), 1);
  EXPECT_FALSE(find_thread(peer, static_cast<uint32_t>(child.pid()))) << "not reaped yet";
  child.wait();
  EXPECT_FALSE(find_thread(peer, static_cast<uint32_t>(child.pid()))) << "reaped";
}

// Without a pidfd nothing says that the number is still the peer's.
TEST(FindThread, NobodyWithoutAPidfd) {
  Peer peer;
  peer.pid = ::getpid();
  EXPECT_FALSE(find_thread(peer, static_cast<uint32_t>(::gettid())));
}

}  // namespace
}  // namespace uarena::uffd
