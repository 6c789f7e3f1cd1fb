// What the generated programs live in: an arena, maps, a packet, and functions that always answer
// the same, so that two runs of one program differ only in their addresses.
#pragma once

#include <array>
#include <memory>
#include <set>
#include <vector>

#include "jit/function.h"
#include "jit/maps/map.h"
#include "jit/object.h"
#include "jit/packet.h"
#include "jit/program.h"
#include "jit/program_type.h"
#include "jit/runtime.h"
#include "tests/fuzz/random.h"
#include "tests/jit/exec/test_arena.h"

namespace uarena::fuzz {

// Indices into Object::maps.
inline constexpr int kArena = 0;
inline constexpr int kBss = 1;
inline constexpr int kRodata = 2;
inline constexpr int kArray = 3;
inline constexpr int kHash = 4;
inline constexpr int kLocked = 5;  // an array whose values begin with a lock
inline constexpr int kRing = 6;

inline constexpr uint32_t kBssBytes = 64;
inline constexpr uint32_t kRodataBytes = 16;
inline constexpr uint32_t kElementBytes = 16;
inline constexpr uint32_t kElements = 4;
inline constexpr uint32_t kLockBytes = 4;
inline constexpr uint32_t kRingBytes = 4096;
inline constexpr uint32_t kCtxBytes = 256;  // more than programs are generated to touch

// Indices into Object::kfuncs.
enum Kfunc : int32_t {
  kIterNew,
  kIterNext,
  kIterDestroy,
  kPreemptDisable,
  kPreemptEnable,
  kRcuLock,
  kRcuUnlock,
};

// The object without instructions: programs[0] is to be filled.
jit::Object make_world();
const jit::CallTable& world_functions();

// Memory of one run. Each has addresses of its own.
class Memory {
 public:
  Memory(jit::ProgramType type, uint64_t seed);  // of the bytes
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  jit::Binding binding() const;
  std::span<std::byte> ctx() { return packet_ ? packet_->memory() : std::span(ctx_); }
  // Empty: the program has no packet.
  std::span<const std::byte> packet() const { return packet_bytes_; }
  // Where a callback of an array finds its key.
  const std::byte* array_key() const { return array_key_; }
  const jit::BoundMap& map(size_t n) const { return *maps_[n]; }
  // Everything that somebody outside can see after the run.
  std::vector<std::byte> visible();
  const jit::TestArena& arena() const { return *arena_; }

 private:
  void add(const jit::MapDef& def, std::span<std::byte> memory);

  std::unique_ptr<jit::TestArena> arena_;
  std::vector<std::byte> bss_, rodata_, array_, hash_, locked_, ctx_, packet_bytes_;
  std::unique_ptr<jit::PacketContext> packet_;
  const std::byte* array_key_ = nullptr;
  std::vector<std::unique_ptr<jit::Map>> elements_;
  std::vector<std::unique_ptr<jit::BoundMap>> maps_;
};

// One run, with what its functions know.
struct WorldRun : jit::RunContext {
  explicit WorldRun(uint64_t seed) : random(seed) {}
  Random random;
  // The memory that functions gave out: iterators' values, records.
  std::set<std::pair<uint64_t, uint64_t>> given;  // address, bytes
  // Values of the hash that were looked up, and keys of elements that were changed; they stay where
  // they are when their element is gone.
  std::set<uint64_t> values, keys;
  std::vector<std::unique_ptr<std::vector<std::byte>>> records;
  std::vector<std::byte> submitted;
  // Something happened that is told otherwise by the kernel, and may be.
  bool kernel_differs = false;
};

}  // namespace uarena::fuzz
