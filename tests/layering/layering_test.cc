// The rooms and their arrows (ARCHITECTURE.md) are held by this test, not by good intentions: it
// reads every #include of the sources and rejects each that points the wrong way, and every use of
// a header that belongs to one place.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

struct Include {
  std::string file;  // relative to the root, with /
  int line;
  std::string target;
  bool quoted;
};

std::vector<Include> all_includes() {
  const fs::path root = UARENA_SOURCE_DIR;
  const std::regex pattern(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
  std::vector<Include> found;
  for (const char* room : {"ipc", "uffd", "jit", "broker", "tools"}) {
    for (const auto& entry : fs::recursive_directory_iterator(root / room)) {
      const std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cc" && extension != ".c" && extension != ".hpp")
        continue;
      std::ifstream in(entry.path());
      std::string text;
      for (int line = 1; std::getline(in, text); ++line) {
        std::smatch match;
        if (std::regex_search(text, match, pattern))
          found.push_back({fs::relative(entry.path(), root).generic_string(), line, match[2],
                           match[1] == "\""});
      }
    }
  }
  return found;
}

std::string room_of(const std::string& path) { return path.substr(0, path.find('/')); }

bool is_bpf(const std::string& path) { return path.ends_with(".bpf.c"); }

TEST(Layering, ArrowsGoOneWay) {
  const std::map<std::string, std::set<std::string>> allowed = {
      {"ipc", {"ipc"}},
      {"uffd", {"uffd", "ipc"}},
      {"jit", {"jit", "ipc"}},
      {"broker", {"broker", "uffd", "jit", "ipc"}},
      {"tools", {"tools", "uffd", "jit", "ipc"}},
  };
  const std::vector<Include> includes = all_includes();
  ASSERT_GT(includes.size(), 100u);
  int checked = 0;
  for (const Include& i : includes) {
    const std::string target = room_of(i.target);
    if (!i.quoted || !allowed.contains(target)) continue;
    ++checked;
    EXPECT_TRUE(allowed.at(room_of(i.file)).contains(target))
        << i.file << ":" << i.line << " includes " << i.target << ": " << room_of(i.file)
        << " may not know " << target;
  }
  EXPECT_GT(checked, 50);
}

// uffd and jit stand on the floor only, not on the transport above it.
TEST(Layering, UffdAndJitKnowOnlyTheBaseOfIpc) {
  for (const Include& i : all_includes()) {
    const std::string room = room_of(i.file);
    if ((room == "uffd" || room == "jit") && i.quoted && i.target.starts_with("ipc/")) {
      EXPECT_TRUE(i.target.starts_with("ipc/base/"))
          << i.file << ":" << i.line << " includes " << i.target;
    }
  }
}

TEST(Layering, SomeHeadersBelongToOnePlace) {
  struct Rule {
    const char* header;  // regular expression
    const char* place;   // regular expression on the file
    const char* why;
  };
  const Rule rules[] = {
      {R"(^boost/asio)", R"(^ipc/(event_loop|connection|listener)[^/]*$)",
       "Asio stays in ipc/{event_loop,connection,listener}"},
      {R"(^linux/userfaultfd\.h$)", R"(^uffd/)", "userfaultfd is known to uffd/ only"},
      {R"(^xbyak/)", R"(^jit/x86_64/)", "x86 encodings stay in jit/x86_64"},
      {R"(^systemd/)", R"(^(broker/|tools/(uarenafs|start)/|tools/bench/service\.cc$))",
       "only daemons, and who starts them, talk to a service manager"},
      {R"(^(fuse|linux/fuse\.h$))", R"(^tools/uarenafs/)", "FUSE stays in tools/uarenafs"},
      {R"(^(libelf|gelf)\.h$|^bpf/)", R"(^jit/loader/)", "ELF and BTF are read by jit/loader"},
      {R"(^elf\.h$)", R"(^jit/(loader|debug)/)", "ELF is read by jit/loader, written by jit/debug"},
  };
  for (const Include& i : all_includes()) {
    if (is_bpf(i.file)) continue;
    for (const Rule& rule : rules) {
      if (!std::regex_search(i.target, std::regex(rule.header))) continue;
      EXPECT_TRUE(std::regex_search(i.file, std::regex(rule.place)))
          << i.file << ":" << i.line << " includes " << i.target << ": " << rule.why;
    }
  }
}

// Arena bytes are touched by compiled code, jit/fault_safe and the kernel, and by nothing else: the
// kernel view's address may be read only where such an access is built.
TEST(Layering, NobodyElseTouchesTheKernelView) {
  const std::regex use(R"(\bkern_vm_start\b)");
  const std::regex place(
      R"(^(jit/(runtime\.h|program\.h|engine\.h|fault_safe(_entry)?\.(h|cc)|interpreter\.cc|fixup\.cc|exception_table\.(h|cc)|engine\.cc|x86_64/.*)|broker/kernel_view\.(h|cc)|broker/arena[^/]*|ipc/base/page\.h)$)");
  const fs::path root = UARENA_SOURCE_DIR;
  for (const char* room : {"ipc", "uffd", "jit", "broker", "tools"}) {
    for (const auto& entry : fs::recursive_directory_iterator(root / room)) {
      const std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cc") continue;
      const std::string file = fs::relative(entry.path(), root).generic_string();
      std::ifstream in(entry.path());
      std::string text;
      for (int line = 1; std::getline(in, text); ++line) {
        if (!std::regex_search(text, use)) continue;
        EXPECT_TRUE(std::regex_match(file, place)) << file << ":" << line << ": " << text;
      }
    }
  }
}

TEST(Layering, EveryFileOpensWithAParagraph) {
  const fs::path root = UARENA_SOURCE_DIR;
  for (const char* room : {"ipc", "uffd", "jit", "broker", "tools"}) {
    for (const auto& entry : fs::recursive_directory_iterator(root / room)) {
      const std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".hpp") continue;
      std::ifstream in(entry.path());
      std::string first;
      std::getline(in, first);
      EXPECT_TRUE(first.starts_with("//") || first.starts_with("/*")) << entry.path();
    }
  }
}

}  // namespace
