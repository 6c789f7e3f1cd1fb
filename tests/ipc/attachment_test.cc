// Attaching, with real mappings and a real userfaultfd; only the broker is a script. The broker's
// thread lives in this process, so it sees the client's mappings as they are at each step.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <sstream>

#include "ipc/base/memory_map.h"
#include "ipc/base/page.h"
#include "ipc/client/connection_handle.h"
#include "ipc/client/occupant.h"
#include "tests/ipc/scripted_broker.h"

namespace uarena::ipc {
namespace {

using testing::memory_file;
using testing::offer_arena;
using testing::open_fds;
using testing::refuse_with;
using testing::same_file;
using testing::ScriptedBroker;

constexpr uint64_t kId = 3;
constexpr uint64_t kStart = 0x7e9000000000;
constexpr uint32_t kPages = 16;
constexpr uint64_t kSize = kPages * kPageSize;

// The line of /proc/self/maps that starts at kStart, and its VmFlags.
std::string smaps_of_arena() {
  std::ifstream file("/proc/self/smaps");
  std::string line, found;
  bool inside = false;
  while (std::getline(file, line)) {
    if (line.find("-7e") == 12) inside = line.rfind("7e9000000000-", 0) == 0;
    if (inside && (found.empty() || line.rfind("VmFlags:", 0) == 0)) found += line + "\n";
  }
  return found;
}

std::string link_of(int fd) {
  char text[64] = {};
  const ssize_t size =
      ::readlink(fmt::format("/proc/self/fd/{}", fd).c_str(), text, sizeof text - 1);
  return {text, size > 0 ? static_cast<size_t>(size) : 0};
}

// The other side is in this process, too, and closes a userfaultfd on a thread of its own.
bool comes_true(const std::function<bool()>& condition) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition())
    if (std::chrono::steady_clock::now() > limit || ::sched_yield() != 0) return false;
  return true;
}

class AttachmentTest : public ::testing::Test {
 protected:
  AttachmentTest() {
    offer_arena(broker_, kId, kStart, kPages, kBpfFMmapable, memory_.get());
    EXPECT_EQ(uarena_connect(broker_.path().c_str(), &conn_), 0) << uarena_error();
  }
  ~AttachmentTest() override {
    uarena_close(conn_);
    EXPECT_FALSE(find_occupant(kStart, kStart + kSize));
  }
  // Attaching fails with this errno, leaves nothing behind, and the broker hears of it.
  void expect_undone(int code) {
    const int before = open_fds();
    void* base = nullptr;
    EXPECT_EQ(uarena_attach(conn_, kId, 0, &base), -code) << uarena_error();
    sentence_ = uarena_error();
    EXPECT_EQ(base, nullptr);
    EXPECT_EQ(broker_.log().back(), UARENA_MSG_DETACH);
    EXPECT_EQ(uarena_syscalls_served(conn_, kId), -ENOENT);
    EXPECT_TRUE(comes_true([before] { return open_fds() <= before; }));
  }
  Fd memory_ = memory_file(kSize);
  ScriptedBroker broker_;
  uarena_conn* conn_ = nullptr;
  std::string sentence_;  // of the last expect_undone
};

TEST_F(AttachmentTest, MapsTheFileAtItsAddressAndLetsGoOfIt) {
  void* base = nullptr;
  ASSERT_EQ(uarena_attach(conn_, kId, 0, &base), 0) << uarena_error();
  ASSERT_EQ(base, reinterpret_cast<void*>(kStart));
  static_cast<volatile char*>(base)[kSize - 1] = 'x';
  char byte = 0;
  EXPECT_EQ(::pread(memory_.get(), &byte, 1, kSize - 1), 1);
  EXPECT_EQ(byte, 'x');

  ASSERT_EQ(uarena_detach(conn_, kId), 0) << uarena_error();
  EXPECT_FALSE(find_occupant(kStart, kStart + kSize));
  EXPECT_EQ(broker_.log(), (std::vector<uint16_t>{UARENA_MSG_HELLO, UARENA_MSG_ATTACH,
                                                  UARENA_MSG_ATTACH_READY, UARENA_MSG_DETACH}));
  EXPECT_EQ(uarena_detach(conn_, kId), -ENOENT);
  ASSERT_EQ(uarena_attach(conn_, kId, 0, &base), 0);  // and again
}

TEST_F(AttachmentTest, TheRangeIsClosedUntilItIsArmed) {
  std::string at_ready;
  broker_.on(UARENA_MSG_ATTACH_READY, [&](Request& request) {
    at_ready = smaps_of_arena();
    return make_reply(request.type, request.seq, uarena_empty{});
  });
  void* base = nullptr;
  ASSERT_EQ(uarena_attach(conn_, kId, 0, &base), 0) << uarena_error();
  EXPECT_NE(at_ready.find(" ---s "), std::string::npos) << at_ready;
  EXPECT_NE(at_ready.find(" dc "), std::string::npos) << at_ready;  // not for children
  EXPECT_NE(at_ready.find(" dd "), std::string::npos) << at_ready;  // not for core dumps
  const std::string armed = smaps_of_arena();
  EXPECT_NE(armed.find(" rw-s "), std::string::npos) << armed;
}

TEST_F(AttachmentTest, ALockingProcessFillsNoPages) {
  ASSERT_EQ(::mlockall(MCL_FUTURE), 0);
  void* base = nullptr;
  const int attached = uarena_attach(conn_, kId, 0, &base);
  ASSERT_EQ(::munlockall(), 0);
  ASSERT_EQ(attached, 0) << uarena_error();
  struct stat st{};
  ASSERT_EQ(::fstat(memory_.get(), &st), 0);
  EXPECT_EQ(st.st_blocks, 0);
}

TEST_F(AttachmentTest, DemandZeroOffersAFullUserfaultfd) {
  uint32_t flags = 0;
  Fd received;
  broker_.on(UARENA_MSG_ATTACH_READY, [&](Request& request) {
    flags = std::get<uarena_attach_ready>(request.body).flags;
    received = std::move(request.fds.at(0));
    return make_reply(request.type, request.seq, uarena_empty{});
  });
  void* base = nullptr;
  ASSERT_EQ(uarena_attach(conn_, kId, 0, &base), 0) << uarena_error();
  EXPECT_EQ(link_of(received.get()), "anon_inode:[userfaultfd]");
  EXPECT_EQ(::fcntl(received.get(), F_GETFL) & O_NONBLOCK, O_NONBLOCK);
  // Whether it is full depends on our privileges; both sides say the same.
  EXPECT_EQ(uarena_syscalls_served(conn_, kId), flags == UARENA_READY_FULL ? 1 : 0);
  if (::geteuid() == 0) {
    EXPECT_EQ(flags, UARENA_READY_FULL);
  }
}

TEST_F(AttachmentTest, SegvOnFaultOffersUserModeOnly) {
  offer_arena(broker_, kId, kStart, kPages, kBpfFMmapable | kBpfFSegvOnFault, memory_.get());
  uint32_t flags = 99;
  broker_.on(UARENA_MSG_ATTACH_READY, [&](Request& request) {
    flags = std::get<uarena_attach_ready>(request.body).flags;
    EXPECT_EQ(link_of(request.fds.at(0).get()), "anon_inode:[userfaultfd]");
    return make_reply(request.type, request.seq, uarena_empty{});
  });
  void* base = nullptr;
  ASSERT_EQ(uarena_attach(conn_, kId, 0, &base), 0) << uarena_error();
  EXPECT_EQ(flags, 0u);
  EXPECT_EQ(uarena_syscalls_served(conn_, kId), 0);
}

TEST_F(AttachmentTest, OurCopyOfTheUserfaultfdStaysUntilDetach) {
  const auto userfaultfds = [] {
    int count = 0;
    for (int fd = 0; fd < 256; ++fd) count += link_of(fd) == "anon_inode:[userfaultfd]";
    return count;
  };
  void* base = nullptr;
  ASSERT_EQ(uarena_attach(conn_, kId, 0, &base), 0) << uarena_error();
  EXPECT_TRUE(comes_true([&] { return userfaultfds() == 1; }));
  ASSERT_EQ(uarena_detach(conn_, kId), 0);
  EXPECT_EQ(userfaultfds(), 0);
}

TEST_F(AttachmentTest, AnOccupiedAddressNamesItsOccupant) {
  const Fd other(::memfd_create("squatter", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(other.get(), kPageSize), 0);
  const auto squatter =
      MemoryMap::create(reinterpret_cast<void*>(kStart + 3 * kPageSize), kPageSize, PROT_READ,
                        MAP_SHARED | MAP_FIXED_NOREPLACE, other.get(), 0, "the squatter");
  ASSERT_TRUE(squatter);
  expect_undone(EEXIST);
  EXPECT_NE(sentence_.find("memfd:squatter"), std::string::npos) << sentence_;
  EXPECT_NE(sentence_.find("0x7e9000003000"), std::string::npos) << sentence_;
}

TEST_F(AttachmentTest, ARefusedUserfaultfdUndoesTheMapping) {
  broker_.on(UARENA_MSG_ATTACH_READY, refuse_with({EBUSY, "no"}));
  expect_undone(EBUSY);
  EXPECT_FALSE(find_occupant(kStart, kStart + kSize));
}

TEST_F(AttachmentTest, ARefusedAttachMapsNothing) {
  broker_.on(UARENA_MSG_ATTACH, refuse_with({ENOENT, "no arena 3", Why::not_found}));
  void* base = nullptr;
  EXPECT_EQ(uarena_attach(conn_, kId, 0, &base), -ENOENT);
  EXPECT_EQ(uarena_why(), 2);
  EXPECT_EQ(broker_.log().back(), UARENA_MSG_ATTACH);
}

TEST_F(AttachmentTest, ABrokerThatSaysNonsenseIsNotBelieved) {
  offer_arena(broker_, kId + 1, kStart, kPages, kBpfFMmapable, memory_.get());
  expect_undone(EPROTO);  // another arena
  offer_arena(broker_, kId, kStart + 1, kPages, kBpfFMmapable, memory_.get());
  expect_undone(EPROTO);  // unaligned
  offer_arena(broker_, kId, 0, kPages, kBpfFMmapable, memory_.get());
  expect_undone(EPROTO);
  offer_arena(broker_, kId, UINT64_MAX & kPageMask, kPages, kBpfFMmapable, memory_.get());
  expect_undone(EPROTO);
  offer_arena(broker_, kId, kStart, 0, kBpfFMmapable, memory_.get());
  expect_undone(EPROTO);
  offer_arena(broker_, kId, kStart, UINT32_MAX, kBpfFMmapable, memory_.get());
  expect_undone(EPROTO);
  offer_arena(broker_, kId, kStart, kPages + 1, kBpfFMmapable, memory_.get());
  expect_undone(EPROTO);  // a file that is too short
}

TEST_F(AttachmentTest, ArgumentsAreChecked) {
  void* base = nullptr;
  EXPECT_EQ(uarena_attach(conn_, kId, 4, &base), -EINVAL);
  EXPECT_EQ(uarena_attach(conn_, kId, 0, nullptr), -EINVAL);
  EXPECT_EQ(uarena_attach(nullptr, kId, 0, &base), -EINVAL);
  ASSERT_EQ(uarena_attach(conn_, kId, 0, &base), 0);
  EXPECT_EQ(uarena_attach(conn_, kId, 0, &base), -EALREADY);
  EXPECT_EQ(broker_.log().size(), 3u);  // the second ATTACH was not sent
}

TEST_F(AttachmentTest, ClosingUnmaps) {
  void* base = nullptr;
  ASSERT_EQ(uarena_attach(conn_, kId, 0, &base), 0);
  uarena_close(conn_);
  conn_ = nullptr;
  EXPECT_FALSE(find_occupant(kStart, kStart + kSize));
}

TEST_F(AttachmentTest, ALostBrokerKeepsNobodyFromClosing) {
  void* base = nullptr;
  ASSERT_EQ(uarena_attach(conn_, kId, 0, &base), 0);
  broker_.die();
  uarena_info info{};
  EXPECT_LT(uarena_find(conn_, "heap", &info), 0);
  EXPECT_EQ(uarena_why(), 4);
  EXPECT_EQ(uarena_detach(conn_, kId), 0);
  EXPECT_FALSE(find_occupant(kStart, kStart + kSize));
}

TEST_F(AttachmentTest, AForkedChildHasNeitherMemoryNorConnection) {
  void* base = nullptr;
  ASSERT_EQ(uarena_attach(conn_, kId, 0, &base), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    int failed = 0;
    // Something of the child's own lies there now; closing must not unmap it.
    void* own = ::mmap(base, kPageSize, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (own != base) failed |= 1;
    void* again = nullptr;
    if (uarena_attach(conn_, kId, 0, &again) != -ECHILD) failed |= 2;
    if (uarena_detach(conn_, kId) != -ECHILD) failed |= 4;
    if (uarena_find(conn_, "heap", nullptr) != -ECHILD) failed |= 8;
    if (uarena_prog_run(conn_, 1, nullptr, 0, nullptr, nullptr) != -ECHILD) failed |= 16;
    uarena_close(conn_);
    if (!find_occupant(kStart, kStart + 1)) failed |= 32;
    ::_exit(failed);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  static_cast<volatile char*>(base)[0] = 1;  // the parent's is untouched
  EXPECT_EQ(uarena_find(conn_, "heap", nullptr), 0) << uarena_error();
}

}  // namespace
}  // namespace uarena::ipc
