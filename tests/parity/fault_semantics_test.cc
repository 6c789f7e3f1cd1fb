// docs/fault-semantics.md and docs/security.md name the tests that stand behind their rows: every
// one of them is there.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

namespace uarena::testing {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// "Suite.Name" of everything that matches, the suite and the name being the first two groups.
std::set<std::string> names(const std::string& text, const char* pattern) {
  const std::regex regex(pattern);
  std::set<std::string> found;
  for (std::sregex_iterator at(text.begin(), text.end(), regex), end; at != end; ++at)
    found.insert((*at)[1].str() + "." + (*at)[2].str());
  return found;
}

class NamedTests : public ::testing::TestWithParam<const char*> {};

TEST_P(NamedTests, Exist) {
  const auto named = names(text_of(fs::path(UARENA_SOURCE_DIR "/docs") / GetParam()),
                           R"(`([A-Z][A-Za-z]+)\.([A-Z][A-Za-z]+)`)");
  EXPECT_GT(named.size(), 30u);
  std::set<std::string> tests;
  for (const auto& entry : fs::recursive_directory_iterator(UARENA_SOURCE_DIR "/tests"))
    if (entry.path().extension() == ".cc")
      tests.merge(
          names(text_of(entry.path()), R"(TEST(?:_F|_P)?\(\s*([A-Za-z]+),\s*([A-Za-z]+)\s*\))"));
  for (const std::string& name : named) EXPECT_TRUE(tests.contains(name)) << name;
}

INSTANTIATE_TEST_SUITE_P(Documents, NamedTests,
                         ::testing::Values("fault-semantics.md", "security.md"),
                         [](const auto& test) {
                           const std::string name = test.param;
                           return name.starts_with("fault") ? "FaultSemantics" : "Security";
                         });

// And every test of a mapping's life stands in the document.
TEST(FaultSemantics, TheDocumentNamesTheTests) {
  const std::string document = text_of(UARENA_SOURCE_DIR "/docs/fault-semantics.md");
  for (const char* file : {"remapping_test.cc", "locking_test.cc", "life_test.cc",
                           "namespaces_test.cc", "waiting_test.cc", "system_calls_test.cc"})
    for (const std::string& name :
         names(text_of(fs::path(UARENA_SOURCE_DIR "/tests/parity") / file),
               R"(TEST(?:_F|_P)?\(\s*([A-Za-z]+),\s*([A-Za-z]+)\s*\))"))
      EXPECT_NE(document.find("`" + name + "`"), std::string::npos) << name << " in " << file;
}

}  // namespace
}  // namespace uarena::testing
