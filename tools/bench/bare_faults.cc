#include "tools/bench/bare_faults.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/base/page.h"
#include "uffd/uapi.h"

namespace uarena::bench {

Result<std::shared_ptr<BareFaults>> BareFaults::open(uint64_t bytes, Answer answer) {
  std::shared_ptr<BareFaults> bare(new BareFaults);
  bare->file_.reset(::memfd_create("floor", MFD_CLOEXEC));
  bare->stop_.reset(::eventfd(0, EFD_CLOEXEC));
  if (!bare->file_ || !bare->stop_ ||
      ::ftruncate(bare->file_.get(), static_cast<off_t>(bytes)) != 0)
    return fail_errno(errno, "cannot make a memory file");
  auto map = MemoryMap::create(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                               bare->file_.get(), 0, "a memory file");
  if (!map) return std::unexpected(map.error());
  bare->map_ = std::move(*map);
  auto uffd = uffd::Userfaultfd::create_own(uffd::kFeatureExactAddress);
  if (!uffd) return std::unexpected(uffd.error());
  bare->uffd_ = std::move(*uffd);
  if (auto done = bare->uffd_.register_missing(bare->map_.address(), bytes); !done)
    return std::unexpected(done.error());
  bare->answer_ = std::move(answer);
  bare->thread_ = std::thread([b = bare.get()] { b->run(); });
  return bare;
}

BareFaults::~BareFaults() {
  if (!thread_.joinable()) return;
  ::eventfd_write(stop_.get(), 1);
  thread_.join();
}

void BareFaults::empty() {
  ::fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
              static_cast<off_t>(map_.size()));
}

void BareFaults::run() const {
  pollfd events[] = {{uffd_.fd(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
  while (::poll(events, 2, -1) > 0 && events[1].revents == 0) {
    uffd_msg message;
    while (::read(uffd_.fd(), &message, sizeof message) == sizeof message)
      answer_(uffd_, message.arg.pagefault.address & ~(kPageSize - 1));
  }
}

}  // namespace uarena::bench
