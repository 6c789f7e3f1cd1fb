// What a path of the file system stands for, as a value:
//
//   /                              every arena of the broker, by name
//   /<arena>/info                  how the arena stands
//   /<arena>/pages                 which pages are taken, and by whom
//   /<arena>/mem                   its bytes
//   /<arena>/clients/<id>          one file per client that has it attached
//   /<arena>/programs/<id>/info    one directory per program that uses it
//
// A node names its arena by id and the broker by its epoch (broker_pool.h): an arena of a broker
// that has ended is never taken for another one that got the same id.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace uarena::inspectfs {

enum class Kind : uint8_t {
  root,
  arena,
  info,
  pages,
  memory,
  clients,
  client,
  programs,
  program,
  program_info,
};

struct Node {
  Kind kind = Kind::root;
  uint64_t epoch = 0;
  uint64_t arena = 0;   // id
  uint64_t object = 0;  // id of the client or program
  friend auto operator<=>(const Node&, const Node&) = default;
};

bool is_directory(Kind kind);

// The directory that it is in.
Node parent_of(const Node& node);

// st_ino: the same for the same node at any time, without anybody keeping a table of it.
uint64_t inode_number(const Node& node);

// The entries of a directory that do not depend on the broker.
struct FixedEntry {
  std::string_view name;
  Kind kind;
};
std::span<const FixedEntry> fixed_entries(Kind directory);

// An id as it is written in a name: decimal, no sign, no leading zero; so each has one name only.
std::optional<uint64_t> id_of_name(std::string_view name);

}  // namespace uarena::inspectfs
