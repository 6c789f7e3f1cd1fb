// System calls that read and write absent pages (K26, K30): the kernel's own arena makes the pages,
// or refuses them with EFAULT. Ours serves those of a client with a full userfaultfd and of
// `direct` arenas; others get EFAULT for what they have not prefaulted. One list of calls is made
// by a client of each kind. Pages 3, 5 and 7 are there before, and the ones behind them are not.
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "tests/parity/client_scenario.h"
#include "tests/parity/in_child.h"
#include "tests/parity/one_ring.h"

namespace uarena::testing {
namespace {

constexpr uint32_t kSegv = kBpfFMmapable | kBpfFSegvOnFault;
constexpr int64_t kPage = kPageSize;
constexpr uint32_t kPresent = 1u << 3 | 1u << 5 | 1u << 7;
// Those that the calls touch, with kPresent.
constexpr uint32_t kTouched = 0x7ffe;

// What each call returned, -errno for -1.
struct Answers {
  int64_t read = 0, write = 0, read_over = 0, write_over = 0, readv_over = 0;
  int64_t futex = 0, shared_futex = 0;
  int64_t ring_read = 0, ring_write = 0, populate_read = 0, populate_write = 0;
  friend bool operator==(const Answers&, const Answers&) = default;
};
void PrintTo(const Answers& seen, std::ostream* out) {
  *out << fmt::format(
      "{{read {} write {} read_over {} write_over {} readv_over {} futex {} shared_futex {} "
      "ring_read {} "
      "ring_write {} populate_read {} populate_write {}}}",
      seen.read, seen.write, seen.read_over, seen.write_over, seen.readv_over, seen.futex,
      seen.shared_futex, seen.ring_read, seen.ring_write, seen.populate_read, seen.populate_write);
}

int64_t answer(int64_t result) { return result == -1 ? -errno : result; }

Answers call_all(char* base) {
  const auto at = [base](int64_t page) { return base + page * kPage; };
  const Fd zero(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  const Fd file(::memfd_create("file", MFD_CLOEXEC));
  if (::ftruncate(file.get(), 4 * kPage) != 0) return {};
  Answers now;
  now.read = answer(::read(zero.get(), at(1), kPage));
  now.write = answer(::pwrite(file.get(), at(2), kPage, 0));
  now.read_over = answer(::pread(file.get(), at(3), 2 * kPage, 0));
  now.write_over = answer(::pwrite(file.get(), at(5), 2 * kPage, 0));
  const iovec parts[] = {{at(7), kPage}, {at(8), kPage}};
  now.readv_over = answer(::preadv(file.get(), parts, 2, 0));
  // Who waits for another value than there is does not wait.
  now.futex = answer(::syscall(SYS_futex, at(9), FUTEX_WAIT_PRIVATE, 1, nullptr, nullptr, 0));
  now.shared_futex = answer(::syscall(SYS_futex, at(14), FUTEX_WAIT, 1, nullptr, nullptr, 0));
  if (const OneRing ring; ring.usable()) {
    now.ring_read = ring.transfer(IORING_OP_READ, file.get(), at(10), kPage);
    now.ring_write = ring.transfer(IORING_OP_WRITE, file.get(), at(11), kPage);
  }
  now.populate_read = answer(::madvise(at(12), kPage, MADV_POPULATE_READ));
  now.populate_write = answer(::madvise(at(13), kPage, MADV_POPULATE_WRITE));
  return now;
}

// All of it done. Difference: a futex between processes is of a file, which the kernel's arena has
// none of.
Answers served(bool kernels) {
  const int64_t by_ring = OneRing().usable() ? kPage : 0;
  return {.read = kPage,
          .write = kPage,
          .read_over = 2 * kPage,
          .write_over = 2 * kPage,
          .readv_over = 2 * kPage,
          .futex = -EAGAIN,
          .shared_futex = kernels ? -EFAULT : -EAGAIN,
          .ring_read = by_ring,
          .ring_write = by_ring,
          .populate_read = 0,
          .populate_write = 0};
}
// What was there done, and the rest not.
Answers refused() {
  const int64_t by_ring = OneRing().usable() ? -EFAULT : 0;
  return {.read = -EFAULT,
          .write = -EFAULT,
          .read_over = kPage,
          .write_over = kPage,
          .readv_over = kPage,
          .futex = -EFAULT,
          .shared_futex = -EFAULT,
          .ring_read = by_ring,
          .ring_write = by_ring,
          .populate_read = -EFAULT,
          .populate_write = -EFAULT};
}

// For this process and its children everyone may open /dev/userfaultfd, as on a machine where an
// administrator allows it: another device file, in a file system and a mount namespace of their
// own.
bool open_device_to_everyone() {
  constexpr const char* kDevice = "/dev/userfaultfd";
  constexpr const char* kPlace = "/dev/shm";
  constexpr const char* kOther = "/dev/shm/userfaultfd";
  struct stat device{};
  return ::stat(kDevice, &device) == 0 && ::unshare(CLONE_NEWNS) == 0 &&
         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("none", kPlace, "tmpfs", 0, nullptr) == 0 &&
         ::mknod(kOther, S_IFCHR | 0666, device.st_rdev) == 0 && ::chmod(kOther, 0666) == 0 &&
         ::mount(kOther, kDevice, nullptr, MS_BIND, nullptr) == 0;
}

// Another user who may open it.
class MemberSide : public NobodySide {
 public:
  using NobodySide::NobodySide;
  static constexpr const char* kName = "member";
  static constexpr bool kSystemCallsServed = true;
  static std::optional<std::string> unavailable() {
    if (in_child([] { return open_device_to_everyone() ? 0 : 1; }) != 0)
      return "no mount namespace with a /dev/userfaultfd of its own";
    return std::nullopt;
  }
  Mapped map_again() const {
    if (!open_device_to_everyone()) throw std::runtime_error("/dev/userfaultfd");
    return NobodySide::map_again();
  }
};

template <typename Side>
class SystemCalls : public ClientScenario<Side> {
 protected:
  void make_present() {
    for (const uint64_t page : {3, 5, 7})
      EXPECT_EQ(this->side_->run("alloc_pages", this->side_->at(page), 1), this->side_->at(page));
  }
};
using CallingSides = ::testing::Types<KernelSide, OurSide, NobodySide, MemberSide, DirectSide>;
TYPED_TEST_SUITE(SystemCalls, CallingSides, SideName);

TYPED_TEST(SystemCalls, IntoAbsentPages) {
  this->make_present();
  const Answers seen = this->in_client([](const Mapped& mapped) { return call_all(mapped.base); });
  EXPECT_EQ(seen, TypeParam::kSystemCallsServed ? served(TypeParam::kKernels) : refused());
  EXPECT_EQ(this->taken(), TypeParam::kSystemCallsServed ? kTouched : kPresent);
  if constexpr (!TypeParam::kKernels) {
    const int said = this->in_client([&](const Mapped& mapped) {
      return uarena_syscalls_served(mapped.connection, this->side_->id());
    });
    EXPECT_EQ(said, TypeParam::kSystemCallsServed ? 1 : 0);
  }
  this->expect_others_served();
}

// As a debugger or a profiler does from outside: what was there is transferred, at least.
TYPED_TEST(SystemCalls, OfAnotherProcess) {
  this->make_present();
  Child client([&](Line& line) {
    this->side_->map_again();
    line.go();
    line.wait_go();
  });
  ASSERT_TRUE(client.line().wait_go());
  std::array<char, 2 * kPage> bytes{};
  const iovec local{bytes.data(), bytes.size()};
  const auto transfer = [&](auto call, uint64_t page) {
    const iovec remote{pointer(this->side_->at(page)), bytes.size()};
    return answer(call(client.pid(), &local, 1, &remote, 1, 0));
  };
  const bool all = TypeParam::kSystemCallsServed;
  EXPECT_EQ(transfer(::process_vm_readv, 3), all ? 2 * kPage : kPage);
  EXPECT_EQ(transfer(::process_vm_writev, 5), all ? 2 * kPage : kPage);
  EXPECT_EQ(transfer(::process_vm_readv, 9), all ? 2 * kPage : -EFAULT);
  EXPECT_EQ(this->taken(), all ? 0x6f8u : kPresent);
  client.line().go();
  EXPECT_EQ(describe(client.wait()), "exited 0");
  this->expect_others_served();
}

// --- who has no full userfaultfd ---

using NobodysSystemCalls = SystemCalls<NobodySide>;

TEST_F(NobodysSystemCalls, AreServedAfterPrefault) {
  make_present();
  int64_t made = 0;
  const auto seen = in_client([&](const Mapped& mapped) {
    made = uarena_prefault(mapped.connection, side_->id(), mapped.base + kPage, 14 * kPage);
    return std::pair(made, call_all(mapped.base));
  });
  EXPECT_EQ(seen, std::pair(int64_t{11}, served(false)));
  EXPECT_EQ(taken(), kTouched);
}

// --- SEGV_ON_FAULT: EFAULT for everyone ---

template <typename Side>
class SystemCallsSegv : public SystemCalls<Side> {};
using RefusingSides = ::testing::Types<KernelSide, OurSide, NobodySide>;
TYPED_TEST_SUITE(SystemCallsSegv, RefusingSides, SideName);

TYPED_TEST(SystemCallsSegv, IntoAbsentPages) {
  this->side_.emplace(kSegv);
  this->make_present();
  const Answers seen = this->in_client([](const Mapped& mapped) { return call_all(mapped.base); });
  EXPECT_EQ(seen, refused());
  EXPECT_EQ(this->taken(), kPresent);
}

TYPED_TEST(SystemCallsSegv, IntoPresentPages) {
  this->side_.emplace(kSegv);
  EXPECT_EQ(this->side_->run("alloc_pages", this->side_->at(1), 14), this->side_->at(1));
  const Answers seen = this->in_client([](const Mapped& mapped) { return call_all(mapped.base); });
  EXPECT_EQ(seen, served(TypeParam::kKernels));
}

}  // namespace
}  // namespace uarena::testing
