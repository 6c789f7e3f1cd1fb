// The reference: runs an Object in the live kernel's bpf_arena, through raw bpf(2), since the
// distribution's libbpf knows no arenas. Parity tests and benchmarks run the same object here and
// in the broker and compare.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/base/fd.h"
#include "ipc/base/memory_map.h"
#include "ipc/base/page.h"
#include "ipc/base/result.h"
#include "jit/object.h"
#include "tests/support/kernel_btf.h"

namespace uarena::testing {

// Why the live kernel can't be used here (no bpf_arena, no permission, no BTF), or nothing. For
// GTEST_SKIP.
std::optional<std::string> kernel_arena_unavailable();

// Raw attributes of BPF_MAP_CREATE, in the kernel's words and order (K2-K5).
struct KernelMapAttr {
  uint32_t map_type = kBpfMapTypeArena;
  uint32_t key_size = 0;
  uint32_t value_size = 0;
  uint32_t max_entries = 0;
  uint32_t map_flags = kBpfFMmapable;
  uint64_t map_extra = 0;
  std::string name;  // at most 15 letters, digits and _ or .
  int btf = -1;      // what the types are of
  KernelMapTypes types;
};
// Error::code is the kernel's errno.
Result<Fd> create_kernel_map(const KernelMapAttr& attr);

// One program in the kernel.
class KernelProgram {
 public:
  KernelProgram(std::string name, Fd fd) : name_(std::move(name)), fd_(std::move(fd)) {}
  const std::string& name() const { return name_; }
  int fd() const { return fd_.get(); }
  // BPF_PROG_TEST_RUN of a syscall program: the context is written back in place. The result is
  // what the program returned.
  Result<int32_t> run(std::span<std::byte> context) const;
  template <typename Context>
  Result<int32_t> run(Context& context) const {
    return run(std::as_writable_bytes(std::span(&context, 1)));
  }
  Result<int32_t> run() const { return run(std::span<std::byte>{}); }

 private:
  std::string name_;
  Fd fd_;
};

struct KernelMap {
  std::string name;
  jit::MapKind kind = jit::MapKind::other;
  Fd fd;
  MemoryMap memory;   // arena: the arena; internal maps: their value, .rodata read-only
  uint64_t size = 0;  // bytes of it
};

struct KernelLoadOptions {
  // Where the arena goes in this process when map_extra is 0; 0: where the kernel likes.
  uint64_t arena_address = 0;
  // Instead of what the object's arena says.
  std::optional<uint32_t> arena_pages;
  std::optional<uint32_t> arena_flags;
  std::optional<uint64_t> arena_map_extra;
  // Which programs; empty: all that are not optional.
  std::vector<std::string> programs;
  // Whether to map the arenas here; without it they have the address of their map_extra, or none.
  bool map_arenas = true;
};

class KernelObject {
 public:
  // Loads the types, creates the maps and maps the arena; no programs.
  static Result<KernelObject> make_maps(const jit::Object& object,
                                        const KernelLoadOptions& options = {});
  // The same, and programs; the arena's globals go to offset 0 (K80). Error::code is the kernel's
  // errno; `log`, if given, receives the verifier's log of the program that was refused.
  static Result<KernelObject> load(const jit::Object& object, const KernelLoadOptions& options = {},
                                   std::string* log = nullptr);

  // nullptr: no such program or map.
  const KernelProgram* program(std::string_view name) const;
  const KernelMap* map(std::string_view name) const;
  const std::vector<KernelProgram>& programs() const { return programs_; }
  std::vector<int> map_fds() const;
  int btf() const { return btf_.get(); }  // as Object::maps
  const KernelMap* arena() const { return arena_ ? &maps_[*arena_] : nullptr; }
  // user_vm_start; 0 without an arena.
  uint64_t arena_address() const { return arena_ ? maps_[*arena_].memory.address() : 0; }

 private:
  Fd btf_;
  std::vector<KernelMap> maps_;  // as Object::maps
  std::vector<KernelProgram> programs_;
  std::optional<size_t> arena_;
};

}  // namespace uarena::testing
