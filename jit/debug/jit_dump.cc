// Layouts are those of perf's "jitdump specification" (version 1 of the format).
#include "jit/debug/jit_dump.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>

#include "ipc/base/page.h"
#include "jit/debug/bytes.h"
#include "jit/turns.h"

namespace uarena::jit::debug {
namespace {

constexpr uint32_t kMagic = 0x4a695444;  // "JiTD"
constexpr uint32_t kVersion = 1;
constexpr uint32_t kHeaderBytes = 40;
constexpr uint32_t kCodeLoad = 0, kDebugInfo = 2;  // kinds of records

std::atomic<JitDump*> the_dump{nullptr};

std::string header() {
  Bytes out;
  out.u32(kMagic);
  out.u32(kVersion);
  out.u32(kHeaderBytes);
  out.u32(EM_X86_64);
  out.u32(0);
  out.u32(static_cast<uint32_t>(::getpid()));
  out.u64(monotonic_ns());
  out.u64(0);  // flags
  return out.take();
}

// Kind, size and time in front.
std::string record(uint32_t kind, const Bytes& body) {
  constexpr uint32_t kPrefix = 16;
  Bytes out;
  out.u32(kind);
  out.u32(kPrefix + static_cast<uint32_t>(body.size()));
  out.u64(monotonic_ns());
  out.raw(body.data().data(), body.size());
  return out.take();
}

std::string lines_record(const CodeMap& map, const Function& function) {
  const auto first = std::ranges::lower_bound(map.lines, function.from, {}, &Line::offset);
  const auto last = std::ranges::lower_bound(map.lines, function.to, {}, &Line::offset);
  if (first == last) return {};
  Bytes body;
  body.u64(map.address() + function.from);
  body.u64(static_cast<uint64_t>(last - first));
  for (auto line = first; line != last; ++line) {
    body.u64(map.address() + line->offset);
    body.u32(line->number);
    body.u32(0);  // no discriminator
    body.string(map.files[line->file]);
  }
  return record(kDebugInfo, body);
}

std::string code_record(const CodeMap& map, const Function& function, uint64_t index) {
  const uint64_t address = map.address() + function.from;
  const uint64_t size = function.to - function.from;
  Bytes body;
  body.u32(static_cast<uint32_t>(::getpid()));
  body.u32(static_cast<uint32_t>(::gettid()));
  body.u64(address);  // where it is
  body.u64(address);  // and runs
  body.u64(size);
  body.u64(index);
  body.string(function.name);
  body.raw(map.code.data() + function.from, size);
  return record(kCodeLoad, body);
}

bool write_whole(int fd, const std::string& bytes) {
  return ::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
}

}  // namespace

Result<void> JitDump::start(const std::string& directory) {
  UARENA_ASSERT(the_dump.load() == nullptr, "a jitdump was started already");
  const std::string path = fmt::format("{}/jit-{}.dump", directory, ::getpid());
  Fd file(
      ::open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return fail_errno(errno, "cannot make {}", path);
  auto marker = MemoryMap::create(nullptr, kPageSize, PROT_READ | PROT_EXEC, MAP_PRIVATE,
                                  file.get(), 0, path.c_str());
  if (!marker) return std::unexpected(marker.error());
  if (!write_whole(file.get(), header())) return fail_errno(errno, "cannot write to {}", path);
  // For as long as the process lives: programs are made until its end.
  the_dump.store(new JitDump(std::move(file), std::move(*marker)));
  return {};
}

JitDump* JitDump::active() { return the_dump.load(std::memory_order_acquire); }

void JitDump::add(const CodeMap& map) {
  const std::lock_guard lock(mutex_);
  add_function(map, map.entry);
  for (const Function& function : map.functions) add_function(map, function);
}

// Lines first: they are of the code that follows.
void JitDump::add_function(const CodeMap& map, const Function& function) {
  write_whole(file_.get(), lines_record(map, function) + code_record(map, function, index_++));
}

}  // namespace uarena::jit::debug
