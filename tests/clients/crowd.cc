// A client with thousands of threads that all fault at once, that floods the broker with faults on
// memory which is not the arena's, or that does nothing but fault.
//
//   crowd SOCKET ARENA_ID USER_VM_START PAGES THREADS arena|elsewhere|storm
//
// It attaches, starts its threads, prints "ready", and waits for a line. Then
//   arena      each thread writes its own page of the arena; "done" when all have
//   elsewhere  each thread touches a page that was registered with the arena's userfaultfd and is
//              not in the arena, again after each SIGSEGV, until the process is killed; "flooding"
//              when a thousand signals came
//   storm      each thread writes its pages of the arena and gives them back, for ever; "storming"
//              when a thousand were written. The arena's last page has the count, which goes on.
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/raw_client.h"
#include "uffd/uapi.h"

namespace {

using namespace uarena;

// As little as a thread may have: there are many.
constexpr size_t kStackBytes = 64 << 10;
constexpr int kFlood = 1000;
constexpr uint32_t kEnough = 1000;

std::atomic<bool> go{false};
std::atomic<int> done{0};
std::atomic<int> signals{0};

struct Work {
  volatile char* byte;
  pthread_t thread;
};

void* touch(void* argument) {
  go.wait(false);
  *static_cast<Work*>(argument)->byte = 1;
  ++done;
  done.notify_all();
  return nullptr;
}

// One thread's pages of a storm.
struct Share {
  const testing::ArenaMapping& mapping;
  int file;
  uint32_t first, count;
  std::atomic<uint32_t>& answered;
  pthread_t thread = {};
};

void* touch_for_ever(void* argument) {
  const Share& mine = *static_cast<Share*>(argument);
  go.wait(false);
  for (;;) {
    for (uint32_t n = 0; n < mine.count; ++n) {
      *mine.mapping.page(mine.first + n) = 1;
      ++mine.answered;
    }
    if (::fallocate(mine.file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    static_cast<off_t>(mine.first * kPageSize),
                    static_cast<off_t>(mine.count * kPageSize)) != 0)
      err(1, "giving pages back");
  }
}

template <typename Work>
void start(std::vector<Work>& works, void* (*body)(void*)) {
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setstacksize(&attributes, kStackBytes);
  for (Work& work : works)
    if (::pthread_create(&work.thread, &attributes, body, &work) != 0) errx(1, "a thread");
}

std::vector<Share> shares_of(const testing::ArenaMapping& mapping, int file, size_t threads) {
  const auto pages = static_cast<uint32_t>(mapping.size() / kPageSize);
  const auto each = (pages - 1) / static_cast<uint32_t>(threads);
  auto& answered = *new (const_cast<char*>(mapping.page(pages - 1))) std::atomic<uint32_t>(0);
  std::vector<Share> shares;
  for (uint32_t n = 0; n < threads; ++n)
    shares.push_back({mapping, file, n * each, each, answered});
  return shares;
}

// Anonymous memory, registered with the userfaultfd that the broker reads.
volatile char* register_more(int userfaultfd, size_t pages) {
  void* memory = ::mmap(nullptr, pages * kPageSize, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  uffdio_register range{};
  range.range = {reinterpret_cast<uint64_t>(memory), pages * kPageSize};
  range.mode = UFFDIO_REGISTER_MODE_MISSING;
  if (memory == MAP_FAILED || ::ioctl(userfaultfd, UFFDIO_REGISTER, &range) != 0)
    err(1, "registering more");
  return static_cast<volatile char*>(memory);
}

void wait_until(const std::atomic<int>& count, int wanted) {
  for (int now = count; now < wanted; now = count) count.wait(now);
}

void say(const char* what) { std::cout << what << std::endl; }
void listen() {
  std::string line;
  std::getline(std::cin, line);
}
void say_ready_and_go() {
  say("ready");
  listen();
  go = true;
  go.notify_all();
}

void storm(const testing::ArenaMapping& mapping, int file, size_t threads) {
  std::vector<Share> shares = shares_of(mapping, file, threads);
  start(shares, touch_for_ever);
  say_ready_and_go();
  while (shares.front().answered < kEnough) ::sched_yield();
  say("storming");
  listen();
}

void touch_all(volatile char* pages, size_t threads, bool elsewhere) {
  std::vector<Work> works(threads);
  for (size_t n = 0; n < threads; ++n) works[n].byte = pages + n * kPageSize;
  start(works, touch);
  say_ready_and_go();
  if (elsewhere)
    wait_until(signals, kFlood);
  else
    wait_until(done, static_cast<int>(threads));
  say(elsewhere ? "flooding" : "done");
  listen();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7)
    errx(2, "usage: crowd SOCKET ARENA_ID USER_VM_START PAGES THREADS arena|elsewhere|storm");
  const uint64_t arena = std::strtoull(argv[2], nullptr, 10);
  uarena_arena_info info{};
  info.user_vm_start = std::strtoull(argv[3], nullptr, 0);
  info.max_entries = static_cast<uint32_t>(std::strtoul(argv[4], nullptr, 10));
  const size_t threads = std::strtoul(argv[5], nullptr, 10);
  const bool elsewhere = std::strcmp(argv[6], "elsewhere") == 0;

  testing::RawClient client(argv[1]);
  if (!client.hello()) errx(1, "hello");
  auto attached = client.attach(arena);
  if (!attached) errx(1, "attach: %s", attached.error().error.message.c_str());
  const testing::ArenaMapping mapping(attached->fds.at(0).get(), info);
  const Fd userfaultfd = testing::RawClient::userfaultfd();
  if (!client.ready(arena, userfaultfd.dup())) errx(1, "ready");

  if (std::strcmp(argv[6], "storm") == 0) {
    storm(mapping, attached->fds.at(0).get(), threads);
    ::_exit(0);
  }
  volatile char* pages = elsewhere ? register_more(userfaultfd.get(), threads) : mapping.page(0);
  if (elsewhere)
    std::signal(SIGSEGV, [](int) {
      ++signals;
      signals.notify_all();
    });
  touch_all(pages, threads, elsewhere);
  ::_exit(0);
}
