// SPDX-License-Identifier: MIT
// A client in C++ that touches single pages of an arena, and shows what a touch comes to: a value,
// a new page, or a SIGSEGV with the exact address.
//
//   toucher [--socket PATH] [--handler] ARENA read PAGE
//   toucher [--socket PATH] [--handler] ARENA write PAGE VALUE
//   toucher [--socket PATH] [--handler] ARENA --hold
//   With --exact before ARENA, a SEGV_ON_FAULT arena is attached with UARENA_EXACT.
//
// PAGE counts from the arena's start; the word that is read or written is its first eight bytes.
// Every touch answers one line:
//
//   ok page=P address=0x… value=V         the word as it was read or written
//   segv si_addr=0x… si_code=N            with --handler (or sigbus …, where the broker may not
//                                         queue signals to this process)
//
// --hold first prints `attached base=0x… pages=N pid=P`, then obeys lines of standard input,
// `read PAGE`, `write PAGE VALUE`, `quit`, until it ends. With --handler it goes on after a signal,
// by siglongjmp; without, the signal ends the process, as it ends any program.
//
// Exit status: 0 done, 1 failed, 2 usage, 3 the one touch was a signal (--handler).
#include <unistd.h>

#include <cerrno>
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "uarena.hpp"

namespace {

constexpr int kFailed = 1, kUsage = 2, kSignal = 3;

struct Options {
  const char* socket = nullptr;
  std::string arena;
  bool handler = false;
  bool exact = false;
  bool hold = false;
  std::vector<std::string> touch;  // the words after ARENA
};

[[noreturn]] void usage(const std::string& problem) {
  std::cerr << "toucher: " << problem
            << "\nusage: toucher [--socket PATH] [--handler] [--exact] ARENA "
               "(read PAGE | write PAGE VALUE | --hold)\n";
  std::exit(kUsage);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i++) {
    std::string word = argv[i];
    if (word == "--socket" && i + 1 < argc)
      options.socket = argv[++i];
    else if (word == "--handler")
      options.handler = true;
    else if (word == "--exact")
      options.exact = true;
    else if (word == "--hold")
      options.hold = true;
    else if (word.starts_with('-'))
      usage("unknown or incomplete option " + word);
    else if (options.arena.empty())
      options.arena = word;
    else
      options.touch.push_back(word);
  }
  if (options.arena.empty()) usage("the name of an arena is missing");
  if (options.hold == !options.touch.empty()) usage("either one touch or --hold");
  return options;
}

bool number(const std::string& text, uint64_t most, uint64_t* value) {
  char* end = nullptr;
  errno = 0;
  *value = std::strtoull(text.c_str(), &end, 0);
  return !text.empty() && text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 &&
         *value <= most;
}

// Where a signal inside a touch goes. The touch runs in this thread and makes no calls, so that
// leaving it by a jump leaves nothing half done.
sigjmp_buf touch_again;
volatile sig_atomic_t touching = 0;
volatile sig_atomic_t caught_signal = 0;
volatile sig_atomic_t caught_code = 0;
void* volatile caught_address = nullptr;

void on_signal(int signal, siginfo_t* info, void*) {
  if (touching == 0) {  // not one of ours: a bug, which may end the process
    std::signal(signal, SIG_DFL);
    return;
  }
  touching = 0;
  caught_signal = signal;
  caught_code = info->si_code;
  caught_address = info->si_addr;
  siglongjmp(touch_again, 1);
}

// With `own` ours; without, the system's default, whatever a sanitizer's runtime put there before.
void install_handler(bool own) {
  struct sigaction action = {};
  if (own) {
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO;
  } else {
    action.sa_handler = SIG_DFL;
  }
  sigemptyset(&action.sa_mask);
  for (int signal : {SIGSEGV, SIGBUS}) {
    if (::sigaction(signal, &action, nullptr) < 0) {
      std::perror("toucher: sigaction");
      std::exit(kFailed);
    }
  }
}

// One access. False: it came to a signal, which on_signal has noted.
bool access_word(volatile uint64_t* word, bool write, uint64_t* value) {
  volatile uint64_t result = *value;
  if (sigsetjmp(touch_again, 1) != 0) return false;
  touching = 1;
  if (write)
    *word = result;
  else
    result = *word;
  touching = 0;
  *value = result;
  return true;
}

// The answer to one touch; *done is false when it was a signal or no touch at all.
std::string answer(const std::vector<std::string>& words, const uarena_info& arena, bool* done) {
  *done = false;
  bool write = !words.empty() && words[0] == "write";
  uint64_t page = 0, value = 0;
  if (words.size() != (write ? 3u : 2u) || (!write && words[0] != "read"))
    return "error: allowed are read PAGE, write PAGE VALUE, quit";
  if (!number(words[1], arena.max_entries - 1, &page))
    return "error: PAGE " + words[1] + ": allowed are 0.." + std::to_string(arena.max_entries - 1);
  if (write && !number(words[2], UINT64_MAX, &value))
    return "error: VALUE " + words[2] + ": allowed are numbers of 64 bits";

  uint64_t address = arena.user_vm_start + page * UARENA_PAGE_SIZE;
  std::ostringstream out;
  *done = access_word(reinterpret_cast<volatile uint64_t*>(address), write, &value);
  if (*done)
    out << "ok page=" << page << " address=0x" << std::hex << address << std::dec
        << " value=" << value;
  else
    out << (caught_signal == SIGSEGV ? "segv" : "sigbus") << " si_addr=0x" << std::hex
        << reinterpret_cast<uintptr_t>(caught_address) << std::dec << " si_code=" << caught_code;
  return out.str();
}

void obey_lines(const uarena_info& arena) {
  std::cout << "attached base=0x" << std::hex << arena.user_vm_start << std::dec
            << " pages=" << arena.max_entries << " pid=" << ::getpid() << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    std::vector<std::string> words;
    for (std::string word; in >> word;) words.push_back(word);
    if (!words.empty() && words[0] == "quit") return;
    bool done = false;
    std::cout << answer(words, arena, &done) << std::endl;
  }
}

int touch_once(const std::vector<std::string>& words, const uarena_info& arena) {
  bool done = false;
  std::string line = answer(words, arena, &done);
  if (line.starts_with("error: ")) usage(line.substr(7));
  std::cout << line << std::endl;
  return done ? 0 : kSignal;
}

}  // namespace

int main(int argc, char** argv) {
  Options options = parse(argc, argv);
  install_handler(options.handler);
  try {
    uarena::Client client(options.socket);
    uarena_info arena = client.find(options.arena);
    uarena::Mapping mapping = client.attach(arena.id, options.exact ? UARENA_EXACT : 0);
    if (!options.hold) return touch_once(options.touch, arena);
    obey_lines(arena);
  } catch (const uarena::ClientError& error) {
    std::cerr << "toucher: " << error.what() << "\n";
    return kFailed;
  }
  return 0;
}
