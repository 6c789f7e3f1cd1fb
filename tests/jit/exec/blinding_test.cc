// Constants that must not be found in the code of programs whose authors are not trusted with it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "jit/x86_64/compiler.h"
#include "tests/jit/exec/program_builder.h"
#include "tests/jit/exec/run_code.h"

namespace uarena::jit {
namespace {

// Every kind of instruction that carries a number, each with this one.
constexpr uint32_t kNumber = 0x3c90c30f;
constexpr std::string_view kProgram =
    "r0 = 0x3c90c30f\n"
    "w1 = 0x3c90c30f\n"
    "r2 = 0x3c90c30f ll\n"
    "r3 = 0x3c90c30f00000000 ll\n"
    "r0 += 0x3c90c30f\nw0 -= 0x3c90c30f\nr0 *= 0x3c90c30f\nr0 |= 0x3c90c30f\nw0 &= 0x3c90c30f\n"
    "r0 ^= 0x3c90c30f\nr1 /= 0x3c90c30f\nw2 %= 0x3c90c30f\n"
    "*(u64 *)(r10 -8) = 0x3c90c30f\n*(u32 *)(r10 -16) = 0x3c90c30f\n"
    "if r0 == 0x3c90c30f goto out\nif w0 s> 0x3c90c30f goto out\nif r0 & 0x3c90c30f goto out\n"
    "r4 = *(u64 *)(r10 -8)\nr0 += r4\n"
    "out:\nr0 += r1\nr0 += r2\nr0 += r3\nexit\n";

size_t count_of_number(const std::vector<std::byte>& code) {
  std::byte wanted[sizeof kNumber];
  std::memcpy(wanted, &kNumber, sizeof kNumber);
  size_t count = 0;
  for (auto at = code.begin();; ++at, ++count) {
    at = std::search(at, code.end(), std::begin(wanted), std::end(wanted));
    if (at == code.end()) return count;
  }
}

std::vector<std::byte> code_of(x86_64::BlindingKey key) {
  const auto compiled = x86_64::compile(FixedProgramTestPeer::make(test::assemble_or_die(kProgram)),
                                        x86_64::Features::of_this_cpu(), key);
  EXPECT_TRUE(compiled);
  return compiled->code;
}

uint64_t result_of(const std::vector<std::byte>& code) {
  const auto block = (*ExecMemory::instance())->add(code);
  RunContext context;
  return run_code(*block, &context);
}

TEST(Blinding, NoConstantIsInTheCode) {
  const auto plain = code_of(0);
  EXPECT_GT(count_of_number(plain), 14U);
  for (int n = 0; n < 20; ++n) {
    const auto blinded = code_of(x86_64::new_blinding_key());
    EXPECT_EQ(count_of_number(blinded), 0U);
    EXPECT_EQ(result_of(blinded), result_of(plain));
  }
}

// Its length, too, says nothing of the key.
TEST(Blinding, IsAnotherOneEachTime) {
  const auto first = code_of(x86_64::new_blinding_key());
  const auto second = code_of(x86_64::new_blinding_key());
  EXPECT_EQ(first.size(), second.size());
  EXPECT_NE(first, second);
}

}  // namespace
}  // namespace uarena::jit
