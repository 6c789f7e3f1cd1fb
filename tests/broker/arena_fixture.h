// An arena for tests, and a second, unregistered mapping of its memory file: what a client has that
// cheats. Reading an absent page through it makes the page, so tests read with Arena::read where a
// page may be absent.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <memory>
#include <vector>

#include "broker/account.h"
#include "broker/arena.h"
#include "ipc/base/memory_map.h"

namespace uarena::broker {

inline constexpr uint64_t kTestStart = 0x7e9000001000;  // low32 is 0x1000

inline ArenaAttr test_attr(uint32_t pages, uint32_t more_flags = 0) {
  ArenaAttr attr;
  attr.max_entries = pages;
  attr.map_flags = kBpfFMmapable | more_flags;
  return attr;
}

class TestArena {
 public:
  explicit TestArena(uint32_t pages, uint32_t more_flags = 0, uint64_t start = kTestStart,
                     Faulting faulting = {})
      : arena_(Arena::create({.id = 1,
                              .name = "test",
                              .attr = test_attr(pages, more_flags),
                              .user_vm_start = start,
                              .owner_uid = 1000,
                              .faulting = faulting},
                             account_)
                   .value()),
        map_(MemoryMap::create(nullptr, arena_->size(), PROT_READ | PROT_WRITE, MAP_SHARED,
                               arena_->memory_fd(), 0, "a second mapping")
                 .value()) {}

  Arena* operator->() { return arena_.get(); }
  Arena& operator*() { return *arena_; }
  const Account& account() const { return account_; }

  uint64_t address(uint64_t page) const { return arena_->user_vm_start() + page * kPageSize; }
  volatile unsigned char& byte(uint64_t page, uint64_t offset = 0) {
    return reinterpret_cast<volatile unsigned char*>(map_.data())[page * kPageSize + offset];
  }

  // bpf_arena_alloc_pages with ordinary arguments; the page, or -1 for NULL.
  int64_t alloc(uint32_t count = 1) { return page(arena_->alloc_pages(0, count, -1, 0, kOrigin)); }
  int64_t alloc_at(uint64_t at, uint32_t count = 1) {
    return page(arena_->alloc_pages(address(at), count, -1, 0, kOrigin));
  }
  void free(uint64_t first, uint32_t count = 1) { arena_->free_pages(address(first), count); }
  int reserve(uint64_t first, uint32_t count = 1) {
    return arena_->reserve_pages(address(first), count);
  }
  bool fault(uint64_t at) { return arena_->fault(address(at)) != FaultDecision::refuse; }
  uint64_t blocks() const { return arena_->counts().blocks; }
  uint32_t allocated() const { return arena_->counts().pages_allocated; }

  static constexpr Origin kOrigin = Origin::program;

 private:
  int64_t page(uint64_t address) const {
    if (address == 0) return -1;
    return static_cast<int64_t>((address - arena_->user_vm_start()) / kPageSize);
  }

  Account account_{1000};
  std::shared_ptr<Arena> arena_;
  MemoryMap map_;
};

}  // namespace uarena::broker
