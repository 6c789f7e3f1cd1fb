// Clients that do what the library never would. After each of them the broker still serves others,
// and holds not one descriptor or mapping more than before.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>
#include <thread>

#include "tests/integration/hostile_fixture.h"

namespace uarena::testing {
namespace {

TEST_F(Hostile, GarbageBytes) {
  std::mt19937 random(20240208);
  for (int i = 0; i < 200; ++i) {
    RawClient client(broker_.socket());
    if (i % 2 == 0) {
      ASSERT_TRUE(client.hello());
    }
    std::vector<std::byte> bytes(1 + random() % 300);
    for (std::byte& b : bytes) b = static_cast<std::byte>(random());
    // Often with a header that looks right, so that the fields behind it are read.
    if (i % 3 != 0 && bytes.size() >= sizeof(uarena_msg)) {
      uarena_msg header{static_cast<uint32_t>(bytes.size()),
                        static_cast<uint16_t>(random() % (UARENA_MSG_TYPES + 1)),
                        UARENA_ABI_VERSION, random()};
      std::memcpy(bytes.data(), &header, sizeof(header));
    }
    ASSERT_TRUE(ipc::send_record(client.fd(), bytes));
    client.receive();  // an error, or the end: never silence
  }
}

TEST_F(Hostile, RecordsTooLargeAndWithTooManyDescriptors) {
  {
    RawClient client(broker_.socket());
    ASSERT_TRUE(client.hello());
    int size = 4 << 20;
    ::setsockopt(client.fd(), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    std::vector<char> large(UARENA_MAX_RECORD + 1);
    ASSERT_EQ(::send(client.fd(), large.data(), large.size(), 0),
              static_cast<ssize_t>(large.size()));
    client.receive();
  }
  RawClient client(broker_.socket());
  ASSERT_TRUE(client.hello());
  uarena_empty body{};
  body.msg = {sizeof(body), UARENA_MSG_STATUS, UARENA_ABI_VERSION, 9};
  iovec part{&body, sizeof(body)};
  constexpr int kMany = 100;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMany)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int) * kMany);
  for (int i = 0; i < kMany; ++i)
    std::memcpy(CMSG_DATA(header) + i * sizeof(int), &(const int&)client.fd(), sizeof(int));
  ASSERT_GT(::sendmsg(client.fd(), &message, 0), 0);
  EXPECT_TRUE(client.closed_by_broker());
}

TEST_F(Hostile, MessagesOutOfOrder) {
  RawClient client(broker_.socket());
  auto early = client.attach(info_.id);
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().error.code, EPROTO);
  ASSERT_TRUE(client.hello());
  EXPECT_EQ(client.hello().error().error.code, EPROTO);
  EXPECT_EQ(client.ready(info_.id, RawClient::userfaultfd()).error().error.code, EPROTO);
  EXPECT_EQ(client.detach(info_.id).error().error.code, EPROTO);
  ASSERT_TRUE(client.attach(info_.id));
  EXPECT_EQ(client.attach(info_.id).error().error.code, EALREADY);
  EXPECT_EQ(client.attach(info_.id + 100).error().error.code, ENOENT);
  // A request of the run channel on the control connection, and the other way round.
  uarena_page_op op{};
  op.arena_id = info_.id;
  EXPECT_EQ(client.ask<uarena_page_op_reply>(UARENA_MSG_PAGE_FREE, op).error().error.code, EPROTO);
  auto channel = client.run_channel();
  ASSERT_TRUE(channel);
  RawClient run(std::move(channel->fds.at(0)));
  EXPECT_EQ(run.ask<uarena_status_reply>(UARENA_MSG_STATUS, uarena_empty{}).error().error.code,
            EPROTO);
  EXPECT_TRUE(run.ask<uarena_page_op_reply>(UARENA_MSG_PAGE_FREE, op));
}

TEST_F(Hostile, DescriptorThatIsNoUserfaultfd) {
  const auto candidates = [] {
    std::vector<Fd> fds;
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    fds.emplace_back(ends[0]);
    fds.emplace_back(ends[1]);
    fds.emplace_back(::eventfd(0, EFD_CLOEXEC));
    fds.emplace_back(::memfd_create("[userfaultfd]", MFD_CLOEXEC));
    fds.emplace_back(::open("/dev/null", O_RDWR | O_CLOEXEC));
    return fds;
  };
  for (Fd& fd : candidates()) {
    RawClient client(broker_.socket());
    attach(client);
    auto ready = client.ready(info_.id, std::move(fd));
    ASSERT_FALSE(ready);
    EXPECT_EQ(ready.error().error.code, EBADF) << ready.error().error.message;
    // The client may try again with the right one, or leave.
    EXPECT_TRUE(client.detach(info_.id));
  }
  // One that is, but has nothing mapped at the address.
  RawClient client(broker_.socket());
  attach(client);
  auto ready = client.ready(info_.id, RawClient::userfaultfd());
  ASSERT_FALSE(ready);
  EXPECT_EQ(ready.error().error.code, EINVAL) << ready.error().error.message;
}

TEST_F(Hostile, NoDescriptorAtAll) {
  RawClient client(broker_.socket());
  attach(client);
  auto ready = client.ready(info_.id, Fd());
  ASSERT_FALSE(ready);
  EXPECT_EQ(ready.error().error.code, EINVAL) << ready.error().error.message;
}

TEST_F(Hostile, ClearsNonblockAfterAttaching) {
  RawClient client(broker_.socket());
  Fd file = attach(client);
  ArenaMapping mapping(file.get(), info_);
  Fd mine = RawClient::userfaultfd();
  ASSERT_TRUE(mine);
  ASSERT_TRUE(client.ready(info_.id, mine.dup()));
  ASSERT_EQ(::fcntl(mine.get(), F_SETFL, 0), 0);
  for (uint32_t page = 0; page < 64; ++page) {
    mapping.page(page)[5] = static_cast<char>(page);
    EXPECT_EQ(mapping.page(page)[5], static_cast<char>(page));
  }
}

// Between the fault and its answer there is no telling when the client dies; so it dies often.
TEST_F(Hostile, DiesInsideAFault) {
  for (int i = 0; i < 40; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      try {
        RawClient client(broker_.socket());
        if (!client.hello()) ::_exit(1);
        auto attached = client.attach(info_.id);
        ArenaMapping mapping(attached->fds.at(0).get(), info_);
        if (!client.ready(info_.id, RawClient::userfaultfd())) ::_exit(1);
        // Another thread of the same process ends it while this one sits in faults.
        std::thread killer([i] {
          ::usleep(static_cast<useconds_t>(i * 25));  // a spread of moments is what is tested
          ::kill(::getpid(), SIGKILL);
        });
        for (;;)
          for (uint32_t page = 0; page < 1000; ++page) {
            mapping.page(page)[0] = 1;
            ::fallocate(attached->fds.at(0).get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                        page * 4096, 4096);
          }
      } catch (...) {
        ::_exit(2);
      }
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  }
}

TEST_F(Hostile, AttachAtAnotherAddress) {
  RawClient client(broker_.socket());
  ASSERT_TRUE(client.hello());
  const uint64_t size = uint64_t{info_.max_entries} * kPageSize;
  EXPECT_EQ(client.attach(info_.id, info_.user_vm_start + kPageSize).error().error.code, EINVAL);
  EXPECT_EQ(client.attach(info_.id, 0, size - kPageSize).error().error.code, EINVAL);
  EXPECT_EQ(client.attach(info_.id, 0, size + kPageSize).error().error.code, E2BIG);
  auto attached = client.attach(info_.id, info_.user_vm_start, size);
  ASSERT_TRUE(attached);
  // It says the right thing, and maps elsewhere.
  void* elsewhere =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, attached->fds.at(0).get(), 0);
  ASSERT_NE(elsewhere, MAP_FAILED);
  EXPECT_FALSE(client.ready(info_.id, RawClient::userfaultfd()));
  ::munmap(elsewhere, size);
}

TEST_F(Hostile, NeverAnswers) {
  RawClient silent(broker_.socket());
  RawClient half(broker_.socket());
  attach(half);
  serve_somebody();
  EXPECT_TRUE(silent.closed_by_broker());  // 5 s after it connected
  serve_somebody();
}

// Whoever holds the memory file can write it and punch it: that is disorder in this arena only.
TEST_F(Hostile, PunchesAndWritesTheMemoryFile) {
  RawClient other(broker_.socket());
  ASSERT_TRUE(other.hello());
  auto clean = other.create("clean", 16);
  ASSERT_TRUE(clean);
  RawClient client(broker_.socket());
  Fd file = attach(client);
  const uint64_t size = uint64_t{info_.max_entries} * kPageSize;
  EXPECT_EQ(::ftruncate(file.get(), 0), -1);
  EXPECT_EQ(::ftruncate(file.get(), static_cast<off_t>(size * 2)), -1);
  auto channel = client.run_channel();
  ASSERT_TRUE(channel);
  RawClient run(std::move(channel->fds.at(0)));
  std::mt19937 random(7);
  std::vector<char> junk(kPageSize, 'x');
  uarena_page_op op{};
  op.arena_id = info_.id;
  op.page_cnt = 4;
  op.node_id = -1;
  for (int i = 0; i < 300; ++i) {
    const off_t offset = static_cast<off_t>(random() % info_.max_entries * kPageSize);
    if (random() % 2 == 0) {
      ASSERT_EQ(::pwrite(file.get(), junk.data(), junk.size(), offset),
                static_cast<ssize_t>(kPageSize));
    } else {
      ASSERT_EQ(::fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
                            kPageSize * 3 > size ? 1 : kPageSize),
                0);
    }
    op.addr = 0;
    auto allocated = run.ask<uarena_page_op_reply>(UARENA_MSG_PAGE_ALLOC, op);
    ASSERT_TRUE(allocated) << allocated.error().error.message;
    if (allocated->body.addr != 0 && random() % 2 == 0) {
      uarena_page_op free{};
      free.arena_id = info_.id;
      free.addr = allocated->body.addr;
      free.page_cnt = 4;
      EXPECT_TRUE(run.ask<uarena_page_op_reply>(UARENA_MSG_PAGE_FREE, free));
    }
  }
  uarena_arena_ref ref{};
  ref.id = clean->body.info.id;
  auto untouched = other.ask<uarena_arena_reply>(UARENA_MSG_ARENA_GET, ref);
  ASSERT_TRUE(untouched);
  EXPECT_EQ(untouched->body.info.blocks, 0u);
  EXPECT_TRUE(other.ask<uarena_empty>(UARENA_MSG_ARENA_DELETE, ref));
  // Everything back as the next tests of the fixture expect it.
  op.addr = info_.user_vm_start;
  op.page_cnt = info_.max_entries;
  op.node_id = 0;
  auto freed = run.ask<uarena_page_op_reply>(UARENA_MSG_PAGE_FREE, op);
  ASSERT_TRUE(freed) << freed.error().error.message;
}

// A second mapping of the file, of which no userfaultfd knows: pages come to be that nobody has
// allocated, and others go. The command says how many; the arena's truth stays what it was.
TEST_F(Hostile, MapsTheMemoryFileAgain) {
  RawClient client(broker_.socket());
  const Fd file = attach(client);
  auto channel = client.run_channel();
  ASSERT_TRUE(channel);
  RawClient run(std::move(channel->fds.at(0)));
  const auto alloc = [&](uint32_t page, uint32_t count) {
    uarena_page_op op{};
    op.arena_id = info_.id;
    op.addr = info_.user_vm_start + page * kPageSize;
    op.page_cnt = count;
    op.node_id = -1;
    return run.ask<uarena_page_op_reply>(UARENA_MSG_PAGE_ALLOC, op)->body.addr != 0;
  };
  const auto shown = [&] {
    const RunOutput output = run_command(
        {UARENA_BIN_DIR "/uarena", "--socket", broker_.socket(), "arena", "show", "heap"});
    const size_t at = output.out.find("memory file");
    return output.out.substr(at, output.out.find('\n', at) - at);
  };
  uarena_page_op all{};
  all.arena_id = info_.id;
  all.addr = info_.user_vm_start;
  all.page_cnt = info_.max_entries;
  ASSERT_TRUE(run.ask<uarena_page_op_reply>(UARENA_MSG_PAGE_FREE, all));
  ASSERT_TRUE(alloc(0, 4));
  EXPECT_EQ(shown(), "memory file    4 pages");

  const uint64_t size = uint64_t{info_.max_entries} * kPageSize;
  auto* again = static_cast<volatile char*>(
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0));
  ASSERT_NE(again, MAP_FAILED);
  for (uint32_t page = 100; page < 105; ++page) again[page * kPageSize] = 1;
  EXPECT_EQ(shown(), "memory file    9 pages, 5 of them not allocated");
  EXPECT_FALSE(alloc(100, 5)) << "what is in them might be somebody's";
  EXPECT_EQ(shown(), "memory file    9 pages") << "the broker has met them";
  ASSERT_EQ(::fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 3 * kPageSize),
            0);
  EXPECT_EQ(shown(), "memory file    6 pages, 3 allocated ones are missing");
  EXPECT_FALSE(alloc(0, 1)) << "allocated is what the broker says";
  EXPECT_EQ(again[3 * kPageSize], 0);
  ASSERT_TRUE(run.ask<uarena_page_op_reply>(UARENA_MSG_PAGE_FREE, all));
  EXPECT_EQ(shown(), "memory file    0 pages");
  ::munmap(const_cast<char*>(again), size);
}

TEST_F(Hostile, ManyConnectionsAndHalfOpenOnes) {
  std::vector<std::unique_ptr<RawClient>> crowd;
  for (int i = 0; i < 200; ++i) {
    crowd.push_back(std::make_unique<RawClient>(broker_.socket()));
    if (i % 2 == 0) {
      ASSERT_TRUE(crowd.back()->hello());
    }
    if (i % 4 == 0) {
      ASSERT_TRUE(crowd.back()->attach(info_.id));
    }
  }
  serve_somebody();
}

// A thousand at once, some of whom say nothing for ever.
TEST_F(Hostile, AThousandConnections) {
  std::vector<std::unique_ptr<RawClient>> crowd;
  for (int i = 0; i < 1000; ++i) {
    crowd.push_back(std::make_unique<RawClient>(broker_.socket()));
    if (i % 10 == 0) continue;
    ASSERT_TRUE(crowd.back()->hello()) << i;
  }
  serve_somebody();
  crowd.clear();
  serve_somebody();
}

// It sends requests and reads no answers: cut off, not waited for.
TEST_F(Hostile, DoesNotReadItsAnswers) {
  RawClient client(broker_.socket());
  ASSERT_TRUE(client.hello());
  uarena_list list{};
  const ipc::Record record = ipc::make_request(UARENA_MSG_ARENA_LIST, 1, list);
  for (int i = 0; i < 20'000; ++i)
    if (!ipc::send_record(client.fd(), record, ipc::Wait::no)) break;
  serve_somebody();
}

}  // namespace
}  // namespace uarena::testing
