// Sections and the types they make, against the names that libbpf knows.
#include "jit/program_type.h"

#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include <string>

namespace uarena::jit {
namespace {

TEST(ProgramType, IsWhatLibbpfTakesFromTheSection) {
  for (const char* section : {"syscall", "socket", "tc", "classifier", "xdp", "raw_tp",
                              "raw_tp/sys_enter", "raw_tracepoint/sys_enter", "raw_tracepoint"}) {
    bpf_prog_type type{};
    bpf_attach_type attach{};
    ASSERT_EQ(libbpf_prog_type_by_name(section, &type, &attach), 0) << section;
    const auto ours = program_type_of(section);
    ASSERT_TRUE(ours.has_value()) << section;
    EXPECT_EQ(number_of(*ours), static_cast<uint32_t>(type)) << section;
    EXPECT_EQ(program_type_of(std::string("?") + section), ours);
  }
}

// Names that libbpf knows from 1.3 on.
TEST(ProgramType, SectionsOfNewerLibbpf) {
  for (const char* section : {"tc/ingress", "tc/egress", "tcx/ingress", "tcx/egress"})
    EXPECT_EQ(program_type_of(section), ProgramType::sched_cls) << section;
}

TEST(ProgramType, UnknownSectionsMakeNone) {
  for (const char* section : {"", "?", "syscalls", "syscall/x", "socket1", "xdpx", "raw_tpx", "tcp",
                              ".text", "fentry/x", "??xdp"})
    EXPECT_FALSE(program_type_of(section).has_value()) << section;
}

TEST(ProgramType, NamesAndSleeping) {
  EXPECT_EQ(name_of(ProgramType::syscall), "BPF_PROG_TYPE_SYSCALL");
  EXPECT_EQ(name_of(ProgramType::sched_cls), "BPF_PROG_TYPE_SCHED_CLS");
  EXPECT_TRUE(is_sleepable(ProgramType::syscall));
  EXPECT_FALSE(is_sleepable(ProgramType::xdp));
  EXPECT_EQ(context_struct(ProgramType::xdp), "xdp_md");
  EXPECT_EQ(context_struct(ProgramType::socket_filter), "__sk_buff");
  EXPECT_EQ(context_struct(ProgramType::syscall), "");
}

}  // namespace
}  // namespace uarena::jit
