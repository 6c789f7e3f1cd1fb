// Names become numbers by rewriting the text before it is assembled; the types of the case's own
// functions and its source lines are added to a copy of the world's BTF.
#include "tests/support/case_world.h"

#include <bpf/btf.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <regex>
#include <sstream>

#include "jit/catalogue.h"
#include "tests/support/bpf_asm.h"
#include "tests/support/bpf_objects.h"

namespace uarena::test {
namespace {

struct FreeBtf {
  void operator()(btf* types) const { ::btf__free(types); }
};
using Btf = std::unique_ptr<btf, FreeBtf>;

jit::Object load_world() {
  jit::Object world = testing::load_bpf_object("case_world");
  jit::MapDef second;
  for (const jit::MapDef& map : world.maps)
    if (map.kind == jit::MapKind::arena) second = map;
  second.name = kSecondArena;
  second.map_extra += uint64_t{1} << 32;
  world.maps.push_back(std::move(second));
  return world;
}

// Replaces each match of `pattern` by what `replace` makes of its first group.
Result<std::string> rewrite(const std::string& text, const std::regex& pattern,
                            const std::function<Result<std::string>(const std::string&)>& replace) {
  std::string out;
  auto from = text.begin();
  for (std::sregex_iterator m(text.begin(), text.end(), pattern), end; m != end; ++m) {
    auto replaced = replace((*m)[1]);
    if (!replaced) return replaced;
    out.append(from, text.begin() + m->position());
    out += *replaced;
    from = text.begin() + m->position() + m->length();
  }
  return out.append(from, text.end());
}

template <typename Items>
Result<size_t> index_of(const Items& items, const std::string& name, const char* what) {
  const auto found = std::ranges::find_if(items, [&](const auto& i) { return i.name == name; });
  if (found == items.end()) return fail(ENOENT, "case_world.bpf.c has no {} '{}'", what, name);
  return static_cast<size_t>(found - items.begin());
}

Result<int> helper_number(const std::string& name) {
  for (int n = 1; jit::helper_name(n) != "helper"; ++n)
    if (jit::helper_name(n) == name) return n;
  return fail(ENOENT, "no helper is called '{}'", name);
}

Result<std::string> with_numbers(const std::string& text) {
  static const std::regex map(R"(map\[([.\w]+)\])"), kfunc(R"(call kfunc (\w+))"),
      helper(R"(call (bpf_\w+))");
  auto out = rewrite(text, map, [](const std::string& name) -> Result<std::string> {
    const auto index = index_of(case_world().maps, name, "map");
    if (!index) return std::unexpected(index.error());
    return fmt::format("map[idx:{}]", *index);
  });
  if (out)
    out = rewrite(*out, kfunc, [](const std::string& name) -> Result<std::string> {
      const auto index = index_of(case_world().kfuncs, name, "kernel function");
      if (!index) return std::unexpected(index.error());
      return fmt::format("call kfunc#{}", *index);
    });
  if (out)
    out = rewrite(*out, helper, [](const std::string& name) -> Result<std::string> {
      const auto number = helper_number(name);
      if (!number) return std::unexpected(number.error());
      return fmt::format("call helper#{}", *number);
    });
  return out;
}

struct Functions {
  std::vector<jit::Subprog> subprogs;  // without their places
  std::string text;                    // "function f" and "global f" have become labels
};

Functions split(const std::string& text) {
  Functions out;
  out.subprogs.push_back({"main", 0, 0, true, 0, {}, true});
  out.text = "main:\n";
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    const bool global = line.starts_with("global ");
    if (!global && !line.starts_with("function ")) {
      out.text += line + "\n";
      continue;
    }
    const std::string name = line.substr(line.find(' ') + 1);
    out.subprogs.push_back({name, 0, 0, global, 0, {}, true});
    out.text += name + ":\n";
  }
  return out;
}

void place(std::vector<jit::Subprog>& subprogs, const Assembly& assembly) {
  for (size_t f = 0; f < subprogs.size(); ++f) {
    const size_t start = assembly.labels.at(subprogs[f].name);
    const size_t end =
        f + 1 < subprogs.size() ? assembly.labels.at(subprogs[f + 1].name) : assembly.insns.size();
    subprogs[f].start = static_cast<uint32_t>(start);
    subprogs[f].count = static_cast<uint32_t>(end - start);
  }
}

// What the world's programs say of a function, with its type; what its parameters are may depend on
// the type of the program, so one of the case's own type comes first.
Result<void> take_type(jit::Subprog& subprog, const std::string& section) {
  const std::string name = subprog.name == "main" ? "case_main" : subprog.name;
  const jit::Subprog* found = nullptr;
  for (const jit::ProgramDef& program : case_world().programs)
    for (const jit::Subprog& known : program.subprogs)
      if (known.name == name && known.global && (found == nullptr || program.section == section))
        found = &known;
  if (found == nullptr) return fail(ENOENT, "case_world.bpf.c has no global function '{}'", name);
  subprog.btf_func_id = found->btf_func_id;
  subprog.params = found->params;
  subprog.returns_scalar = found->returns_scalar;
  return {};
}

// Static functions get a type of their own: no parameters, an int.
Result<void> add_types(jit::ProgramDef& program, jit::Object& object) {
  const Btf types(::btf__new(object.btf.data(), static_cast<uint32_t>(object.btf.size())));
  const int number = ::btf__find_by_name_kind(types.get(), "int", BTF_KIND_INT);
  const int prototype = ::btf__add_func_proto(types.get(), number);
  if (number <= 0 || prototype <= 0) return fail(EINVAL, "cannot add types to the world's BTF");
  for (jit::Subprog& subprog : program.subprogs) {
    if (subprog.global) {
      if (auto done = take_type(subprog, program.section); !done) return done;
      continue;
    }
    const int id = ::btf__add_func(types.get(), subprog.name.c_str(), BTF_FUNC_STATIC, prototype);
    if (id <= 0) return fail(EINVAL, "no type for a function called '{}'", subprog.name);
    subprog.btf_func_id = static_cast<uint32_t>(id);
  }
  for (const jit::LineInfo& line : program.lines) {
    ::btf__add_str(types.get(), line.file.c_str());
    ::btf__add_str(types.get(), line.text.c_str());
  }
  uint32_t size = 0;
  const auto* bytes = static_cast<const std::byte*>(::btf__raw_data(types.get(), &size));
  if (bytes == nullptr) return fail(ENOMEM, "no room for the case's BTF");
  object.btf.assign(bytes, bytes + size);
  return {};
}

void add_lines(const VerifierCase& c, const Assembly& assembly, const std::string& text,
               jit::ProgramDef& program) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  for (size_t n = 0; n < program.insns.size(); ++n) {
    if (n > 0 && jit::is_ld_imm64(program.insns[n - 1]) && program.insns[n].code == 0) continue;
    const size_t line = assembly.lines[n];
    program.lines.push_back({static_cast<uint32_t>(n), static_cast<uint32_t>(line), 1,
                             "/src/" + c.name + ".bpf.c", lines[line - 1]});
  }
}

}  // namespace

size_t CaseObject::insn_at(const std::string& label) const {
  const auto found = labels.find(label);
  return found != labels.end() ? found->second : std::strtoul(label.c_str(), nullptr, 10);
}

const jit::Object& case_world() {
  static const jit::Object world = load_world();
  return world;
}

Result<CaseObject> make_case_object(const VerifierCase& c) {
  CaseObject out;
  out.object = case_world();
  Functions functions = split(c.text);
  const auto text = with_numbers(functions.text);
  if (!text) return std::unexpected(text.error());
  auto assembly = assemble(*text);
  if (!assembly) return std::unexpected(assembly.error());
  jit::ProgramDef program;
  program.name = "case_main";
  program.section = c.section;
  program.optional = c.section.starts_with('?');
  if (program.optional) program.section.erase(0, 1);
  place(functions.subprogs, *assembly);
  program.insns = std::move(assembly->insns);
  program.subprogs = std::move(functions.subprogs);
  add_lines(c, *assembly, functions.text, program);
  if (auto done = add_types(program, out.object); !done) return std::unexpected(done.error());
  out.object.programs.clear();
  out.object.programs.push_back(std::move(program));
  out.labels = std::move(assembly->labels);
  return out;
}

}  // namespace uarena::test
