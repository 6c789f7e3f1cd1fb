// From the thread id of a message to the thread: same namespace, another one, not the peer's, gone.
#include "uffd/thread_identity.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <string>
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
  EXPECT_EQ(status->effective_uid, 0u);
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

// The name may look like the rest; the fields between are as in the file of a real thread.
std::string stat_text(const std::string& name, const std::string& signals) {
  return "4712 (" + name +
         ") S 1 4711 4711 0 -1 4194560 94 0 0 0 0 0 0 0 20 0 1 0 77 2945024 269 " +
         "18446744073709551615 1 1 0 0 0 " + signals + " 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
}

TEST(ParseStat, TakesTheStateAndTheBitOfSigsegv) {
  const ThreadStatus known{
      .innermost_tid = 2, .innermost_tgid = 1, .real_uid = 7, .segv_caught = true};
  for (const char* name : {"heap", "a) R 1 2 3 (b", ") ) )", "", "a\nb"}) {
    const auto status = parse_stat(stat_text(name, "1024 0 1024 0"), known);
    ASSERT_TRUE(status) << name;
    EXPECT_EQ(status->innermost_tid, 2u);
    EXPECT_EQ(status->innermost_tgid, 1u);
    EXPECT_EQ(status->real_uid, 7u);
    EXPECT_TRUE(status->sleeps);
    EXPECT_TRUE(status->segv_pending);
    EXPECT_FALSE(status->segv_blocked);
    EXPECT_TRUE(status->segv_ignored);
    EXPECT_FALSE(status->segv_caught);
  }
  const auto other = parse_stat(stat_text("heap", "2147482623 1024 0 1024"), known);
  ASSERT_TRUE(other);
  EXPECT_FALSE(other->segv_pending);
  EXPECT_TRUE(other->segv_blocked);
  EXPECT_FALSE(other->segv_ignored);
  EXPECT_TRUE(other->segv_caught);
}

TEST(ParseStat, WhatIsNone) {
  const std::string whole = stat_text("heap", "0 0 0 0");
  for (size_t size = 0; size < whole.find(" 0 0 0 0 0 0 0 17"); size += 3)
    EXPECT_FALSE(parse_stat(whole.substr(0, size), {})) << size;
  EXPECT_FALSE(parse_stat(stat_text("heap", "a b c d"), {}));
}

// Both files say the same of this thread, whatever it does with the signal.
TEST(ParseStat, AgreesWithStatus) {
  sigset_t segv;
  sigemptyset(&segv);
  sigaddset(&segv, SIGSEGV);
  const auto text_of = [](const char* file) {
    std::ifstream in(std::string("/proc/thread-self/") + file);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const auto compare = [&] {
    const auto status = parse_status(text_of("status"));
    ASSERT_TRUE(status);
    const auto stat = parse_stat(text_of("stat"), *status);
    ASSERT_TRUE(stat);
    EXPECT_EQ(stat->sleeps, status->sleeps);
    EXPECT_EQ(stat->segv_pending, status->segv_pending);
    EXPECT_EQ(stat->segv_blocked, status->segv_blocked);
    EXPECT_EQ(stat->segv_ignored, status->segv_ignored);
    EXPECT_EQ(stat->segv_caught, status->segv_caught);
  };
  ::signal(SIGSEGV, SIG_DFL);
  compare();
  ::signal(SIGSEGV, [](int) {});
  compare();
  ::pthread_sigmask(SIG_BLOCK, &segv, nullptr);
  ::pthread_kill(::pthread_self(), SIGSEGV);
  compare();
  ::signal(SIGSEGV, SIG_IGN);  // and it is pending no more
  compare();
  ::pthread_sigmask(SIG_UNBLOCK, &segv, nullptr);
  ::signal(SIGSEGV, SIG_DFL);
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

// A thread that is known is looked at again: its signals, and its uids when it has others.
TEST(StatusNow, FollowsTheThread) {
  if (::geteuid() != 0) GTEST_SKIP() << "other uids need root";
  constexpr uid_t kOne = 65531, kTwo = 65532;
  Child child([](Line& line) {
    const bool changed = ::setresuid(kOne, kOne, kTwo) == 0;
    ::prctl(PR_SET_DUMPABLE, 1);  // as a program that was started by that user
    line.send(static_cast<uint32_t>(changed ? ::gettid() : 0));
    line.wait_go();
    sigset_t segv;
    sigemptyset(&segv);
    sigaddset(&segv, SIGSEGV);
    ::pthread_sigmask(SIG_BLOCK, &segv, nullptr);
    line.go();
    line.wait_go();
    line.send(::setresuid(kTwo, kTwo, kTwo));
    line.wait_go();
  });
  const auto tid = child.line().receive<uint32_t>();
  ASSERT_TRUE(tid && *tid != 0);
  Peer peer = child.peer();
  peer.uid = kOne;
  const auto thread = find_thread(peer, *tid);
  ASSERT_TRUE(thread);
  EXPECT_EQ(thread->status.effective_uid, kOne);
  const auto now = [&] { return status_now(peer, *thread).value_or(ThreadStatus{}); };
  EXPECT_TRUE(now().takes_segv());
  EXPECT_TRUE(now().may_be_signalled_by(kOne));
  EXPECT_EQ(now().innermost_tid, *tid);
  child.line().go();
  ASSERT_TRUE(child.line().wait_go());
  EXPECT_FALSE(now().takes_segv());
  EXPECT_TRUE(now().may_be_signalled_by(kOne));
  child.line().go();
  ASSERT_EQ(child.line().receive<int>(), 0);
  EXPECT_FALSE(now().may_be_signalled_by(kOne));
  EXPECT_EQ(now().real_uid, kTwo);
  child.line().go();
  ASSERT_TRUE(child.wait());
  EXPECT_FALSE(status_now(peer, *thread)) << "it has ended";
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
