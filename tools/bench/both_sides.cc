#include "tools/bench/both_sides.h"

#include <fmt/format.h>

#include <atomic>
#include <cstring>
#include <fstream>

#include "tools/bench/bench.h"

namespace uarena::bench {
namespace {

constexpr size_t kMaxPrograms = 16;

Result<double> per_unit(const char* name, int32_t retval, uint64_t ns, uint64_t units) {
  if (retval != 0) return fail(EINVAL, "{} returned {}", name, retval);
  return static_cast<double>(ns) / static_cast<double>(units);
}

}  // namespace

Result<jit::Object> read_object(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  if (!file) return fail(ENOENT, "cannot read {}", path);
  return jit::load_object(std::as_bytes(std::span(bytes)));
}

Result<std::shared_ptr<BothSides>> BothSides::load(const std::string& socket,
                                                   const std::string& path, Attach attach) {
  auto both = std::make_shared<BothSides>();
  auto object = read_object(path);
  if (!object) return std::unexpected(object.error());
  auto kernel = testing::KernelObject::load(*object);
  if (!kernel) return std::unexpected(kernel.error());
  both->kernel_.emplace(std::move(*kernel));
  if (int error = uarena_connect(socket.c_str(), &both->conn_); error != 0)
    return fail(-error, "{}", uarena_error());
  // Copies of an object would have arenas of one name.
  static std::atomic<unsigned> copies = 0;
  if (!object->arena) return fail(EINVAL, "{} has no arena", path);
  uarena_attr attr{};
  attr.map_type = UARENA_MAP_TYPE_ARENA;
  attr.map_flags = UARENA_F_MMAPABLE | (attach == Attach::exact ? UARENA_F_SEGV_ON_FAULT : 0);
  attr.max_entries = object->maps[*object->arena].max_entries;
  uarena_info arena{};
  const std::string name = fmt::format("bench-{}", ++copies);
  if (int error = uarena_create(both->conn_, name.c_str(), &attr, &arena); error != 0)
    return fail(-error, "{}", uarena_error());
  both->arena_ = arena.id;
  both->programs_.resize(kMaxPrograms);
  const int count =
      uarena_prog_load(both->conn_, path.c_str(), arena.id, both->programs_.data(), kMaxPrograms);
  both->programs_.resize(static_cast<size_t>(std::max(count, 0)));
  if (count < 0) return fail(-count, "{}", uarena_error());
  if (attach == Attach::no) return both;
  if (int error = uarena_attach(both->conn_, arena.id, attach == Attach::exact ? UARENA_EXACT : 0,
                                &both->base_);
      error != 0)
    return fail(-error, "{}", uarena_error());
  return both;
}

BothSides::~BothSides() {
  if (conn_ == nullptr) return;
  if (base_ != nullptr) uarena_detach(conn_, arena_);
  for (const uarena_prog& program : programs_) uarena_prog_unload(conn_, program.id);
  if (arena_ != 0) uarena_delete(conn_, arena_);
  uarena_close(conn_);
}

Result<double> BothSides::ours(const char* name, std::span<std::byte> context, uint64_t units) {
  for (const uarena_prog& program : programs_) {
    if (std::strcmp(program.name, name) != 0) continue;
    int32_t retval = 0;
    const uint64_t start = now_ns();
    const int error = uarena_prog_run(conn_, program.id, context.data(),
                                      static_cast<uint32_t>(context.size()), &retval, nullptr);
    const uint64_t ns = now_ns() - start;
    if (error != 0) return fail(-error, "{}", uarena_error());
    return per_unit(name, retval, ns, units);
  }
  return fail(ENOENT, "there is no program {}", name);
}

Result<double> BothSides::kernel(const char* name, std::span<std::byte> context, uint64_t units) {
  const testing::KernelProgram* program = kernel_->program(name);
  if (program == nullptr) return fail(ENOENT, "there is no program {}", name);
  const uint64_t start = now_ns();
  auto retval = program->run(context);
  const uint64_t ns = now_ns() - start;
  if (!retval) return std::unexpected(retval.error());
  return per_unit(name, *retval, ns, units);
}

}  // namespace uarena::bench
