// One small arena for a test that asks the live kernel's and ours the same: made here, with the
// programs of kfuncs.bpf.c, and mapped in this process. map_again() maps it in another process, as
// a client of that kind does: the kernel's by mmap, ours through the library and a real daemon.
// What differs for a reason is a constant of the side.
//
// The table of `./dev parity` asks through side.h: it runs without GoogleTest, makes any number of
// arenas, and compares answers as text. Here a side is a type, and a scenario a typed test.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>

#include "ipc/client/include/uarena.h"
#include "tests/bpf/contexts.h"
#include "tests/parity/our_programs.h"
#include "tests/parity/touch.h"
#include "tests/support/bpf_objects.h"
#include "tests/support/broker_process.h"
#include "tests/support/kernel_loader.h"

namespace uarena::testing {

inline constexpr uint32_t kPages = 16;
inline constexpr uint64_t kLength = kPages * kPageSize;
inline constexpr uint64_t kStart = 0x7e9300003000;

// An arena as one process has it mapped.
struct Mapped {
  uarena_conn* connection = nullptr;  // ours only
  char* base = nullptr;
};

class KernelSide {
 public:
  explicit KernelSide(uint32_t flags = kBpfFMmapable) {
    KernelLoadOptions options;
    options.arena_pages = kPages;
    options.arena_flags = flags;
    options.arena_map_extra = kStart;
    auto loaded = KernelObject::load(load_bpf_object("kfuncs"), options);
    if (!loaded) throw std::runtime_error(loaded.error().message);
    object_ = std::move(*loaded);
  }
  static constexpr const char* kName = "kernel";
  static constexpr int kSignalCode = SEGV_MAPERR;
  static constexpr bool kKernels = true;
  static constexpr bool kSystemCallsServed = true;
  static std::optional<std::string> unavailable() { return kernel_arena_unavailable(); }

  uint64_t at(uint64_t page) const { return object_.arena_address() + page * kPageSize; }
  uint64_t run(const char* program, uint64_t address, uint32_t pages) {
    kfunc_ctx context{address, pages, -1, 0, 0};
    if (!object_.program(program)->run(context)) throw std::runtime_error(program);
    return context.result;
  }
  Mapped map_again() const {
    void* at = ::mmap(pointer(kStart), kLength, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                      object_.arena()->fd.get(), 0);
    if (at == MAP_FAILED) throw std::runtime_error("mmap");
    return {nullptr, static_cast<char*>(at)};
  }
  static int unmap(const Mapped& mapped) {
    return ::munmap(mapped.base, kLength) == 0 ? 0 : -errno;
  }

 private:
  KernelObject object_;
};

class OurSide {
 public:
  explicit OurSide(uint32_t flags = kBpfFMmapable, uint32_t fault = UARENA_SERVED,
                   unsigned attach_flags = 0)
      : attach_flags_(attach_flags) {
    check(uarena_connect(broker_.socket().c_str(), &connection_));
    const uarena_attr attr{kBpfMapTypeArena, 0, 0, kPages, flags, kStart};
    uarena_create_opts options{};
    options.sz = sizeof options;
    options.fault = fault;
    check(uarena_create_with(connection_, "ours", &attr, &options, &info_));
    programs_ = OurPrograms(connection_, "kfuncs", info_.id);
    void* base = nullptr;
    check(uarena_attach(connection_, info_.id, attach_flags_, &base));
  }
  ~OurSide() { uarena_close(connection_); }
  OurSide(const OurSide&) = delete;
  OurSide& operator=(const OurSide&) = delete;

  static constexpr const char* kName = "uarena";
  static constexpr int kSignalCode = SI_SIGIO;
  static constexpr bool kKernels = false;
  static constexpr bool kSystemCallsServed = true;  // root's userfaultfd is a full one
  static std::optional<std::string> unavailable() {
    if (::geteuid() != 0) return "root alone may have a full userfaultfd";
    return std::nullopt;
  }

  uint64_t at(uint64_t page) const { return info_.user_vm_start + page * kPageSize; }
  uint64_t run(const std::string& program, uint64_t address, uint32_t pages) {
    kfunc_ctx context{address, pages, -1, 0, 0};
    if (programs_.run(program, std::as_writable_bytes(std::span(&context, 1))) != 0)
      throw std::runtime_error(program);
    return context.result;
  }
  Mapped map_again() const {
    Mapped mapped;
    check(uarena_connect(socket().c_str(), &mapped.connection));
    void* base = nullptr;
    check(uarena_attach(mapped.connection, id(), attach_flags_, &base));
    mapped.base = static_cast<char*>(base);
    return mapped;
  }
  int unmap(const Mapped& mapped) const { return uarena_detach(mapped.connection, id()); }

  BrokerProcess& broker() { return broker_; }
  unsigned attach_flags() const { return attach_flags_; }
  const std::string& socket() const { return broker_.socket(); }
  uint64_t id() const { return info_.id; }
  bool syscalls_served() const { return uarena_syscalls_served(connection_, info_.id) == 1; }
  uarena_info stat() const {
    uarena_info now{};
    check(uarena_stat(connection_, info_.id, &now));
    return now;
  }

 private:
  const unsigned attach_flags_;
  BrokerProcess broker_;
  uarena_conn* connection_ = nullptr;
  uarena_info info_{};
  OurPrograms programs_;
};

// With guards: the kernel's own signal.
class ExactSide : public OurSide {
 public:
  explicit ExactSide(uint32_t flags = kBpfFMmapable | kBpfFSegvOnFault)
      : OurSide(flags, UARENA_SERVED, (flags & kBpfFSegvOnFault) != 0 ? UARENA_EXACT : 0) {}
  static constexpr const char* kName = "exact";
  static constexpr int kSignalCode = SEGV_MAPERR;
};

// Another user's client: without a privilege its userfaultfd is one for user mode only.
class NobodySide : public OurSide {
 public:
  explicit NobodySide(uint32_t flags = kBpfFMmapable) : OurSide(flags) {
    ::chmod(socket().substr(0, socket().rfind('/')).c_str(), 0755);
  }
  static constexpr const char* kName = "nobody";
  static constexpr bool kSystemCallsServed = false;
  static std::optional<std::string> unavailable() {
    if (::geteuid() != 0) return "needs a second uid";
    int unprivileged = 0;
    std::ifstream("/proc/sys/vm/unprivileged_userfaultfd") >> unprivileged;
    struct stat device{};
    if (unprivileged != 0 ||
        (::stat("/dev/userfaultfd", &device) == 0 && (device.st_mode & S_IWOTH) != 0))
      return "everyone may have a full userfaultfd here";
    return std::nullopt;
  }
  Mapped map_again() const {
    constexpr uid_t kNobody = 65534;
    if (::getuid() != kNobody && (::setresgid(kNobody, kNobody, kNobody) != 0 ||
                                  ::setresuid(kNobody, kNobody, kNobody) != 0))
      throw std::runtime_error("cannot become nobody");
    return OurSide::map_again();
  }
};

// Faults that the kernel answers (a `direct` arena).
class DirectSide : public OurSide {
 public:
  explicit DirectSide(uint32_t flags = kBpfFMmapable) : OurSide(flags, UARENA_DIRECT) {}
  static constexpr const char* kName = "direct";
  static std::optional<std::string> unavailable() { return std::nullopt; }
};

class SideName {
 public:
  template <typename Side>
  static std::string GetName(int) {
    return Side::kName;
  }
};

}  // namespace uarena::testing
