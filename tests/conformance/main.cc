// uarena-bpf-conformance: a plugin for public conformance suites. The suite's runner starts it once
// per test: the test's memory is an argument and its program comes in on standard input, both as
// bytes in hexadecimal; R0 goes out. What can't be run is a sentence and status 1; so is a program
// that accesses what is not its own, or that does not end, since the runner has no limit.
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <iterator>

#include "tests/conformance/suite_program.h"

namespace {

using namespace uarena;

constexpr rlim_t kSeconds = 5;  // of computing; a test of the suite takes less than one

int refuse(const std::string& why) {
  fmt::print(stderr, "uarena-bpf-conformance: {}\n", why);
  return 1;
}

// In a signal handler.
[[noreturn]] void die_of(int signal) {
  const char* why = signal == SIGXCPU
                        ? "uarena-bpf-conformance: the program ran for 5 s and was ended\n"
                        : "uarena-bpf-conformance: the program accesses what is not its own\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, why, strlen(why));
  ::_exit(1);
}

void limit_the_program() {
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGXCPU}) std::signal(signal, die_of);
  const rlimit limit{kSeconds, kSeconds + 1};
  ::setrlimit(RLIMIT_CPU, &limit);
}

// Two digits a byte, anything blank between.
Result<std::vector<std::byte>> bytes_of_hex(const std::string& text) {
  std::vector<std::byte> bytes;
  std::string digits;
  for (const char c : text) {
    if (std::isspace(static_cast<unsigned char>(c))) continue;
    if (!std::isxdigit(static_cast<unsigned char>(c)))
      return fail(EINVAL, "`{}` is no hexadecimal digit", c);
    digits += c;
    if (digits.size() < 2) continue;
    bytes.push_back(static_cast<std::byte>(std::stoul(digits, nullptr, 16)));
    digits.clear();
  }
  if (!digits.empty()) return fail(EINVAL, "half a byte at the end of the hexadecimal digits");
  return bytes;
}

int run(const std::string& memory_text, bool elf, jit::Mode mode) {
  auto memory = bytes_of_hex(memory_text);
  if (!memory) return refuse("memory: " + memory.error().message);
  const std::string input(std::istreambuf_iterator<char>(std::cin), {});
  const auto bytes = bytes_of_hex(input);
  if (!bytes) return refuse("program: " + bytes.error().message);
  const auto program =
      elf ? conformance::program_of_elf(*bytes) : conformance::program_of_bytes(*bytes);
  if (!program) return refuse("program: " + program.error().message);
  limit_the_program();
  const auto executable = conformance::make_executable(*program, *memory, mode);
  if (!executable) return refuse("program: " + executable.error().message);
  jit::RunContext context;
  const uint64_t r0 = (*executable)->run({}, context);
  if (context.ended)
    return refuse("the program ended at " + (*executable)->place_of(context.ended_at));
  fmt::print("{:x}\n", r0);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "uarena-bpf-conformance: runs one program of a BPF conformance suite, which comes in "
      "on standard input as hexadecimal bytes, and prints its R0"};
  std::string memory;
  bool elf = false, interpret = false;
  app.add_option("MEMORY", memory, "bytes in hexadecimal: R1 points to them, R2 is their number");
  app.add_flag("--elf", elf, "standard input is an ELF object with the symbol main in .text");
  app.add_flag("--interpret", interpret, "with the interpreter (default: with the compiler)");
  CLI11_PARSE(app, argc, argv);
  try {
    return run(memory, elf, interpret ? jit::Mode::interpret : jit::Mode::compile);
  } catch (const std::exception& error) {
    return refuse(error.what());
  }
}
