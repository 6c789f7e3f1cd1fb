// What the loader makes of an ELF file: programs as instructions whose references are resolved to
// indices, the maps they use, the kfuncs they call, and where each instruction came from in the
// source. Everything in it has been bounds-checked once, here; the verifier decides whether it is
// safe. `load_object` is the one decoding point for object files, which are untrusted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ipc/base/result.h"
#include "jit/isa.h"

namespace uarena::jit {

enum class MapKind {
  arena,
  array,
  percpu_array,
  hash,
  lru_hash,
  ringbuf,
  data,
  bss,
  rodata,
  kconfig,  // values of the kernel's configuration that the object asks for; read-only
  other,
};

// Maps whose bytes come from the object or the loader, and never change.
inline constexpr bool is_read_only(MapKind kind) {
  return kind == MapKind::rodata || kind == MapKind::kconfig;
}

// A part of a map's value that only helpers may touch.
struct MapField {
  enum class Kind { spin_lock, res_spin_lock, timer };
  Kind kind = Kind::spin_lock;
  uint32_t offset = 0;  // bytes from the start of the value
  uint32_t size = 0;
};

struct MapDef {
  std::string name;  // ".bss" and the like for the internal ones
  MapKind kind = MapKind::other;
  uint32_t type = 0;  // BPF_MAP_TYPE_*; internal maps are arrays of one element
  uint32_t key_size = 0;
  uint32_t value_size = 0;
  uint32_t max_entries = 0;
  uint32_t map_flags = 0;
  uint64_t map_extra = 0;
  // Internal maps: the section's bytes (value_size of them). Arena: the bytes of .addr_space.1,
  // which go to offset 0 of the arena (K80).
  std::vector<std::byte> initial;
  std::vector<MapField> fields;  // ascending offset
  // Ids in Object::btf of what the map holds; 0: not said. The kernel wants them for maps with
  // fields.
  uint32_t key_type = 0;
  uint32_t value_type = 0;
};

// A kernel function that the object calls, or asks for, by name (an extern in .ksyms).
struct KfuncRef {
  std::string name;
  bool weak = false;
};

struct LineInfo {
  uint32_t insn = 0;  // first instruction of the line, an index into ProgramDef::insns
  uint32_t line = 0;
  uint32_t column = 0;
  std::string file;
  std::string text;  // the source line itself
};

// What a global function says of a parameter, by its type and its tags (K75).
struct Param {
  enum class Kind {
    scalar,
    arena,           // __arg_arena: an arena pointer or a number
    ctx,             // the program's context
    memory,          // `size` bytes, not NULL (__arg_nonnull)
    memory_or_null,  // `size` bytes, or NULL
    unsupported,
  };
  Kind kind = Kind::scalar;
  uint32_t size = 0;
  std::string type;  // as the source has it, for messages
};

// A function inside ProgramDef::insns. Element 0 is the entry.
struct Subprog {
  std::string name;
  uint32_t start = 0;
  uint32_t count = 0;
  bool global = false;       // global linkage (verified on its own in the kernel)
  uint32_t btf_func_id = 0;  // type id of its BTF FUNC; 0: none
  // Only of a global function with a type: its parameters, and whether it gives a number.
  std::vector<Param> params;
  bool returns_scalar = true;
};

// One program: the entry function followed by every subprogram that it reaches (each once), so
// that pseudo calls are relative within this array. ld_imm64 and calls carry the pseudo source
// registers of isa.h with indices into the Object.
struct ProgramDef {
  std::string name;
  std::string section;
  bool optional = false;  // the section began with '?'
  std::vector<Insn> insns;
  std::vector<Subprog> subprogs;
  std::vector<LineInfo> lines;  // ascending insn
};

struct Object {
  std::string license;
  std::vector<MapDef> maps;
  std::vector<KfuncRef> kfuncs;
  std::vector<ProgramDef> programs;
  std::vector<std::byte> btf;  // the .BTF section as it stands, for the kernel and for typed dumps
  // Index into maps of the arena, if the object has one (there is at most one, K78).
  std::optional<size_t> arena;
};

inline constexpr size_t kMaxObjectBytes = size_t{64} << 20;

// Parses an object as clang-19 writes it. Errors name the section, symbol or instruction.
Result<Object> load_object(std::span<const std::byte> elf_untrusted);

// The line that instruction `insn` belongs to, or nullptr.
const LineInfo* line_of(const ProgramDef& program, size_t insn);

}  // namespace uarena::jit
