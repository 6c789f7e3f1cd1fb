// What every fuzzer needs around its idea: a loop for some seconds, progress, and a way back to the
// input that failed. Inputs are tried in a child process, and each is put into memory that the
// parent sees before it is tried: whatever the child dies of (a sanitizer, a signal, an input that
// takes too long or too much memory), the parent still has the input, saves it, and says how to run
// it again.
//
// This is no libFuzzer: the fuzzers build their inputs from what they know of programs,
// objects and messages, which random bytes with coverage find only after a long time, and so they
// are ordinary programs that run under either compiler, with the sanitizers or without.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tests/fuzz/random.h"

namespace uarena::fuzz {

// Where a target says what it is doing.
class Progress {
 public:
  virtual ~Progress() = default;
  // This is tried next; what is saved when it goes wrong.
  virtual void trying(std::span<const std::byte> input) = 0;
  // How far inputs get: the share of accepted ones, instructions that ran or were verified.
  virtual void accepted(uint64_t insns) = 0;
};

class Target {
 public:
  virtual ~Target() = default;
  virtual std::vector<std::byte> make(Random& random) = 0;
  // Empty: all is well. Otherwise what was wrong.
  virtual std::string run(std::span<const std::byte> input, Progress& progress) = 0;
};

// NAME [--seconds N] [--seed N] [--out DIR] [--replay FILE]... [--seeds DIR]
// Exit status: 0 fine, 1 a finding, 2 usage.
int fuzz_main(int argc, char** argv, const char* name, Target& target);

}  // namespace uarena::fuzz
