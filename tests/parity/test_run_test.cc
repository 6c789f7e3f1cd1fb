// BPF_PROG_TEST_RUN and a run of ours: the same programs with the same contexts and packets, taken
// or refused alike, with the same result, context, packet and variables afterwards. What we
// take and the kernel does not (longer packets, repetitions of all types) is in
// docs/kernel-parity.md.
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>

#include "tests/parity/twin.h"

namespace uarena::testing {
namespace {

using Bytes = std::vector<std::byte>;

struct Input {
  Bytes ctx;
  Bytes data;
  uint32_t repeat = 0;
};

struct Outcome {
  int error = 0;
  int32_t retval = 0;
  Bytes ctx, data;
};

std::string text_of(const Outcome& outcome) {
  if (outcome.error != 0) return strerrorname_np(outcome.error);
  const auto words = [](const Bytes& bytes) {
    return fmt::format("{}", fmt::join(Twin::words(bytes), " "));
  };
  return fmt::format("{}, ctx {}, data {}", outcome.retval, words(outcome.ctx),
                     words(outcome.data));
}

class TestRun : public ::testing::TestWithParam<jit::Mode> {
 protected:
  void SetUp() override {
    if (const auto reason = kernel_arena_unavailable()) GTEST_SKIP() << *reason;
    TwinOptions options;
    options.mode = GetParam();
    options.programs = {"on_tc",     "on_socket",  "on_xdp",
                        "on_raw_tp", "on_syscall", "without_context"};
    twin_ = std::make_unique<Twin>("test_runs", options);
  }

  // Packets come back in what was passed in, contexts only from programs that have one to give.
  static Outcome kernel(const Twin& twin, const std::string& program, const Input& input,
                        bool returns_ctx) {
    Outcome out;
    out.ctx = input.ctx;
    out.ctx.resize(std::max(input.ctx.size(), sizeof(__sk_buff)));  // else ENOSPC
    out.data = input.data;
    bpf_attr attr{};
    attr.test.prog_fd = static_cast<uint32_t>(twin.kernel().program(program)->fd());
    // A syscall program's context is changed where it is.
    Bytes in_place = input.ctx;
    attr.test.ctx_in = reinterpret_cast<uint64_t>(in_place.data());
    attr.test.ctx_size_in = static_cast<uint32_t>(input.ctx.size());
    if (returns_ctx && !input.ctx.empty()) {
      attr.test.ctx_out = reinterpret_cast<uint64_t>(out.ctx.data());
      attr.test.ctx_size_out = static_cast<uint32_t>(out.ctx.size());
    }
    attr.test.data_in = reinterpret_cast<uint64_t>(input.data.data());
    attr.test.data_size_in = static_cast<uint32_t>(input.data.size());
    attr.test.data_out = reinterpret_cast<uint64_t>(out.data.data());
    attr.test.data_size_out = static_cast<uint32_t>(out.data.size());
    attr.test.repeat = input.repeat;
    if (::syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attr, sizeof attr) != 0) return {.error = errno};
    out.retval = static_cast<int32_t>(attr.test.retval);
    if (!returns_ctx) out.ctx = in_place;
    out.ctx.resize(input.ctx.size());
    return out;
  }

  static Outcome ours(const Twin& twin, const std::string& program, const Input& input) {
    Outcome out;
    out.ctx = input.ctx;
    out.data = input.data;
    const std::atomic<bool> never{false};
    const auto result = broker::run_program(twin.program(program), out.ctx, input.repeat, never,
                                            broker::kRunLimitNs, nullptr, out.data);
    if (!result) return {.error = result.error().code};
    out.retval = static_cast<int32_t>(result->r0);
    return out;
  }

  enum class Context { comes_back, in_place };

  // Also the variables, after each run.
  Outcome expect_same(const std::string& program, const Input& input,
                      Context context = Context::comes_back) {
    const Outcome theirs = kernel(*twin_, program, input, context == Context::comes_back);
    const Outcome own = ours(*twin_, program, input);
    EXPECT_EQ(text_of(own), text_of(theirs))
        << program << ", ctx of " << input.ctx.size() << " bytes " << text_of({.ctx = input.ctx})
        << ", packet of " << input.data.size();
    twin_->expect_same_memory();
    return own;
  }

  std::unique_ptr<Twin> twin_;
};

Bytes packet(size_t size, uint8_t first = 0, uint16_t protocol = 0x0800) {
  Bytes bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i < 6 ? first : i);
  if (size >= 14) {
    bytes[12] = static_cast<std::byte>(protocol >> 8);
    bytes[13] = static_cast<std::byte>(protocol & 0xff);
  }
  return bytes;
}

Bytes with_word(size_t size, size_t offset, uint32_t value) {
  Bytes bytes(size);
  std::memcpy(bytes.data() + offset, &value, std::min(sizeof value, size - offset));
  return bytes;
}

TEST_P(TestRun, PacketsOfAllSizes) {
  for (const char* program : {"on_tc", "on_socket", "on_xdp"})
    for (const size_t size : {0, 1, 13, 14, 15, 19, 20, 21, 60, 64, 100, 1000, 1514, 2000, 3000})
      expect_same(program, {.data = packet(size)});
}

TEST_P(TestRun, HeadersThatAreCutOff) {
  for (const char* program : {"on_tc", "on_socket", "on_xdp"})
    for (const uint16_t protocol : {0x0800, 0x86dd, 0x0806, 0x8100})
      for (size_t size = 14; size <= 60; ++size)
        expect_same(program, {.data = packet(size, 0, protocol)});
}

TEST_P(TestRun, PacketsOfAllKinds) {
  for (const char* program : {"on_tc", "on_socket", "on_xdp"})
    for (const uint8_t first : {0x00, 0x01, 0x02, 0x33, 0xff})
      for (const uint16_t protocol :
           {0x0800, 0x86dd, 0x0806, 0x8100, 0x0005, 0x05ff, 0x0600, 0xffff})
        expect_same(program, {.data = packet(64, first, protocol)});
}

// Each field alone: taken, or refused. We have the loopback and no other interface; a machine may
// have more.
bool names_an_interface_of_this_machine(size_t offset, size_t field, uint32_t value) {
  char name[IF_NAMESIZE];
  return offset == field && value != 1 && ::if_indextoname(value, name) != nullptr;
}

TEST_P(TestRun, EachFieldOfAnSkb) {
  for (const char* program : {"on_tc", "on_socket"})
    for (size_t offset = 0; offset < sizeof(__sk_buff); offset += 4)
      for (const uint32_t value : {1U, 7U, 0xffffffffU})
        if (!names_an_interface_of_this_machine(offset, offsetof(__sk_buff, ifindex), value))
          expect_same(program, {with_word(sizeof(__sk_buff), offset, value), packet(64)});
}

TEST_P(TestRun, SkbsOfAllSizes) {
  for (size_t size = 1; size <= sizeof(__sk_buff) + 40; size += 3)
    expect_same("on_tc", {Bytes(size), packet(64)});
  for (const size_t size : {8, 12, 36, 48, 68})
    expect_same("on_tc", {with_word(size, size - 4, 5), packet(64)});
  Bytes longer(sizeof(__sk_buff) + 8);
  expect_same("on_tc", {longer, packet(64)});
  longer.back() = std::byte{1};
  expect_same("on_tc", {longer, packet(64)});
}

TEST_P(TestRun, EachFieldOfAnXdpMd) {
  for (size_t offset = 0; offset < sizeof(xdp_md); offset += 4)
    for (const uint32_t value : {1U, 4U, 14U, 32U, 64U, 0xffffffffU})
      if (!names_an_interface_of_this_machine(offset, offsetof(xdp_md, ingress_ifindex), value))
        expect_same("on_xdp", {with_word(sizeof(xdp_md), offset, value), packet(64)});
  for (size_t size = 1; size <= sizeof(xdp_md) + 8; ++size)
    expect_same("on_xdp", {Bytes(size), packet(64)});
}

// `data` says where the packet begins behind its metadata, `data_end` where it ends.
TEST_P(TestRun, Metadata) {
  for (const uint32_t meta : {0U, 2U, 4U, 8U, 32U, 252U, 256U, 260U})
    for (const uint32_t end : {0U, 63U, 64U, 65U}) {
      xdp_md md{};
      md.data = meta;
      md.data_end = end;
      Bytes ctx(sizeof md);
      std::memcpy(ctx.data(), &md, sizeof md);
      expect_same("on_xdp", {ctx, packet(64)});
    }
}

TEST_P(TestRun, RawTracepoints) {
  for (const size_t size : {0, 8, 16, 23, 24, 32, 96, 97, 104})
    expect_same("on_raw_tp", {size < 8 ? Bytes() : with_word(size, 0, 7)}, Context::in_place);
  expect_same("on_raw_tp", {Bytes(24), packet(64)}, Context::in_place);
}

TEST_P(TestRun, SyscallPrograms) {
  for (const size_t size : {0, 8, 15, 16, 17, 24, 4096})
    expect_same("on_syscall", {Bytes(size)}, Context::in_place);
  expect_same("without_context", {}, Context::in_place);
  expect_same("without_context", {Bytes(8)}, Context::in_place);
  expect_same("without_context", {Bytes(8), packet(64)}, Context::in_place);
}

TEST_P(TestRun, Repetitions) {
  for (const char* program : {"on_tc", "on_socket", "on_xdp"})
    for (const uint32_t repeat : {0U, 1U, 2U, 17U})
      expect_same(program, {.data = packet(64), .repeat = repeat});
}

INSTANTIATE_TEST_SUITE_P(Executors, TestRun,
                         ::testing::Values(jit::Mode::interpret, jit::Mode::compile),
                         [](const auto& mode) {
                           return mode.param == jit::Mode::interpret ? "Interpreter" : "Compiler";
                         });

}  // namespace
}  // namespace uarena::testing
