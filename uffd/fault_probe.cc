#include "uffd/fault_probe.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipc/base/page.h"
#include "uffd/uapi.h"

namespace uarena::uffd {

// Maps zeros. If that should fail, the thread that faulted is woken all the same and asks again.
class FaultProbe::Answer final : public Resolver {
 public:
  Answer(Fd userfaultfd, uint64_t page) : userfaultfd_(std::move(userfaultfd)), page_(page) {}
  Verdict resolve(const Fault&) noexcept override {
    struct uffdio_zeropage request{};
    request.range = {page_, kPageSize};
    ::ioctl(userfaultfd_.get(), UFFDIO_ZEROPAGE, &request);
    return Verdict::present;
  }

 private:
  Fd userfaultfd_;
  uint64_t page_;
};

Result<std::unique_ptr<FaultProbe>> FaultProbe::create(FaultLoop& loop, size_t thread) {
  auto page = MemoryMap::create(nullptr, kPageSize, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, "a probe's page");
  if (!page) return std::unexpected(page.error());
  const uint64_t address = page->address();
  auto uffd = Userfaultfd::create_own(0);
  if (!uffd) return std::unexpected(uffd.error());
  if (auto ok = uffd->register_missing(address, kPageSize); !ok) return std::unexpected(ok.error());
  Fd ours(::fcntl(uffd->fd(), F_DUPFD_CLOEXEC, 3)), answers = ours.dup();
  Peer self{::getpid(), Fd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0))), ::getuid()};
  if (!ours || !answers || !self.pidfd)
    return fail_errno(errno, "cannot make a probe's descriptors");
  // A child of ours must neither wait for an answer nor see the page.
  ::madvise(page->data(), kPageSize, MADV_DONTFORK);

  std::unique_ptr<FaultProbe> probe(new FaultProbe(loop, std::move(*page), std::move(ours)));
  auto id = loop.adopt_probe(thread, std::move(*uffd), std::move(self),
                             std::make_shared<Answer>(std::move(answers), address));
  if (!id) return std::unexpected(id.error());
  probe->id_ = *id;
  return probe;
}

FaultProbe::~FaultProbe() {
  if (id_ == 0) return;
  give_up();
  loop_.drop(id_);
}

void FaultProbe::touch() {
  ::madvise(page_.data(), kPageSize, MADV_DONTNEED);
  static_cast<void>(*reinterpret_cast<const volatile char*>(page_.data()));
}

// Who waits is woken by that, and finds ordinary memory.
void FaultProbe::give_up() {
  struct uffdio_range range{page_.address(), kPageSize};
  ::ioctl(userfaultfd_.get(), UFFDIO_UNREGISTER, &range);
}

}  // namespace uarena::uffd
