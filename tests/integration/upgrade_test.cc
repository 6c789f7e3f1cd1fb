// From one build to another with live clients, where the state file's version differs: what an
// older one has left is taken over, and what a later one has left is kept for it.
#include "broker/checksum.h"
#include "broker/state_format.h"
#include "ipc/client/attachment.h"
#include "tests/integration/estate_fixture.h"

namespace uarena::testing {
namespace {

using ::testing::HasSubstr;
namespace format = broker::state_format;

class Upgrade : public KeptEstate {
 protected:
  // A client that stays, with a page of its own.
  void leave() {
    Service service(arguments(), environment());
    keep();
    ASSERT_NE(service.ready(), 0) << service.log();
    client_.emplace(connect());
    ipc::ArenaSpec spec;
    spec.max_entries = 64;
    spec.map_flags = kBpfFMmapable;
    spec.mode = 0xf00;
    const auto arena = client_->create_arena("heap", spec);
    ASSERT_TRUE(arena) << arena.error().message;
    auto attachment = ipc::Attachment::attach(client_->link().control(), arena->id, {});
    ASSERT_TRUE(attachment) << attachment.error().message;
    attachment_.emplace(std::move(*attachment));
    page(3) = 7;
    end(service, SIGKILL, 128 + SIGKILL);
  }
  volatile char& page(size_t n) {
    return static_cast<volatile char*>(attachment_->base())[n * kPageSize];
  }
  void set_version(uint32_t version) {
    const Fd& file = kept_.at("state.1");
    format::Header header;
    ASSERT_EQ(::pread(file.get(), &header, sizeof header, 0), ssize_t{sizeof header});
    header.version = version;
    uint64_t words[sizeof header / 8];
    std::memcpy(words, &header, sizeof header);
    header.checksum = broker::checksum_words(std::span(words).first(std::size(words) - 1));
    ASSERT_EQ(::pwrite(file.get(), &header, sizeof header, 0), ssize_t{sizeof header});
  }
  uarena_arena_info info() { return client_->arena("heap").value(); }

  std::optional<ipc::Inspector> client_;
  std::optional<ipc::Attachment> attachment_;
};

// Version 2 knew no owner and no mode.
TEST_F(Upgrade, FromAnOlderOne) {
  leave();
  set_version(2);
  for (uint64_t at = format::kAccess; at < format::kAccess + 2 * format::kAccessWords * 8; at += 8)
    damage("state.1", static_cast<off_t>(at), 0);
  auto service = succeed();
  ASSERT_NE(service->ready(), 0) << service->log();
  EXPECT_EQ(page(3), 7);
  page(4) = 8;  // a fault, which the new one answers
  EXPECT_EQ(info().pages_allocated, 2u);
  EXPECT_EQ(info().mode, UARENA_MODE_ALL);
  EXPECT_TRUE(client_->set_access(1, {}, 5, 0xfe8));
  end(*service, SIGKILL, 128 + SIGKILL);
  service = succeed();
  ASSERT_NE(service->ready(), 0) << service->log();
  EXPECT_EQ(info().mode, 0xfe8u);
  EXPECT_EQ(info().owner_gid, 5u);
  page(5) = 9;
  EXPECT_EQ(info().pages_allocated, 3u);
  EXPECT_EQ(page(4), 8);
  attachment_->detach(client_->link().control());
  end(*service, SIGTERM, 0);
}

// And back again: the older one can't read it, and leaves it in the store.
TEST_F(Upgrade, FromALaterOneAndBack) {
  leave();
  set_version(format::kVersion + 1);
  auto service = succeed();
  ASSERT_NE(service->ready(), 0) << service->log();
  EXPECT_THAT(service->log(), HasSubstr("event=takeover.lost name=\"state.1\" kept=true"));
  EXPECT_THAT(service->log(), HasSubstr("state file of version 4, this broker knows 1..3"));
  EXPECT_TRUE(connect().arenas()->empty());
  EXPECT_EQ(page(3), 7) << "the client has its memory";
  end(*service, SIGKILL, 128 + SIGKILL);
  set_version(format::kVersion);
  service = succeed();
  ASSERT_NE(service->ready(), 0) << service->log();
  auto client = connect();
  EXPECT_EQ(client.arena("heap")->pages_allocated, 1u);
  EXPECT_EQ(client.arena("heap")->mode, 0xf00u);
  const auto bytes = client.page_read(1, 3 * kPageSize, 1);
  ASSERT_TRUE(bytes) << bytes.error().message;
  EXPECT_EQ((*bytes)[0], std::byte{7});
  attachment_->drop();
  end(*service, SIGTERM, 0);
}

}  // namespace
}  // namespace uarena::testing
