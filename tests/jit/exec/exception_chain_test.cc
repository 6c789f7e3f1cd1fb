// A handler that was there before ours keeps the faults that are not the arena's, and ours stays
// installed. Alone in its program, because the process must not have met our handler before.
#include <csignal>

#include "jit/fault_safe.h"
#include "tests/jit/exec/test_arena.h"

namespace uarena::jit {
namespace {

volatile sig_atomic_t g_asked = 0;

// Makes the page that was touched accessible, so that the access succeeds when it is repeated.
void earlier_handler(int, siginfo_t* info, void*) {
  g_asked = g_asked + 1;
  const uint64_t page = reinterpret_cast<uint64_t>(info->si_addr) & kPageMask;
  ::mprotect(reinterpret_cast<void*>(page), kPageSize, PROT_READ | PROT_WRITE);
}

TEST(ExceptionChain, AnEarlierHandlerKeepsWhatIsNotTheArenas) {
  struct sigaction earlier = {};
  earlier.sa_sigaction = earlier_handler;
  earlier.sa_flags = SA_SIGINFO;
  ASSERT_EQ(::sigaction(SIGSEGV, &earlier, nullptr), 0);
  const TestArena arena;  // installs our handler

  auto page = MemoryMap::create(nullptr, kPageSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0,
                                "a page");
  ASSERT_TRUE(page);
  *reinterpret_cast<volatile int*>(page->data()) = 5;
  EXPECT_EQ(g_asked, 1);

  uint64_t value = 1;
  EXPECT_FALSE(load_arena(arena.view(), TestArena::kUnmapped, 0, 8, &value));
  EXPECT_EQ(value, 0U);
  EXPECT_EQ(g_asked, 1);
}

}  // namespace
}  // namespace uarena::jit
