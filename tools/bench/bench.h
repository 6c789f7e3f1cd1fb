// The benchmark's frame: a work is done by us and by its peer, alternately, in one run, and what
// counts is the median of the ratios of the pairs, since the machine's speed drifts from one second
// to the next. Works are in works_*.cc; main.cc chooses, prints and writes the JSON.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ipc/base/result.h"

namespace uarena::bench {

// Both sides of one work, set up. Each call does the work once and returns what one unit took.
struct Pair {
  std::function<Result<double>()> ours;
  std::function<Result<double>()> peer;
  std::function<Result<double>()> native = nullptr;  // the machine's own code, reported beside
};

struct Work {
  std::string name;       // fault.served.seq
  std::string what;       // one line for people
  std::string unit;       // "ns/page"
  std::string better;     // "lower" or "higher"
  std::string peer_name;  // "bpf_arena"
  std::function<Result<Pair>()> set_up;
  bool wakes = false;  // a sleeping CPU may have to be woken: measured with CPUs kept awake
};

struct Measured {
  std::string name, unit, better, peer_name;
  double ours = 0, peer = 0;  // medians
  double ratio = 0;           // median of ours/peer over the pairs
  double ratio_low = 0, ratio_high = 0;
  double native = 0;  // 0: there is none
};

// `rounds` pairs, ours first in every other one.
Result<Measured> measure(const Work& work, unsigned rounds);

std::vector<Work> page_works(const std::string& socket, const std::string& bpf_directory);
std::vector<Work> segv_works(const std::string& socket);
std::vector<Work> storm_works(const std::string& socket);
std::vector<Work> restart_works();
std::vector<Work> alloc_works(const std::string& socket, const std::string& bpf_directory);
std::vector<Work> program_works(const std::string& socket, const std::string& bpf_directory);
std::vector<Work> invoke_works(const std::string& socket, const std::string& bpf_directory,
                               pid_t broker);
std::vector<Work> code_works(const std::string& socket, const std::string& bpf_directory);
std::vector<Work> verify_works(const std::string& bpf_directory);
std::vector<Work> load_works(const std::string& bpf_directory);

uint64_t now_ns();
double median(std::vector<double> values);

}  // namespace uarena::bench
