// Indices become the kernel's numbers: descriptors of maps, BTF ids of functions and offsets of
// strings. CAP_PERFMON is a property of a thread, so a load without it happens in one of its own.
#include "tests/support/kernel_program.h"

#include <bpf/btf.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <thread>

#include "jit/program_type.h"
#include "tests/support/kernel_btf.h"

namespace uarena::testing {
namespace {

constexpr size_t kLogBytes = size_t{16} << 20;
constexpr uint32_t kSleepable = uint32_t{1} << 4;  // BPF_F_SLEEPABLE: syscall programs must be
// What libbpf writes into a call of a weak function that the kernel does not have, so that it is
// refused where a path leads there, and only there.
constexpr int32_t kNoHelper = 2002000000;

struct FreeBtf {
  void operator()(btf* types) const { ::btf__free(types); }
};
using Btf = std::unique_ptr<btf, FreeBtf>;

uint64_t pointer(const void* p) { return reinterpret_cast<uint64_t>(p); }

Result<std::vector<jit::Insn>> bind(const KernelQuestion& question) {
  std::vector<jit::Insn> insns = question.program->insns;
  for (size_t i = 0; i < insns.size(); i++) {
    jit::Insn& insn = insns[i];
    const auto index = static_cast<size_t>(insn.imm);
    if (jit::is_kfunc_call(insn)) {
      if (index >= question.object->kfuncs.size()) continue;  // the kernel has none either
      const std::string& name = question.object->kfuncs[index].name;
      const auto id = kernel_function_id(name);
      if (!id && !question.object->kfuncs[index].weak)
        return fail(ENOENT, "the kernel has no function '{}'", name);
      if (!id) insn.src = 0;
      insn.imm = id ? static_cast<int32_t>(*id) : kNoHelper;
    } else if (jit::is_ld_imm64(insn)) {
      if (insn.src == jit::kPseudoKfunc && index < question.object->kfuncs.size()) {
        const auto id = kernel_function_id(question.object->kfuncs[index].name);
        insn.src = id ? BPF_PSEUDO_BTF_ID : 0;
        insn.imm = static_cast<int32_t>(id.value_or(0));
      }
      if (insn.src == jit::kPseudoMapFd || insn.src == jit::kPseudoMapValue)
        insn.imm = index < question.maps.size() ? question.maps[index] : -1;
      i++;
    }
  }
  return insns;
}

// The kernel counts the functions that something calls or takes the address of.
bool is_used(const jit::ProgramDef& program, const jit::Subprog& subprog) {
  if (subprog.start == 0) return true;
  for (size_t at = 0; at < program.insns.size(); at++) {
    const jit::Insn& insn = program.insns[at];
    const bool names =
        jit::is_pseudo_call(insn) || (jit::is_ld_imm64(insn) && insn.src == jit::kPseudoFunc);
    if (names && static_cast<int64_t>(at) + 1 + insn.imm == subprog.start) return true;
  }
  return false;
}

std::vector<bpf_func_info> func_infos(const jit::ProgramDef& program) {
  std::vector<bpf_func_info> infos;
  for (const auto& subprog : program.subprogs) {
    if (subprog.btf_func_id == 0) return {};
    if (is_used(program, subprog)) infos.push_back({subprog.start, subprog.btf_func_id});
  }
  return infos;
}

// Nothing when the types lack one of the strings.
std::vector<bpf_line_info> line_infos(const KernelQuestion& question) {
  const auto& bytes = question.object->btf;
  const Btf types(::btf__new(bytes.data(), static_cast<uint32_t>(bytes.size())));
  std::vector<bpf_line_info> infos;
  for (const auto& line : question.program->lines) {
    if (question.program->insns[line.insn].code == 0) continue;  // the kernel wants instructions
    const int file = ::btf__find_str(types.get(), line.file.c_str());
    const int text = ::btf__find_str(types.get(), line.text.c_str());
    if (file < 0 || text < 0) return {};
    infos.push_back({line.insn, static_cast<uint32_t>(file), static_cast<uint32_t>(text),
                     line.line << 10 | (line.column & 0x3ff)});
  }
  return infos;
}

void drop_perfmon() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2];
  ::syscall(SYS_capget, &header, data);
  for (const unsigned cap : {CAP_SYS_ADMIN, CAP_PERFMON})
    data[cap / 32].effective &= ~(uint32_t{1} << (cap % 32));
  ::syscall(SYS_capset, &header, data);
}

// A descriptor, or the negative errno.
int load(bpf_attr& attr, bool without_perfmon) {
  int result = 0;
  const auto call = [&] {
    const long fd = ::syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr);
    result = fd >= 0 ? static_cast<int>(fd) : -errno;
  };
  if (!without_perfmon) {
    call();
    return result;
  }
  std::thread([&] {
    drop_perfmon();
    call();
  }).join();
  return result;
}

}  // namespace

Result<KernelAnswer> ask_kernel(const KernelQuestion& question) {
  const jit::ProgramDef& program = *question.program;
  const auto type = jit::program_type_of(program.section);
  if (!type) return fail(EINVAL, "section '{}' says no type of program", program.section);
  auto insns = bind(question);
  if (!insns) return std::unexpected(insns.error());
  const auto functions = func_infos(program);
  const auto lines = question.log_level > 0 ? line_infos(question) : std::vector<bpf_line_info>{};
  bpf_attr attr{};
  attr.prog_type = jit::number_of(*type);
  attr.prog_flags = *type == jit::ProgramType::syscall ? kSleepable : 0;
  attr.insns = pointer(insns->data());
  attr.insn_cnt = static_cast<uint32_t>(insns->size());
  attr.license = pointer(question.object->license.c_str());
  attr.prog_btf_fd = static_cast<uint32_t>(question.btf);
  attr.func_info = pointer(functions.data());
  attr.func_info_cnt = static_cast<uint32_t>(functions.size());
  attr.func_info_rec_size = sizeof(bpf_func_info);
  attr.line_info = pointer(lines.data());
  attr.line_info_cnt = static_cast<uint32_t>(lines.size());
  attr.line_info_rec_size = sizeof(bpf_line_info);
  const std::string name = program.name.substr(0, BPF_OBJ_NAME_LEN - 1);
  std::ranges::copy(name, attr.prog_name);
  std::vector<char> text;
  if (question.log_level > 0) {
    text.resize(kLogBytes);
    attr.log_level = static_cast<uint32_t>(question.log_level);
    attr.log_buf = pointer(text.data());
    attr.log_size = static_cast<uint32_t>(text.size());
  }
  KernelAnswer answer;
  const int result = load(attr, question.without_perfmon);
  if (result >= 0)
    answer.program = Fd(result);
  else
    answer.error = -result;
  if (!text.empty()) answer.log = text.data();
  return answer;
}

}  // namespace uarena::testing
