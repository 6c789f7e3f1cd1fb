// What is in the file system at this moment, without FUSE: names, attributes and texts, each asked
// of the broker when it is needed. Nothing is remembered between two calls.
//
// Errors: ENOENT, there is no such thing (any more); ESTALE, the node belongs to a broker that has
// ended; those of BrokerPool.
//
// Thread-safe.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tools/uarenafs/broker_pool.h"
#include "tools/uarenafs/mem_file.h"
#include "tools/uarenafs/node.h"

namespace uarena::inspectfs {

struct Entry {
  std::string name;
  Node node;
};

class Tree {
 public:
  explicit Tree(BrokerPool& broker);

  // The node of that name in a directory. That a client or program of a valid id exists is not
  // looked at here: attributes() tells.
  Result<Node> child(const Node& directory, std::string_view name);
  Result<std::vector<Entry>> entries(const Node& directory);
  // Everything that lstat shows; sizes of texts are those that they would have now.
  Result<struct stat> attributes(const Node& node);
  // A text file's content.
  Result<std::string> text(const Node& node);
  // An arena's bytes, to be read for as long as it is kept; ESTALE when the arena is gone.
  Result<std::unique_ptr<MemFile>> open_memory(const Node& node);

 private:
  struct Text {
    std::string text;
    uint32_t uid;
    std::optional<uarena_arena_info> contents_of = {};  // what is in this arena
  };

  template <typename Question>
  auto ask(const Node& node, Question&& question)
      -> std::invoke_result_t<Question, ipc::Inspector&>;
  Result<std::vector<Entry>> arenas();
  Result<uarena_arena_info> arena(const Node& node);
  Result<std::vector<uarena_client_info>> clients(const Node& node);
  Result<std::vector<uarena_prog_info>> programs(const Node& node);
  Result<Text> owned_text(const Node& node);
  struct stat common(const Node& node) const;

  BrokerPool& broker_;
  const timespec mounted_;
};

}  // namespace uarena::inspectfs
