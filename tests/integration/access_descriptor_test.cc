// What a read-only attachment hands over: a descriptor of which another user can't make more.
#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "tests/parity/in_child.h"
#include "tests/support/broker_process.h"
#include "tests/support/raw_client.h"

namespace uarena::testing {
namespace {

constexpr uid_t kOther = 65532;

uint64_t create_direct(const BrokerProcess& broker) {
  RawClient client(broker.socket());
  client.hello();
  uarena_arena_create body{};
  body.map_type = kBpfMapTypeArena;
  body.max_entries = 64;
  body.map_flags = kBpfFMmapable;
  body.fault = UARENA_FAULT_DIRECT;
  body.mode = UARENA_RIGHT_READ;
  return client.ask<uarena_arena_reply>(UARENA_MSG_ARENA_CREATE, body, "heap")->body.info.id;
}

TEST(AccessDescriptor, ReadOnlyStaysReadOnly) {
  const BrokerProcess broker;
  const uint64_t id = create_direct(broker);
  const int status = in_child([&] {
    if (::setgroups(0, nullptr) != 0 || ::setresgid(kOther, kOther, kOther) != 0 ||
        ::setresuid(kOther, kOther, kOther) != 0)
      return 100;
    RawClient client(broker.socket());
    client.hello();
    uarena_attach body{};
    body.arena_id = id;
    if (client.ask<uarena_arena_reply>(UARENA_MSG_ATTACH, body)) return 101;
    body.flags = UARENA_ATTACH_READONLY;
    auto reply = client.ask<uarena_arena_reply>(UARENA_MSG_ATTACH, body);
    if (!reply || reply->fds.empty()) return 1;
    const int file = reply->fds.front().get();
    if (::pwrite(file, "x", 1, 0) >= 0 || errno != EBADF) return 2;
    if (::open(fmt::format("/proc/self/fd/{}", file).c_str(), O_RDWR) >= 0 || errno != EACCES)
      return 3;
    if (::mmap(nullptr, kPageSize, PROT_WRITE, MAP_SHARED, file, 0) != MAP_FAILED) return 4;
    if (::fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kPageSize) == 0) return 5;
    return 0;
  });
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace uarena::testing
