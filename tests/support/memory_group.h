// A memory cgroup of a test's own. It is a child of this process's, which needs the memory
// controller of cgroup v1: v2 has no limits below a group with processes in it.
#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace uarena::testing {

// Where this process's memory controller is; "" without one of v1.
inline std::string own_memory_group() {
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t at = line.find(":memory:");
    if (at == line.npos) continue;
    const std::string path = "/sys/fs/cgroup/memory" + line.substr(at + strlen(":memory:"));
    if (::access((path + "/memory.oom_control").c_str(), W_OK) == 0) return path;
  }
  return "";
}

class MemoryGroup {
 public:
  MemoryGroup()
      : path_(own_memory_group() + "/uarena-test-" + std::to_string(::getpid()) + "-" +
              std::to_string(made_before()++)),
        made_(path_.front() == '/' && !own_memory_group().empty() &&
              ::mkdir(path_.c_str(), 0755) == 0) {}
  // Whoever was in it has ended, but perhaps only just.
  ~MemoryGroup() {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (made_ && ::rmdir(path_.c_str()) != 0 && std::chrono::steady_clock::now() < end)
      ::sched_yield();
    EXPECT_NE(::access(path_.c_str(), F_OK), 0) << path_ << " stays";
  }
  MemoryGroup(const MemoryGroup&) = delete;

  bool made() const { return made_; }
  bool set(const char* file, uint64_t value) const {
    std::ofstream out(path_ + "/" + file);
    out << value << std::flush;
    return out.good();
  }
  bool limit(uint64_t bytes) const { return set("memory.limit_in_bytes", bytes); }
  // Without it whatever is no user's page fault gets ENOMEM.
  bool without_killer() const { return set("memory.oom_control", 1); }
  bool enter() const { return set("cgroup.procs", static_cast<uint64_t>(::getpid())); }
  // Whoever this command becomes is in it from its beginning.
  std::vector<std::string> launcher() const {
    return {"/bin/sh", "-c", "echo $$ > " + path_ + "/cgroup.procs && exec \"$@\"", "sh"};
  }
  uint64_t used() const {
    uint64_t bytes = 0;
    std::ifstream(path_ + "/memory.usage_in_bytes") >> bytes;
    return bytes;
  }
  bool has_killed() const {
    std::stringstream text;
    text << std::ifstream(path_ + "/memory.oom_control").rdbuf();
    return text.str().find("oom_kill 0") == std::string::npos;
  }

 private:
  static std::atomic<int>& made_before() {
    static std::atomic<int> count{0};
    return count;
  }
  std::string path_;
  bool made_;
};

}  // namespace uarena::testing
