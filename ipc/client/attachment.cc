// The recipe of attachment.h, step by step. The broker's answer is checked before anything is
// mapped.
#include "ipc/client/attachment.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "ipc/base/log.h"
#include "ipc/base/page.h"
#include "ipc/base/uapi.h"
#include "ipc/client/occupant.h"

namespace uarena::ipc {
namespace {

// Where a process can have memory at all (x86-64, four-level page tables).
constexpr uint64_t kAddressLimit = uint64_t{1} << 47;

Result<void> check_answer_untrusted(const uarena_arena_info& info, uint64_t arena_id,
                                    const Fd& memory) {
  const uint64_t size = uint64_t{info.max_entries} * kPageSize;
  if (info.id != arena_id || info.max_entries == 0 || info.max_entries > kMaxArenaPages ||
      info.user_vm_start == 0 || !page_aligned(info.user_vm_start) ||
      info.user_vm_start > kAddressLimit - size)
    return fail(EPROTO, "the broker's answer makes no sense: arena {} with {} pages at {:#x}",
                info.id, info.max_entries, info.user_vm_start);
  struct stat st{};
  if (::fstat(memory.get(), &st) < 0) return fail_errno(errno, "cannot look at the memory file");
  // A shorter file would be a SIGBUS later on.
  if (!S_ISREG(st.st_mode) || static_cast<uint64_t>(st.st_size) != size)
    return fail(EPROTO, "the broker's memory file has {} bytes, the arena {}", st.st_size, size);
  return {};
}

Error occupied(uint64_t start, uint64_t size, std::string_view arena) {
  const auto occupant = find_occupant(start, start + size);
  const std::string who = occupant ? fmt::format("{} at {:#x}-{:#x}", escaped(occupant->name),
                                                 occupant->start, occupant->end)
                                   : "another mapping";
  return {EEXIST,
          fmt::format("arena {} belongs at {:#x}-{:#x}, which is occupied by {} in this process",
                      escaped(arena), start, start + size, who)};
}

struct RawUserfaultfd {
  Fd fd;
  bool full = false;  // takes faults from kernel mode
};

constexpr int kFlags = O_CLOEXEC | O_NONBLOCK;

// For whom the system call refuses a full one: an administrator may have opened the device to him
// (systemd/udev). None if not.
Fd userfaultfd_by_device() {
  const Fd device(::open("/dev/userfaultfd", O_RDWR | O_CLOEXEC));
  return device ? Fd(::ioctl(device.get(), kUserfaultfdIocNew, kFlags)) : Fd();
}

// SEGV_ON_FAULT wants system calls to fail with EFAULT, which user-mode-only does by itself. For
// demand-zero a full one is better, and needs a privilege or the device.
Result<RawUserfaultfd> new_userfaultfd(bool want_full) {
  if (want_full) {
    Fd fd(static_cast<int>(::syscall(SYS_userfaultfd, kFlags)));
    if (!fd && errno != EPERM) return fail_errno(errno, "cannot make a userfaultfd");
    if (!fd) fd = userfaultfd_by_device();
    if (fd) return RawUserfaultfd{std::move(fd), true};
  }
  Fd fd(static_cast<int>(::syscall(SYS_userfaultfd, kFlags | kUffdUserModeOnly)));
  if (!fd) return fail_errno(errno, "cannot make a userfaultfd for user mode");
  return RawUserfaultfd{std::move(fd), false};
}

void tell_detach(Channel& control, uint64_t arena_id) {
  uarena_detach request{};
  request.arena_id = arena_id;
  [[maybe_unused]] auto ignored = control.ask<uarena_empty>(UARENA_MSG_DETACH, request);
}

}  // namespace

Result<Attachment> Attachment::attach(Channel& control, uint64_t arena_id, AttachWay way) {
  uarena_attach request{};
  request.arena_id = arena_id;
  request.flags =
      (way.exact ? UARENA_ATTACH_EXACT : 0) | (way.readonly ? UARENA_ATTACH_READONLY : 0);
  auto reply = control.ask<uarena_arena_reply>(UARENA_MSG_ATTACH, request);
  if (!reply) return std::unexpected(std::move(reply.error().error));

  Attachment attachment;
  attachment.info_ = reply->body.info;
  const Fd& memory = reply->fds.front();
  auto done = check_answer_untrusted(attachment.info_, arena_id, memory);
  if (done) done = attachment.map(memory);
  if (done && way.exact) done = attachment.guard();
  if (done) done = attachment.arm(control, way);
  if (!done) {
    attachment.guards_.reset();
    attachment.map_ = MemoryMap();
    tell_detach(control, arena_id);
    return std::unexpected(std::move(done.error()));
  }
  return attachment;
}

Result<void> Attachment::map(const Fd& memory) {
  const uint64_t start = info_.user_vm_start;
  const uint64_t size = uint64_t{info_.max_entries} * kPageSize;
  const std::string_view name = get_text(info_.name);
  auto map = MemoryMap::create(reinterpret_cast<void*>(start), size, PROT_NONE,
                               MAP_SHARED | MAP_FIXED_NOREPLACE, memory.get(), 0, "the arena");
  if (!map) {
    if (map.error().code == EEXIST) return std::unexpected(occupied(start, size, name));
    if (map.error().code == EAGAIN)
      map.error().message += " (mlockall(MCL_FUTURE) beyond RLIMIT_MEMLOCK?)";
    return std::unexpected(std::move(map.error()));
  }
  // Kernels before 4.17 do not know MAP_FIXED_NOREPLACE and choose another place.
  if (map->address() != start) return std::unexpected(occupied(start, size, name));
  map_ = std::move(*map);

  // Under mlockall(MCL_FUTURE) the range is locked, and mprotect would fill every page.
  if (::munlock(map_.data(), size) < 0) return fail_errno(errno, "cannot unlock the arena");
  // A child would have the range without the broker's registration (K22).
  if (::madvise(map_.data(), size, MADV_DONTFORK) < 0)
    return fail_errno(errno, "cannot keep the arena from children");
  // A core dump would ask the broker for every page.
  if (::madvise(map_.data(), size, MADV_DONTDUMP) < 0)
    return fail_errno(errno, "cannot keep the arena out of core dumps");
  return {};
}

// Before anybody maps pages over them.
Result<void> Attachment::guard() {
  if (::madvise(map_.data(), map_.size(), kMadvGuardInstall) < 0)
    return fail_errno(errno, "cannot install guards over the arena");
  return {};
}

Result<void> Attachment::arm(Channel& control, AttachWay way) {
  uarena_attach_ready request{};
  request.arena_id = info_.id;
  std::vector<int> fds;
  if (!direct()) {
    auto raw = new_userfaultfd((info_.map_flags & kSegvOnFault) == 0 && !way.user_mode_only);
    if (!raw) return std::unexpected(std::move(raw.error()));
    userfaultfd_ = std::move(raw->fd);
    full_ = raw->full;
    request.flags = (full_ ? UARENA_READY_FULL : 0) | (way.exact ? UARENA_READY_EXACT : 0);
    fds.push_back(userfaultfd_.get());
  }
  auto armed = control.ask<uarena_empty>(UARENA_MSG_ATTACH_READY, request, {}, fds);
  if (!armed) {
    // Unmapping must not wait for somebody who reads the userfaultfd's events.
    userfaultfd_.reset();
    return std::unexpected(std::move(armed.error().error));
  }
  if (way.exact) {
    if (armed->fds.empty()) return fail(EPROTO, "the broker's answer has no socket for guards");
    auto keeper = GuardKeeper::start(std::move(armed->fds.front()), map_.address(), map_.size());
    if (!keeper) return std::unexpected(std::move(keeper.error()));
    guards_ = std::move(*keeper);
  }
  if (::mprotect(map_.data(), map_.size(), way.readonly ? PROT_READ : PROT_READ | PROT_WRITE) < 0)
    return fail_errno(errno, "cannot open the arena for access");
  return {};
}

// No guard may come after the range has become somebody else's.
Attachment::~Attachment() { guards_.reset(); }

void Attachment::detach(Channel& control) {
  if (control.is_lost()) return drop();
  guards_.reset();
  map_ = MemoryMap();
  tell_detach(control, info_.id);
  userfaultfd_.reset();
}

void Attachment::drop() {
  guards_.reset();
  userfaultfd_.reset();
  map_ = MemoryMap();
}

void Attachment::forget() {
  if (guards_) guards_.release()->forget();
  userfaultfd_.reset();
  map_.release();
}

}  // namespace uarena::ipc
