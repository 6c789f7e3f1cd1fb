// What programs may call is what uarena_bpf_helpers.h and uarena_bpf.h declare, with the same
// numbers.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <regex>

#include "jit/catalogue.h"

namespace uarena::jit {
namespace {

std::string headers() {
  std::string text;
  for (const char* name : {"uarena_bpf.h", "uarena_bpf_helpers.h"}) {
    std::ifstream file(std::string(UARENA_SOURCE_DIR) + "/ipc/client/include/" + name);
    text.append(std::istreambuf_iterator<char>(file), {});
  }
  return text;
}

TEST(Declared, EveryHelperWithItsNumber) {
  const std::string text = headers();
  size_t count = 0;
  for (const FunctionDesc* helper : offered_helpers()) {
    if (helper == nullptr) continue;
    ++count;
    const std::regex declaration(
        fmt::format(R"(\(\*const {}\)\([^;]*\) = \(void \*\){};)", helper->name, helper->helper));
    EXPECT_TRUE(std::regex_search(text, declaration)) << helper->name << " " << helper->helper;
  }
  EXPECT_GT(count, 25u);
}

TEST(Declared, EveryHelperThatIsDeclaredIsOffered) {
  const std::string text = headers();
  const auto helpers = offered_helpers();
  const std::regex declaration(R"(\(\*const (\w+)\)\([^;]*\) = \(void \*\)(\d+);)");
  for (std::sregex_iterator at(text.begin(), text.end(), declaration), end; at != end; ++at) {
    const auto number = static_cast<size_t>(std::stoul((*at)[2]));
    ASSERT_LT(number, helpers.size()) << (*at)[1];
    ASSERT_NE(helpers[number], nullptr) << (*at)[1];
    EXPECT_EQ(helpers[number]->name, std::string((*at)[1]));
  }
}

TEST(Declared, EveryKernelFunction) {
  const std::string text = headers();
  for (const FunctionDesc& function : catalogue()) {
    if (function.helper != 0) continue;
    const std::regex declaration(fmt::format(R"(\b{}\([^;()]*\)\s+__ksym __weak;)", function.name));
    EXPECT_TRUE(std::regex_search(text, declaration)) << function.name;
  }
}

// By name alone.
TEST(Declared, EveryKernelFunctionIsKnown) {
  const std::string text = headers();
  const std::regex declaration(R"((\w+)\([^;()]*\)\s+__ksym __weak;)");
  size_t count = 0;
  for (std::sregex_iterator at(text.begin(), text.end(), declaration), end; at != end; ++at) {
    ++count;
    EXPECT_NE(find_kfunc(std::string((*at)[1])), nullptr) << (*at)[1];
  }
  EXPECT_GT(count, 12u);
}

}  // namespace
}  // namespace uarena::jit
