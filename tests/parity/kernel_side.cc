// The live kernel's arena, through bpf(2) and mmap.
#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <fstream>

#include "tests/parity/in_child.h"
#include "tests/parity/side.h"
#include "tests/parity/touch.h"
#include "tests/support/bpf_objects.h"

namespace uarena::testing {
namespace {

// Where nothing else of a test process lies: in the middle of a 4 GiB line.
constexpr uint64_t kStart = 0x7e9300003000;

class KernelSubject final : public Subject {
 public:
  explicit KernelSubject(const SubjectOptions& options) : Subject(options) {
    KernelLoadOptions load;
    load.arena_pages = options.pages;
    load.arena_flags = options.flags;
    load.arena_map_extra = options.map_extra ? kStart : 0;
    auto loaded = KernelObject::load(load_bpf_object(options.object), load);
    if (!loaded) throw std::runtime_error(loaded.error().message);
    object_ = std::move(*loaded);
  }
  uint64_t base() const override { return object_.arena_address(); }
  using Subject::run;
  int32_t run(const std::string& program, std::span<std::byte> context) override {
    const KernelProgram* found = object_.program(program);
    if (found == nullptr) throw std::runtime_error("the kernel has no program " + program);
    const auto result = found->run(context);
    if (!result) throw std::runtime_error(result.error().message);
    return *result;
  }
  int file() override { return object_.arena()->fd.get(); }
  Fd read_only_file() override {
    bpf_attr attr{};
    attr.map_id = info().id;
    attr.open_flags = BPF_F_RDONLY;
    const long fd = ::syscall(SYS_bpf, BPF_MAP_GET_FD_BY_ID, &attr, sizeof attr);
    if (fd < 0) throw std::runtime_error("BPF_MAP_GET_FD_BY_ID");
    return Fd(static_cast<int>(fd));
  }
  // In a child, where the range is free. The range and no other one is wanted; where MAP_FIXED is
  // not stated, the kernel may say EBUSY for it (K17).
  int map_in_another(uint64_t address, uint64_t length) override {
    return WEXITSTATUS(in_child([&] {
      const void* at = ::mmap(pointer(address), length, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_FIXED_NOREPLACE, file(), 0);
      return at == MAP_FAILED ? errno : 0;
    }));
  }
  uint64_t map_extra() override { return info().map_extra; }
  uint64_t pages_in_use() override {
    std::ifstream text("/proc/self/fdinfo/" + std::to_string(file()));
    std::string word;
    while (text >> word)
      if (word == "memlock:") {
        uint64_t bytes = 0;
        text >> bytes;
        return bytes / kPageSize;
      }
    throw std::runtime_error("fdinfo has no memlock:");
  }

 protected:
  void map_here() override {
    if (::mmap(pointer(base()), length(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE,
               file(), 0) == MAP_FAILED)
      throw std::runtime_error("mmap");
  }

 private:
  bpf_map_info info() {
    bpf_map_info info{};
    bpf_attr attr{};
    attr.info.bpf_fd = static_cast<uint32_t>(file());
    attr.info.info_len = sizeof info;
    attr.info.info = reinterpret_cast<uint64_t>(&info);
    if (::syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof attr) != 0)
      throw std::runtime_error("BPF_OBJ_GET_INFO_BY_FD");
    return info;
  }

  KernelObject object_;
};

class KernelSide final : public Side {
 public:
  const char* name() const override { return "the kernel"; }
  int create(const KernelMapAttr& attr) override {
    const auto map = create_kernel_map(attr);
    return map ? 0 : map.error().code;
  }
  int first_mapping(uint32_t pages, uint64_t length) override {
    const auto map = create_kernel_map({.max_entries = pages, .name = "first"});
    if (!map) throw std::runtime_error(map.error().message);
    return WEXITSTATUS(in_child([&] {
      const void* at = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, map->get(), 0);
      return at == MAP_FAILED ? errno : 0;
    }));
  }
  std::unique_ptr<Subject> make(const SubjectOptions& options) override {
    return std::make_unique<KernelSubject>(options);
  }
};

}  // namespace

std::unique_ptr<Side> kernel_side() { return std::make_unique<KernelSide>(); }

}  // namespace uarena::testing
