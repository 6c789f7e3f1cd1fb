// The list of online nodes is a few bytes of sysfs, read once: nodes of a running machine hardly
// ever change, and what depends on them here is only an answer.
#include "broker/numa.h"

#include <charconv>
#include <fstream>
#include <string>

namespace uarena::broker {
namespace {

constexpr unsigned kMaxNodes = 1024;  // MAX_NUMNODES of the largest kernels

std::vector<bool> read_online_nodes() {
  std::ifstream file("/sys/devices/system/node/online");
  std::string line;
  std::getline(file, line);
  std::vector<bool> nodes = parse_node_list(line);
  return nodes.empty() ? std::vector<bool>{true} : nodes;
}

}  // namespace

std::vector<bool> parse_node_list(std::string_view list) {
  std::vector<bool> nodes;
  const char* at = list.data();
  const char* const end = at + list.size();
  while (at != end) {
    unsigned first = 0;
    auto [after, error] = std::from_chars(at, end, first);
    if (error != std::errc() || first >= kMaxNodes) return {};
    unsigned last = first;
    if (after != end && *after == '-') {
      const auto range = std::from_chars(after + 1, end, last);
      if (range.ec != std::errc() || last < first || last >= kMaxNodes) return {};
      after = range.ptr;
    }
    if (after != end && *after++ != ',') return {};
    if (nodes.size() <= last) nodes.resize(last + 1);
    for (unsigned node = first; node <= last; ++node) nodes[node] = true;
    at = after;
  }
  return nodes;
}

bool node_allowed(int node_id) {
  if (node_id == -1) return true;
  static const std::vector<bool> online = read_online_nodes();
  return node_id >= 0 && static_cast<size_t>(node_id) < online.size() &&
         online[static_cast<size_t>(node_id)];
}

}  // namespace uarena::broker
