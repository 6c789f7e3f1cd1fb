#include "broker/memory_group.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string_view>

#include "ipc/base/page.h"

namespace uarena::broker {
namespace {

// v1 says "no limit" by the largest number of whole pages.
constexpr uint64_t kNoLimit = uint64_t{1} << 62;
// A broker that serves some clients has about 20 MiB, a full pool of runners and large programs
// several times that.
constexpr uint64_t kOwnBytes = uint64_t{64} << 20;
constexpr uint64_t kOwnShare = 32;  // and one part of so many

void lower(std::optional<uint64_t>& limit, std::string_view text) {
  uint64_t bytes = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  if (error == std::errc() && bytes < kNoLimit) limit = std::min(limit.value_or(bytes), bytes);
}

void lower_by_file(std::optional<uint64_t>& limit, const std::string& path) {
  std::string line;
  if (std::ifstream file(path); std::getline(file, line)) lower(limit, line);  // "max" is none
}

// The group's own files and those of all above it, up to where the hierarchy is mounted.
std::optional<uint64_t> limit_of_v2(const std::string& mount, std::string path) {
  std::optional<uint64_t> limit;
  for (;;) {
    lower_by_file(limit, mount + path + "/memory.max");
    lower_by_file(limit, mount + path + "/memory.high");
    const size_t above = path.rfind('/');
    if (above == path.npos) return limit;
    path.resize(above);
  }
}

// The kernel has looked at those above already.
std::optional<uint64_t> limit_of_v1(const std::string& mount, const std::string& path) {
  constexpr std::string_view kKey = "hierarchical_memory_limit ";
  std::optional<uint64_t> limit;
  // In a container the path may be the host's, and the mount the group itself.
  for (const std::string& name : {mount + path + "/memory.stat", mount + "/memory.stat"}) {
    std::ifstream file(name);
    for (std::string line; std::getline(file, line);)
      if (line.starts_with(kKey)) {
        lower(limit, std::string_view(line).substr(kKey.size()));
        return limit;
      }
  }
  return limit;
}

}  // namespace

std::optional<uint64_t> memory_group_limit(const MemoryGroupFiles& files) {
  std::ifstream groups(files.cgroup);
  std::optional<uint64_t> limit;
  const auto also = [&limit](std::optional<uint64_t> other) {
    if (other) limit = std::min(limit.value_or(*other), *other);
  };
  for (std::string line; std::getline(groups, line);) {  // ID:CONTROLLERS:PATH
    const size_t controllers = line.find(':');
    const size_t path = controllers == line.npos ? line.npos : line.find(':', controllers + 1);
    if (path == line.npos) continue;
    const std::string which = "," + line.substr(controllers + 1, path - controllers - 1) + ",";
    const std::string where = line.substr(path + 1);
    if (which == ",,") {
      also(limit_of_v2(files.v2, where));
      also(limit_of_v2(files.v2_hybrid, where));
    } else if (which.find(",memory,") != which.npos) {
      also(limit_of_v1(files.v1, where));
    }
  }
  return limit;
}

uint64_t pages_beside_broker(uint64_t group_bytes) {
  const uint64_t own = std::min(group_bytes / 2, kOwnBytes + group_bytes / kOwnShare);
  return (group_bytes - own) >> kPageShift;
}

}  // namespace uarena::broker
