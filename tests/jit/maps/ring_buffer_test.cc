// Ring buffers: records in the kernel's layout, across the end, and those of dead runs.
#include "jit/maps/ring_buffer.h"

#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <sys/mman.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "ipc/base/fd.h"
#include "ipc/base/memory_map.h"
#include "ipc/base/page.h"
#include "jit/helpers/functions.h"
#include "tests/jit/exec/program_builder.h"

namespace uarena::jit {
namespace {

class Ring : public testing::Test {
 protected:
  Ring() {
    def_.name = "ring";
    def_.kind = MapKind::ringbuf;
    def_.max_entries = kPageSize;
    file_ = Fd(::memfd_create("ring", MFD_CLOEXEC));
    EXPECT_EQ(::ftruncate(file_.get(), static_cast<off_t>(RingBuffer::file_bytes(def_))), 0);
    map_ = *MemoryMap::create(nullptr, RingBuffer::mapped_bytes(def_), PROT_READ | PROT_WRITE,
                              MAP_SHARED, file_.get(), 0, "ring");
    EXPECT_NE(::mmap(map_.data() + RingBuffer::file_bytes(def_), def_.max_entries,
                     PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file_.get(), 2 * kPageSize),
              MAP_FAILED);
    ring_.emplace(def_, map_.data());
  }

  uint64_t& consumer() { return *reinterpret_cast<uint64_t*>(map_.data()); }
  bool put(std::string_view text) {
    std::byte* record = ring_->reserve(text.size());
    if (record == nullptr) return false;
    std::memcpy(record, text.data(), text.size());
    ring_->commit(record, false);
    return true;
  }
  // As a consumer in user space does it: up to the first busy record.
  std::vector<std::string> take() {
    std::vector<std::string> taken;
    while (consumer() != ring_->producer()) {
      const std::byte* header = ring_->data().data() + (consumer() & (def_.max_entries - 1));
      uint32_t length = 0;
      std::memcpy(&length, header, sizeof length);
      if ((length & BPF_RINGBUF_BUSY_BIT) != 0) break;
      const uint32_t bytes = length & ~BPF_RINGBUF_DISCARD_BIT;
      if (bytes == length)
        taken.emplace_back(reinterpret_cast<const char*>(header) + BPF_RINGBUF_HDR_SZ, bytes);
      consumer() += (bytes + BPF_RINGBUF_HDR_SZ + 7) & ~7U;
    }
    return taken;
  }

  MapDef def_;
  Fd file_;
  MemoryMap map_;
  std::optional<RingBuffer> ring_;
};

TEST_F(Ring, GivesRecordsInTheirOrder) {
  EXPECT_TRUE(put("one"));
  EXPECT_TRUE(put("two!"));
  EXPECT_EQ(ring_->producer(), 32U);
  EXPECT_EQ(take(), (std::vector<std::string>{"one", "two!"}));
}

TEST_F(Ring, RecordsGoAcrossTheEndInOnePiece) {
  const std::string text(1000, 'r');
  for (int n = 0; n < 50; ++n) {
    ASSERT_TRUE(put(text));
    ASSERT_EQ(take(), std::vector<std::string>{text});
  }
}

TEST_F(Ring, RefusesWhatHasNoRoom) {
  EXPECT_EQ(ring_->reserve(kPageSize - 8), nullptr);
  EXPECT_EQ(ring_->reserve(~uint64_t{0}), nullptr);
  std::byte* all = ring_->reserve(kPageSize - 16);
  ASSERT_NE(all, nullptr);
  EXPECT_EQ(ring_->reserve(0), nullptr);
  ring_->commit(all, true);
  EXPECT_EQ(ring_->reserve(0), nullptr);
  EXPECT_EQ(take(), std::vector<std::string>{});
  EXPECT_NE(ring_->reserve(0), nullptr);
}

TEST_F(Ring, ABusyRecordHoldsUpTheLaterOnes) {
  std::byte* first = ring_->reserve(8);
  EXPECT_TRUE(put("second"));
  EXPECT_EQ(take(), std::vector<std::string>{});
  ring_->commit(first, true);
  EXPECT_EQ(take(), std::vector<std::string>{"second"});
}

TEST_F(Ring, ASuccessorDiscardsWhatDeadRunsHadReserved) {
  EXPECT_TRUE(put("before"));
  ring_->reserve(100);
  EXPECT_TRUE(put("after"));
  ring_.emplace(def_, map_.data());
  EXPECT_EQ(take(), (std::vector<std::string>{"before", "after"}));
}

// The consumer's position is whoever's who maps the page.
TEST_F(Ring, SurvivesANonsensicalConsumer) {
  for (const uint64_t position : {uint64_t{1}, uint64_t{8}, ~uint64_t{0}, uint64_t{1} << 40}) {
    consumer() = position;
    ring_.emplace(def_, map_.data());
    for (int n = 0; n < 1000; ++n) put("text");
  }
}

TEST_F(Ring, ManyProducers) {
  constexpr int kEach = 5000;
  std::atomic<int> done{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&] {
      for (int n = 0; n < kEach;) n += put("0123456789") ? 1 : 0;
      ++done;
    });
  size_t taken = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (taken < 3 * kEach && std::chrono::steady_clock::now() < end) {
    for (const std::string& text : take()) {
      EXPECT_EQ(text, "0123456789");
      ++taken;
    }
  }
  EXPECT_EQ(taken, 3U * kEach);
}

TEST_F(Ring, FunctionsHoldWhatIsReserved) {
  BoundMap bound;
  bound.ring = &*ring_;
  auto fixed = FixedProgramTestPeer::make(test::assemble_or_die("r0 = 0\nexit\n"));
  FixedProgramTestPeer::set_maps(&fixed, {&bound});
  const auto program = executable(std::move(fixed), Mode::interpret);
  RunContext run;
  run.program = program.get();
  const auto map = reinterpret_cast<uint64_t>(&bound);
  const uint64_t first = helpers::ringbuf_reserve(map, 8, 0, 0, 0, &run);
  const uint64_t second = helpers::ringbuf_reserve(map, 8, 0, 0, 0, &run);
  EXPECT_EQ(helpers::ringbuf_reserve(map, 8, 1, 0, 0, &run), 0U);
  EXPECT_EQ(run.held.count(), 2U);
  std::memcpy(reinterpret_cast<void*>(first), "complete", 8);
  helpers::ringbuf_submit(first, 0, 0, 0, 0, &run);
  EXPECT_EQ(run.held.count(), 1U);
  run.held.release_all(&run);  // the second: the run was ended
  EXPECT_NE(second, 0U);
  EXPECT_EQ(helpers::ringbuf_output(map, reinterpret_cast<uint64_t>("text"), 4, 0, 0, &run), 0U);
  EXPECT_EQ(static_cast<int64_t>(helpers::ringbuf_output(map, 0, 0, 4, 0, &run)), -EINVAL);
  EXPECT_EQ(helpers::ringbuf_query(map, BPF_RB_AVAIL_DATA, 0, 0, 0, &run), 48U);
  EXPECT_EQ(helpers::ringbuf_query(map, BPF_RB_RING_SIZE, 0, 0, 0, &run), kPageSize);
  EXPECT_EQ(take(), (std::vector<std::string>{"complete", "text"}));
  EXPECT_EQ(helpers::ringbuf_query(map, BPF_RB_CONS_POS, 0, 0, 0, &run), 48U);
  EXPECT_EQ(helpers::ringbuf_query(map, BPF_RB_PROD_POS, 0, 0, 0, &run), 48U);
  EXPECT_EQ(helpers::ringbuf_query(map, 9, 0, 0, 0, &run), 0U);
}

}  // namespace
}  // namespace uarena::jit
