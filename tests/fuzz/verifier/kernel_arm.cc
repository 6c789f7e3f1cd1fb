#include "tests/fuzz/verifier/kernel_arm.h"

#include <bpf/btf.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "ipc/base/uapi.h"
#include "tests/support/kernel_loader.h"
#include "tests/support/kernel_program.h"

namespace uarena::fuzz {
namespace {

// Types of functions, without which the kernel takes no callbacks: int (void *), for everybody.
constexpr uint32_t kMainFunction = 4, kOtherFunction = 5;  // ids

std::vector<std::byte> types_of_functions() {
  btf* types = ::btf__new_empty();
  const int number = ::btf__add_int(types, "int", 4, BTF_INT_SIGNED);
  const int pointer = ::btf__add_ptr(types, 0);
  const int prototype = ::btf__add_func_proto(types, number);
  ::btf__add_func_param(types, "ctx", pointer);
  const int main = ::btf__add_func(types, "fuzz", BTF_FUNC_GLOBAL, prototype);
  const int other = ::btf__add_func(types, "other", BTF_FUNC_STATIC, prototype);
  UARENA_ASSERT(main == kMainFunction && other == kOtherFunction, "{} and {}", main, other);
  uint32_t size = 0;
  const auto* data = static_cast<const std::byte*>(::btf__raw_data(types, &size));
  std::vector<std::byte> bytes(data, data + size);
  ::btf__free(types);
  return bytes;
}

// The kernel's copy of the world. Its array is made like an internal map, so that its elements can
// be written and read through a mapping.
jit::Object kernel_world() {
  jit::Object object = make_world();
  object.btf = types_of_functions();
  object.maps.resize(kArray + 1);
  jit::MapDef& array = object.maps[kArray];
  array.kind = jit::MapKind::data;
  for (jit::MapDef& map : object.maps) {
    map.map_flags |= kBpfFMmapable;
    if (map.kind == jit::MapKind::rodata) map.map_flags |= BPF_F_RDONLY_PROG;
    if (map.kind != jit::MapKind::arena) map.initial.resize(map.value_size);
  }
  return object;
}

}  // namespace

struct KernelArm::Maps {
  jit::Object object;
  testing::KernelObject kernel;

  std::byte* at(int map) const {
    return kernel.map(object.maps[static_cast<size_t>(map)].name)->memory.data();
  }
};

KernelArm::KernelArm(std::unique_ptr<Maps> maps) : maps_(std::move(maps)) {}
KernelArm::~KernelArm() = default;

bool KernelArm::can_run(const jit::ProgramDef& program) {
  if (program.section != "syscall") return false;
  return std::ranges::none_of(program.insns, [](const jit::Insn& insn) {
    const bool map = jit::is_ld_imm64(insn) &&
                     (insn.src == jit::kPseudoMapFd || insn.src == jit::kPseudoMapValue);
    const bool atomic =
        jit::insn_class(insn.code) == jit::kStx && jit::insn_mode(insn.code) == jit::kAtomic;
    return (map && insn.imm > kArray) || atomic ||
           (jit::is_helper_call(insn) && insn.imm == BPF_FUNC_get_prandom_u32);
  });
}

std::unique_ptr<KernelArm> KernelArm::create() {
  if (testing::kernel_arena_unavailable()) return nullptr;
  jit::Object object = kernel_world();
  testing::KernelLoadOptions options;
  options.arena_address = jit::TestArena::kUserVmStart;
  auto kernel = testing::KernelObject::make_maps(object, options);
  UARENA_ASSERT(kernel, "the world's maps in the kernel: {}", kernel.error().message);
  auto maps = std::make_unique<Maps>(Maps{std::move(object), std::move(*kernel)});
  return std::unique_ptr<KernelArm>(new KernelArm(std::move(maps)));
}

// A mapping of an arena does not come along into a child (K22), where the parent's arm would unmap
// what is not its own.
KernelArm* KernelArm::instance() {
  static std::unique_ptr<KernelArm> arm;
  static pid_t made_by = 0;
  if (made_by == ::getpid()) return arm.get();
  [[maybe_unused]] const KernelArm* const of_the_parent = arm.release();
  arm = create();
  made_by = ::getpid();
  return arm.get();
}

std::optional<KernelArm::Left> KernelArm::run(const jit::Object& object, Memory& memory) {
  jit::ProgramDef def = object.programs[0];
  for (jit::Subprog& subprog : def.subprogs) {
    subprog.global = subprog.start == 0;
    subprog.btf_func_id = subprog.global ? kMainFunction : kOtherFunction;
  }
  const testing::KernelQuestion question{&object, &def, maps_->kernel.map_fds(),
                                         maps_->kernel.btf()};
  auto answer = testing::ask_kernel(question);
  if (!answer || !answer->program) return std::nullopt;
  ++accepted_;
  constexpr size_t kArenaBytes = jit::TestArena::kPages * kPageSize;
  constexpr size_t kArrayBytes = size_t{kElementBytes} * kElements;
  std::memcpy(maps_->at(kBss), memory.map(kBss).value, kBssBytes);
  std::memcpy(maps_->at(kArray), memory.map(kArray).value, kArrayBytes);
  std::memcpy(maps_->at(kArena), memory.arena().at(jit::TestArena::kPresent), kArenaBytes);
  const testing::KernelProgram program("fuzz", std::move(answer->program));
  const auto result = program.run(memory.ctx());
  UARENA_ASSERT(result, "the kernel does not run what it accepts: {}", result.error().message);
  std::memcpy(memory.map(kBss).value, maps_->at(kBss), kBssBytes);
  std::memcpy(memory.map(kArray).value, maps_->at(kArray), kArrayBytes);
  std::memcpy(memory.arena().at(jit::TestArena::kPresent), maps_->at(kArena), kArenaBytes);
  return Left{static_cast<uint32_t>(*result), memory.visible()};
}

}  // namespace uarena::fuzz
