#include "broker/kfuncs.h"

#include <algorithm>
#include <array>

#include "broker/arena.h"

namespace uarena::broker {
namespace {

using jit::ArgKind;
using jit::BoundMap;
using jit::KfuncDesc;
using jit::RetKind;
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
  return arena_of(map).alloc_pages(addr, static_cast<uint32_t>(page_cnt), static_cast<int>(node_id),
                                   flags, Origin::program);
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

constexpr std::array kOffered = {
    KfuncDesc{
        "bpf_arena_alloc_pages",
        {ArgKind::map_arena, ArgKind::anything, ArgKind::scalar, ArgKind::scalar, ArgKind::scalar},
        RetKind::scalar,
        alloc_pages},
    KfuncDesc{"bpf_arena_free_pages",
              {ArgKind::map_arena, ArgKind::anything, ArgKind::scalar},
              RetKind::void_,
              free_pages},
    KfuncDesc{"bpf_arena_reserve_pages",
              {ArgKind::map_arena, ArgKind::anything, ArgKind::scalar},
              RetKind::scalar,
              reserve_pages},
};

std::string offered_names() {
  std::string names;
  for (const KfuncDesc& desc : kOffered)
    names += (names.empty() ? "" : ", ") + std::string(desc.name);
  return names;
}

}  // namespace

Result<jit::KfuncTable> resolve_kfuncs(const jit::Object& object) {
  jit::KfuncTable table;
  for (const jit::KfuncRef& wanted : object.kfuncs) {
    const auto found = std::ranges::find(kOffered, wanted.name, &KfuncDesc::name);
    if (found == kOffered.end() && !wanted.weak)
      return fail(Why::rejected, ENOENT,
                  "the object calls the kernel function {}, which is not offered; offered are {}",
                  wanted.name, offered_names());
    table.push_back(found == kOffered.end() ? nullptr : &*found);
  }
  return table;
}

}  // namespace uarena::broker
