#include "broker/kfuncs.h"

#include <algorithm>
#include <array>

#include "broker/arena.h"
#include "broker/death_point.h"
#include "jit/catalogue.h"

namespace uarena::broker {
namespace {

using jit::BoundMap;
using jit::FunctionDesc;
using jit::RunContext;

// The verifier lets only the pointer of a bound arena map through (ArgKind::map_arena).
Arena& arena_of(uint64_t map) {
  const auto* bound = reinterpret_cast<const BoundMap*>(map);
  UARENA_ASSERT(bound->kind == jit::MapKind::arena && bound->owner != nullptr, "map {}",
                bound->name);
  return *static_cast<Arena*>(bound->owner);
}

// void __arena *bpf_arena_alloc_pages(void *map, void __arena *addr, u32 page_cnt, int node_id,
// u64 flags): K33.
uint64_t alloc_pages(uint64_t map, uint64_t addr, uint64_t page_cnt, uint64_t node_id,
                     uint64_t flags, RunContext*) {
  UARENA_DEATH_POINT("kfunc.begun");
  const uint64_t pages = arena_of(map).alloc_pages(
      addr, static_cast<uint32_t>(page_cnt), static_cast<int>(node_id), flags, Origin::program);
  UARENA_DEATH_POINT("kfunc.done");
  return pages;
}

// void bpf_arena_free_pages(void *map, void __arena *ptr, u32 page_cnt): K38.
uint64_t free_pages(uint64_t map, uint64_t ptr, uint64_t page_cnt, uint64_t, uint64_t,
                    RunContext*) {
  arena_of(map).free_pages(ptr, static_cast<uint32_t>(page_cnt));
  return 0;
}

// int bpf_arena_reserve_pages(void *map, void __arena *ptr, u32 page_cnt): K41. The result is an
// int in R0, so it is sign-extended as the kernel's is.
uint64_t reserve_pages(uint64_t map, uint64_t ptr, uint64_t page_cnt, uint64_t, uint64_t,
                       RunContext*) {
  const int result = arena_of(map).reserve_pages(ptr, static_cast<uint32_t>(page_cnt));
  return static_cast<uint64_t>(static_cast<int64_t>(result));
}

// A row of the catalogue, with the function that does it here.
FunctionDesc row(std::string_view name, jit::HelperFn function) {
  FunctionDesc desc = *jit::find_kfunc(name);
  desc.function = function;
  return desc;
}

const std::array kArenaFunctions = {row("bpf_arena_alloc_pages", alloc_pages),
                                    row("bpf_arena_free_pages", free_pages),
                                    row("bpf_arena_reserve_pages", reserve_pages)};

const FunctionDesc* offered(std::string_view name) {
  const auto arena = std::ranges::find(kArenaFunctions, name, &FunctionDesc::name);
  if (arena != kArenaFunctions.end()) return &*arena;
  const FunctionDesc* other = jit::find_kfunc(name);
  return other == nullptr || other->function == nullptr ? nullptr : other;
}

std::string offered_names() {
  std::string names;
  for (const FunctionDesc& desc : jit::catalogue())
    if (desc.helper == 0 && offered(desc.name) != nullptr)
      names += (names.empty() ? "" : ", ") + std::string(desc.name);
  return names;
}

}  // namespace

Result<jit::CallTable> resolve_functions(const jit::Object& object) {
  jit::CallTable table;
  table.helpers = jit::offered_helpers();
  for (const jit::KfuncRef& wanted : object.kfuncs) {
    const FunctionDesc* found = offered(wanted.name);
    if (found == nullptr && !wanted.weak)
      return fail(Why::rejected, ENOENT,
                  "the object calls the kernel function {}, which is not offered; offered are {}",
                  wanted.name, offered_names());
    table.kfuncs.push_back(found);
  }
  return table;
}

}  // namespace uarena::broker
