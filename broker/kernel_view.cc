// One reservation of PROT_NONE, the file put into it with MAP_FIXED, one registration.
#include "broker/kernel_view.h"

#include <sys/mman.h>

namespace uarena::broker {

Result<KernelView> KernelView::create(const MemoryFile& file, uint64_t user_vm_start) {
  const uint64_t low = user_vm_start & 0xffffffffU;
  UARENA_ASSERT(low + file.size() <= kMaxArenaSize, "{} bytes at {:#x} cross 4 GiB", file.size(),
                user_vm_start);
  Result<MemoryMap> reservation = MemoryMap::create(nullptr, kMaxArenaSize + kGuardSize, PROT_NONE,
                                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                                                    0, "an arena's kernel view");
  if (!reservation) return std::unexpected(reservation.error());
  std::byte* const start = reservation->data() + kGuardSize / 2 + low;
  if (::mmap(start, file.size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file.fd(), 0) ==
      MAP_FAILED)
    return fail_errno(errno, "cannot map {} bytes of an arena into its kernel view", file.size());
  for (const int advice : {MADV_DONTFORK, MADV_DONTDUMP})
    if (::madvise(start, file.size(), advice) != 0)
      return fail_errno(errno, "cannot keep an arena's kernel view out of children and dumps");

  const auto base = reinterpret_cast<uint64_t>(start);
  Result<uffd::Userfaultfd> uffd = uffd::Userfaultfd::create_own(uffd::kFeatureSigbus);
  if (!uffd) return std::unexpected(uffd.error());
  if (auto ok = uffd->register_missing(base, file.size()); !ok) return std::unexpected(ok.error());
  return KernelView(std::move(*reservation), base, std::move(*uffd));
}

KernelView::Claimed KernelView::claim(PageRange pages) const {
  const uffd::RangeResult result =
      uffd_.zeropage(base_ + pages.first * kPageSize, pages.count * kPageSize);
  UARENA_ASSERT(result.error != EBADF && result.error != EINVAL && result.error != ENOENT,
                "claim of pages {}+{}: errno {} after {} bytes", pages.first, pages.count,
                result.error, result.done);
  return {static_cast<uint32_t>(result.done / kPageSize), result.error};
}

void KernelView::presence(PageRange pages, unsigned char* out) const {
  int rc = 0;
  do {  // EAGAIN: the kernel has no page to put its answer into at this moment
    rc = ::mincore(reinterpret_cast<void*>(base_ + pages.first * kPageSize),
                   pages.count * kPageSize, out);
  } while (rc != 0 && errno == EAGAIN);
  UARENA_ASSERT(rc == 0, "mincore of pages {}+{}: errno {}", pages.first, pages.count, errno);
  for (uint32_t i = 0; i < pages.count; ++i) out[i] &= 1;
}

}  // namespace uarena::broker
