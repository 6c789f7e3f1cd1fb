// The functions have the prototypes of the catalogue, and bodies of their own where the oracle has
// to see what they did or an answer would change from run to run.
#include "tests/fuzz/verifier/world.h"

#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <cstring>
#include <deque>

#include "jit/catalogue.h"
#include "jit/engine.h"
#include "jit/helpers/functions.h"
#include "jit/turns.h"
#include "tests/fuzz/random.h"

namespace uarena::fuzz {
namespace {

using jit::RunContext;

constexpr uint32_t kMostTurns = 1u << 23;  // of bpf_loop and iterators, as in the kernel

WorldRun& state_of(RunContext* run) { return *static_cast<WorldRun*>(run); }

uint64_t number(int64_t n) { return static_cast<uint64_t>(n); }

// Numbers on which comparisons, shifts and sign extensions turn, and those beside them.
uint64_t interesting(Random& random) {
  static constexpr uint64_t kTurns[] = {0,
                                        1,
                                        2,
                                        4,
                                        7,
                                        8,
                                        15,
                                        16,
                                        31,
                                        32,
                                        48,
                                        56,
                                        57,
                                        63,
                                        64,
                                        127,
                                        128,
                                        255,
                                        256,
                                        4096,
                                        0x7fff,
                                        0x8000,
                                        0xffff,
                                        0x7fffffff,
                                        0x80000000,
                                        0xffffffff,
                                        0x100000000,
                                        0x7fffffffffffffff,
                                        0x8000000000000000};
  switch (random.pick(8)) {
    case 0:
      return random.bits() >> random.pick(64);
    case 1:
      return random.pick(64);
    case 2:  // the two halves know nothing of each other
      return kTurns[random.pick(std::size(kTurns))] << 32 | (random.bits() & 0xff);
    case 3:
      return ~kTurns[random.pick(std::size(kTurns))];
    default: {
      const uint64_t turn = kTurns[random.pick(std::size(kTurns))];
      return turn + static_cast<uint64_t>(int64_t{random.one_of(0, 0, 1, -1)});
    }
  }
}

void fill(Random& random, std::vector<std::byte>& bytes) {
  for (size_t at = 0; at < bytes.size();) {
    const uint64_t value = interesting(random);
    const size_t some = std::min<size_t>(bytes.size() - at, size_t{1} << random.one_of(0, 2, 3, 3));
    std::memcpy(bytes.data() + at, &value, some);
    at += some;
  }
}

struct Iterator {
  int32_t current;
  int32_t end;
};
Iterator& iterator(uint64_t at) { return *reinterpret_cast<Iterator*>(at); }

uint64_t iter_new(uint64_t at, uint64_t start, uint64_t end, uint64_t, uint64_t, RunContext* run) {
  Iterator& it = iterator(at);
  it = {0, 0};
  state_of(run).given.emplace(at, sizeof(int32_t));
  const auto from = static_cast<int32_t>(start), to = static_cast<int32_t>(end);
  if (from > to) return number(-EINVAL);
  if (int64_t{to} - from > int64_t{kMostTurns}) return number(-E2BIG);
  it.current = static_cast<int32_t>(static_cast<uint32_t>(from) - 1);
  it.end = to;
  return 0;
}

uint64_t iter_next(uint64_t at, uint64_t, uint64_t, uint64_t, uint64_t, RunContext*) {
  Iterator& it = iterator(at);
  if (static_cast<int64_t>(it.current) + 1 >= it.end) {
    it = {0, 0};
    return 0;
  }
  ++it.current;
  return at;
}

uint64_t iter_destroy(uint64_t at, uint64_t, uint64_t, uint64_t, uint64_t, RunContext* run) {
  iterator(at) = {0, 0};
  state_of(run).given.erase({at, sizeof(int32_t)});
  return 0;
}

uint64_t lookup(uint64_t map, uint64_t key, uint64_t, uint64_t, uint64_t, RunContext* run) {
  const auto& bound = *reinterpret_cast<const jit::BoundMap*>(map);
  const auto value =
      reinterpret_cast<uint64_t>(bound.map->lookup(reinterpret_cast<const void*>(key), 0));
  if (value != 0 && bound.kind == jit::MapKind::hash) state_of(run).values.insert(value);
  return value;
}

// A value that somebody still points to stays where it is when its key goes, or gets another one;
// so does the key that a callback was given.
void remember(uint64_t map, uint64_t key, RunContext* run) {
  const uint64_t value = lookup(map, key, 0, 0, 0, run);
  const auto& bound = *reinterpret_cast<const jit::BoundMap*>(map);
  if (bound.kind != jit::MapKind::hash) return;
  jit::Map& elements = *bound.map;
  for (uint32_t n = 0; value != 0 && n < elements.places(); ++n)
    if (const auto element = elements.at(n, 0); reinterpret_cast<uint64_t>(element.value) == value)
      state_of(run).keys.insert(reinterpret_cast<uint64_t>(element.key));
}

uint64_t update(uint64_t map, uint64_t key, uint64_t value, uint64_t flags, uint64_t,
                RunContext* run) {
  remember(map, key, run);
  return jit::helpers::map_update_elem(map, key, value, flags, 0, run);
}

uint64_t erase(uint64_t map, uint64_t key, uint64_t, uint64_t, uint64_t, RunContext* run) {
  remember(map, key, run);
  return jit::helpers::map_delete_elem(map, key, 0, 0, 0, run);
}

// Records are pieces of memory of their own, so that what lies behind one is nobody's.
uint64_t reserve(uint64_t, uint64_t size, uint64_t flags, uint64_t, uint64_t, RunContext* run) {
  constexpr size_t kMostRecords = 64;
  WorldRun& state = state_of(run);
  if (flags != 0 || size > kRingBytes || state.records.size() >= kMostRecords) return 0;
  auto& record = state.records.emplace_back(
      std::make_unique<std::vector<std::byte>>(std::max<uint64_t>(size, 1)));
  const auto give_up = [](void*, RunContext*) {};
  if (!run->held.add(record->data(), give_up)) return 0;
  const auto address = reinterpret_cast<uint64_t>(record->data());
  state.given.emplace(address, size);
  return address;
}

// Nothing may be done with a record afterwards; its memory stays, so that no other gets its
// address.
std::span<const std::byte> take_back(uint64_t at, WorldRun& state) {
  state.held.remove(reinterpret_cast<void*>(at));
  const auto given = state.given.lower_bound({at, 0});
  if (given != state.given.end() && given->first == at) state.given.erase(given);
  for (const auto& record : state.records)
    if (reinterpret_cast<uint64_t>(record->data()) == at) return *record;
  return {};
}

uint64_t submit(uint64_t at, uint64_t, uint64_t, uint64_t, uint64_t, RunContext* run) {
  WorldRun& state = state_of(run);
  const auto record = take_back(at, state);
  state.submitted.insert(state.submitted.end(), record.begin(), record.end());
  return 0;
}

uint64_t discard(uint64_t at, uint64_t, uint64_t, uint64_t, uint64_t, RunContext* run) {
  take_back(at, state_of(run));
  return 0;
}

uint64_t loop(uint64_t turns, uint64_t callback, uint64_t data, uint64_t flags, uint64_t,
              RunContext* run) {
  if (flags != 0) return number(-EINVAL);
  if (static_cast<uint32_t>(turns) > kMostTurns) {
    state_of(run).kernel_differs = true;  // where it puts the loop in line, 32 bits of this remain
    return number(-E2BIG);
  }
  for (uint32_t n = 0; n < static_cast<uint32_t>(turns); ++n) {
    if (!jit::take_turn(run)) return 0;
    const uint64_t stop = run->program->call_back(callback, {n, data, 0, 0, 0}, *run);
    if (run->ended) return 0;
    if (stop != 0) return n + 1;
  }
  return static_cast<uint32_t>(turns);
}

uint64_t prandom(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, RunContext* run) {
  return static_cast<uint32_t>(interesting(state_of(run).random));
}

jit::FunctionDesc with_body(const jit::FunctionDesc& known, jit::HelperFn body) {
  jit::FunctionDesc function = known;
  if (body != nullptr) function.function = body;
  return function;
}

struct Body {
  const char* name;
  jit::HelperFn function;
};
// In the order of Kfunc. Null: the catalogue's own.
constexpr Body kKfuncs[] = {
    {"bpf_iter_num_new", iter_new},         {"bpf_iter_num_next", iter_next},
    {"bpf_iter_num_destroy", iter_destroy}, {"bpf_preempt_disable", nullptr},
    {"bpf_preempt_enable", nullptr},        {"bpf_rcu_read_lock", nullptr},
    {"bpf_rcu_read_unlock", nullptr},
};
constexpr std::pair<int32_t, jit::HelperFn> kHelpers[] = {
    {BPF_FUNC_map_lookup_elem, lookup},
    {BPF_FUNC_map_update_elem, update},
    {BPF_FUNC_map_delete_elem, erase},
    {BPF_FUNC_for_each_map_elem, nullptr},
    {BPF_FUNC_spin_lock, nullptr},
    {BPF_FUNC_spin_unlock, nullptr},
    {BPF_FUNC_ringbuf_reserve, reserve},
    {BPF_FUNC_ringbuf_submit, submit},
    {BPF_FUNC_ringbuf_discard, discard},
    {BPF_FUNC_get_prandom_u32, prandom},
    {BPF_FUNC_loop, loop},
};

struct Functions {
  std::vector<jit::FunctionDesc> all;
  jit::CallTable table;

  Functions() {
    all.reserve(std::size(kKfuncs) + std::size(kHelpers));
    for (const Body& body : kKfuncs)
      table.kfuncs.push_back(
          &all.emplace_back(with_body(*jit::find_kfunc(body.name), body.function)));
    for (const auto& [helper, body] : kHelpers)
      for (const jit::FunctionDesc& known : jit::catalogue()) {
        if (known.helper != helper) continue;
        const auto n = static_cast<size_t>(helper);
        table.helpers.resize(std::max(table.helpers.size(), n + 1));
        table.helpers[n] = &all.emplace_back(with_body(known, body));
      }
  }
};

jit::MapDef map_def(const char* name, jit::MapKind kind, uint32_t type, uint32_t value_size,
                    uint32_t entries) {
  jit::MapDef def;
  def.name = name;
  def.kind = kind;
  def.type = type;
  def.key_size = kind == jit::MapKind::arena ? 0 : 4;
  def.value_size = value_size;
  def.max_entries = entries;
  return def;
}

std::vector<jit::MapDef> map_defs() {
  using jit::MapKind;
  std::vector<jit::MapDef> defs = {
      map_def("arena", MapKind::arena, kBpfMapTypeArena, 0, 2 * jit::TestArena::kPages),
      map_def(".bss", MapKind::bss, BPF_MAP_TYPE_ARRAY, kBssBytes, 1),
      map_def(".rodata", MapKind::rodata, BPF_MAP_TYPE_ARRAY, kRodataBytes, 1),
      map_def("four", MapKind::array, BPF_MAP_TYPE_ARRAY, kElementBytes, kElements),
      map_def("hash", MapKind::hash, BPF_MAP_TYPE_HASH, kElementBytes, kElements),
      map_def("locked", MapKind::array, BPF_MAP_TYPE_ARRAY, kElementBytes, 2),
      map_def("ring", MapKind::ringbuf, BPF_MAP_TYPE_RINGBUF, 0, kRingBytes)};
  defs[kRing].key_size = 0;
  defs[kLocked].fields = {{jit::MapField::Kind::spin_lock, 0, kLockBytes}};
  defs[kRodata].initial.resize(kRodataBytes, std::byte{5});
  return defs;
}

// To map 4 GiB of addresses and give them back takes longer than most programs run, with the
// sanitizers a hundred times. So arenas are used again, each after some others, so that two runs
// behind each other still have different addresses.
constexpr size_t kUnusedArenas = 3;
std::deque<std::unique_ptr<jit::TestArena>>& unused_arenas() {
  static std::deque<std::unique_ptr<jit::TestArena>> unused;
  return unused;
}

std::unique_ptr<jit::TestArena> take_arena() {
  auto& unused = unused_arenas();
  if (unused.size() < kUnusedArenas) return std::make_unique<jit::TestArena>();
  auto arena = std::move(unused.front());
  unused.pop_front();
  arena->reset();
  return arena;
}

}  // namespace

jit::Object make_world() {
  jit::Object object;
  object.license = "GPL";
  object.maps = map_defs();
  object.arena = kArena;
  for (const Body& body : kKfuncs) object.kfuncs.push_back({body.name, false});
  object.programs.resize(1);
  object.programs[0].name = "fuzz";
  object.programs[0].section = "syscall";
  return object;
}

const jit::CallTable& world_functions() {
  static const Functions functions;
  return functions.table;
}

Memory::~Memory() { unused_arenas().push_back(std::move(arena_)); }

Memory::Memory(jit::ProgramType type, uint64_t seed)
    : arena_(take_arena()),
      bss_(kBssBytes),
      rodata_(kRodataBytes, std::byte{5}),
      array_(size_t{kElementBytes} * kElements),
      locked_(size_t{kElementBytes} * 2),
      ctx_(kCtxBytes) {
  Random random(seed);
  const auto defs = map_defs();
  hash_.resize(jit::map_bytes(defs[kHash], 1));
  for (auto* bytes : {&bss_, &array_, &ctx_, &locked_}) fill(random, *bytes);
  for (size_t n = 0; n < locked_.size(); n += kElementBytes)
    jit::clear_fields(locked_.data() + n, defs[kLocked]);
  const std::span<std::byte> values[] = {{}, bss_, rodata_, array_, hash_, locked_, {}};
  for (size_t n = 0; n < defs.size(); ++n) add(defs[n], values[n]);
  array_key_ = maps_[kArray]->map->at(0, 0).key;
  for (uint32_t key = 0; key < kElements; key += 2) {
    std::vector<std::byte> value(kElementBytes);
    fill(random, value);
    maps_[kHash]->map->update(&key, value.data(), jit::kAny, 0);
  }
  if (!jit::takes_packets(type)) return;
  // Ends where a comparison of the program may just fail.
  packet_bytes_.resize(static_cast<size_t>(ETH_HLEN + random.one_of(0, 0, 1, 2, 6, 16, 20, 50)));
  fill(random, packet_bytes_);
  packet_bytes_[12] = packet_bytes_[13] = std::byte{0};  // no protocol whose header must be there
  packet_ = std::make_unique<jit::PacketContext>(
      jit::PacketContext::create(type, {}, packet_bytes_).value());
}

void Memory::add(const jit::MapDef& def, std::span<std::byte> memory) {
  auto bound = std::make_unique<jit::BoundMap>();
  bound->kind = def.kind;
  bound->name = def.name;
  bound->value = memory.data();
  bound->key_size = def.key_size;
  bound->value_size = def.value_size;
  bound->max_entries = def.max_entries;
  bound->read_only = jit::is_read_only(def.kind);
  bound->fields = def.fields;
  if (jit::has_elements(def.kind))
    bound->map = elements_.emplace_back(jit::open_map(def, memory, 1, true)).get();
  maps_.push_back(std::move(bound));
}

jit::Binding Memory::binding() const {
  jit::Binding binding;
  for (const auto& map : maps_) binding.maps.push_back(map.get());
  binding.functions = &world_functions();
  binding.arena = arena_->view();
  return binding;
}

std::vector<std::byte> Memory::visible() {
  std::vector<std::byte> all;
  for (const auto* bytes : {&bss_, &rodata_, &array_, &hash_, &locked_, &ctx_, &packet_bytes_})
    all.insert(all.end(), bytes->begin(), bytes->end());
  if (packet_) {  // what a caller gets back of the context
    const auto ctx = packet_->memory().first(sizeof(__sk_buff));
    all.insert(all.end(), ctx.begin(), ctx.end());
  }
  const std::byte* pages = arena_->at(jit::TestArena::kPresent);
  all.insert(all.end(), pages, pages + jit::TestArena::kPages * kPageSize);
  return all;
}

}  // namespace uarena::fuzz
