// Programs as users write them, with results that are known beforehand: interpreted, compiled, and
// in the live kernel, where there is one that takes them. What they should come to is said by a
// model, which computes the same in another way.
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>
#include <list>
#include <map>
#include <random>
#include <set>

#include "broker/program_registry.h"
#include "jit/engine.h"
#include "tests/bpf/contexts.h"
#include "tests/bpf/parser.h"
#include "tests/support/bpf_objects.h"
#include "tests/support/kernel_loader.h"

namespace uarena::testing {
namespace {

using Bytes = std::vector<std::byte>;

class Algorithms : public ::testing::TestWithParam<jit::Mode> {
 protected:
  // `by_kernel`: the programs that the kernel takes; none: all.
  void load(const std::string& name, std::vector<std::string> by_kernel = {}) {
    ASSERT_TRUE(jit::install_fault_handler());
    broker::LoadRequest request;
    request.object_name = name;
    request.mode = GetParam();
    auto loaded = programs_.load(read_bpf_object(name), request, account_);
    ASSERT_TRUE(loaded) << loaded.error().error.message << loaded.error().log;
    ours_ = std::move(*loaded);
    if (kernel_arena_unavailable()) return;
    KernelLoadOptions options;
    options.arena_address = 0x7e9300003000;
    options.programs = std::move(by_kernel);
    std::string log;
    auto kernel = KernelObject::load(load_bpf_object(name), options, &log);
    ASSERT_TRUE(kernel) << kernel.error().message << log;
    kernel_ = std::move(*kernel);
  }

  const broker::Program& program(const std::string& name) const {
    for (const auto& one : ours_.programs)
      if (one->name == name) return *one;
    throw std::out_of_range("no program " + name);
  }

  // In the kernel as well, if it has the program.
  void expect(const std::string& name, uint64_t count, uint64_t found, uint64_t sum) {
    SCOPED_TRACE(fmt::format("{} of {}", name, count));
    count_ctx context{count, 0, 0};
    const auto bytes = std::as_writable_bytes(std::span(&context, 1));
    const auto result = broker::run_program(program(name), bytes, 1, never_);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(static_cast<int32_t>(result->r0), 0);
    EXPECT_EQ(context.found, found);
    EXPECT_EQ(context.sum, sum);
    const KernelProgram* theirs = kernel_ ? kernel_->program(name) : nullptr;
    if (theirs == nullptr) return;
    count_ctx again{count, 0, 0};
    EXPECT_EQ(theirs->run(again).value_or(-1), 0);
    EXPECT_EQ(again.found, found) << "in the kernel";
    EXPECT_EQ(again.sum, sum) << "in the kernel";
  }

  broker::Account account_{0};
  broker::ArenaRegistry arenas_;
  broker::ProgramRegistry programs_{arenas_};
  broker::LoadOutcome ours_;
  std::optional<KernelObject> kernel_;
  std::atomic<bool> never_{false};
};

uint64_t next_random(uint64_t& state) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

constexpr uint64_t kCounts[] = {0, 1, 2, 3, 7, 16, 40, 63, 64, 65, 200};

std::string text_of(uint64_t seed) {
  constexpr char letters[32] = "{\"ab\":[1,20,true],\"c\":{}} {[]} ";  // a NUL behind it
  std::string text(256, ' ');
  for (size_t i = 0; i < text.size(); ++i) text[i] = letters[(seed + i) % sizeof letters];
  return text;
}

TEST_P(Algorithms, HeapSort) {
  load("algorithms", {"bits"});
  for (const uint64_t count : kCounts) {
    uint64_t state = count + 1, most = 0;
    const uint64_t pushed = std::min<uint64_t>(count, 64);
    for (uint64_t n = 0; n < pushed; ++n) most = std::max(most, next_random(state) >> 40);
    expect("heap_sort", count, pushed, most);
  }
}

TEST_P(Algorithms, StackSort) {
  load("algorithms", {"bits"});
  for (const uint64_t count : kCounts) {
    uint64_t state = count + 3;
    std::set<uint64_t> numbers;
    for (int n = 0; n < 16; ++n) numbers.insert(next_random(state) & 0xffff);
    expect("stack_sort", count, *numbers.begin(), *numbers.rbegin());
  }
}

TEST_P(Algorithms, Search) {
  load("algorithms", {"bits"});
  for (const uint64_t count : kCounts) {
    const std::string text = text_of(count);
    uint64_t found = 0;
    for (size_t at = text.find("true"); at != text.npos; at = text.find("true", at + 1)) ++found;
    expect("search", count, found, 0);
  }
}

TEST_P(Algorithms, Tokenize) {
  load("algorithms", {"bits"});
  for (const uint64_t count : kCounts) {
    const std::string text = text_of(count);
    uint64_t tokens = 0, deepest = 0;
    std::string open;
    for (size_t at = 0; at < text.size(); ++at) {
      const char c = text[at];
      if (c == '{' || c == '[') {
        if (open.size() == 16) break;
        open.push_back(c);
        deepest = std::max(deepest, open.size());
      } else if (c == '}' || c == ']') {
        if (!open.empty() && open.back() == (c == '}' ? '{' : '[')) open.pop_back();
      } else if (c == '"') {
        at = std::min(text.find('"', at + 1), text.size());
      } else {
        continue;
      }
      ++tokens;
    }
    expect("tokenize", count, tokens, deepest);
  }
}

TEST_P(Algorithms, Bits) {
  load("algorithms", {"bits"});
  for (const uint64_t count : kCounts) {
    uint64_t state = count + 5, given = 0;
    std::set<uint64_t> taken;
    for (uint64_t n = 0; n < count; ++n) {
      const uint64_t bit = next_random(state) % 512;
      if (taken.insert(bit).second) continue;
      taken.erase(bit);
      ++given;
    }
    expect("bits", count, count - given, given);
  }
}

// They are drained in batches of 32.
TEST_P(Algorithms, Records) {
  load("algorithms", {"bits"});
  for (const uint64_t count : kCounts) {
    const uint64_t drained = count / 32 * 32;
    uint64_t sum = 0;
    for (uint64_t n = 0; n < drained; ++n) sum += n * n;
    expect("records", count, drained, sum);
  }
}

TEST_P(Algorithms, ChainedHash) {
  load("structures");
  for (const uint64_t count : {0, 1, 2, 3, 100, 1000, 10000, 100}) {
    std::map<uint64_t, uint64_t> kept;
    uint64_t sum = 0;
    for (uint64_t key = 0; key < count; ++key) kept[key] = key * (key % 2 == 0 ? 5 : 3);
    for (uint64_t key = 0; key < count; key += 3) kept.erase(key);
    for (const auto& [key, value] : kept) sum += value;
    expect("chained_hash", count, kept.size(), sum);
  }
}

TEST_P(Algorithms, RedBlackTree) {
  load("structures");
  for (const uint64_t count : {0, 1, 2, 3, 4, 7, 100, 1000, 5000, 100}) {
    uint64_t state = count + 1, place = 0, sum = 0;
    std::set<uint64_t> numbers;
    for (uint64_t n = 0; n < count; ++n) numbers.insert((next_random(state) & 0xffff) + 1);
    for (const uint64_t number : numbers) sum += number * ++place;
    expect("red_black_tree", count, numbers.size(), sum);
  }
}

TEST_P(Algorithms, LruCache) {
  load("structures");
  for (const uint64_t count : {0, 1, 15, 16, 17, 100, 10000}) {
    uint64_t state = count + 7, hits = 0, sum = 0;
    std::list<uint64_t> kept(16, 0);
    for (uint64_t n = 0; n < count; ++n) {
      const uint64_t key = (next_random(state) >> 20 & 31) + 1;
      const auto at = std::ranges::find(kept, key);
      hits += at != kept.end();
      kept.erase(at != kept.end() ? at : std::prev(kept.end()));
      kept.push_front(key);
    }
    for (const uint64_t key : kept) sum = sum * 31 + key;
    expect("lru_cache", count, hits, sum);
  }
}

// A packet and what it says. Bytes are put behind one another.
class Packet {
 public:
  Packet& put(std::initializer_list<int> bytes) {
    for (const int byte : bytes) bytes_.push_back(static_cast<std::byte>(byte));
    return *this;
  }
  Packet& zeros(size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  const Bytes& bytes() const { return bytes_; }

 private:
  Bytes bytes_;
};

Packet ethernet(std::initializer_list<int> type_and_tags) {
  return Packet().zeros(12).put(type_and_tags);
}
Packet tcp_options_of(Packet packet) {
  return packet
      .put({0x12, 0x34, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 10 << 4, 0x12, 1, 0, 0, 0, 0, 0})  // header
      .put({2, 4, 5, 0xb4, 4, 2, 8, 10, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 7, 1, 3, 3, 9});
}
Packet ipv4_tcp() {
  return tcp_options_of(
      ethernet({0x81, 0, 0x20, 0x2a, 8, 0})
          .put({0x46, 0, 0, 64, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2})
          .put({1, 1, 1, 0}));
}
Packet ipv6_tcp() {
  return tcp_options_of(ethernet({0x86, 0xdd})
                            .put({0x60, 1, 0x23, 0x45, 0, 64, 0, 64})
                            .zeros(15)
                            .put({1})
                            .zeros(15)
                            .put({2})
                            .put({60, 1, 5, 2, 0, 0, 1, 0})  // hop by hop, 16 bytes
                            .zeros(8)
                            .put({44, 0, 1, 4, 0, 0, 0, 0})   // destination
                            .put({6, 0, 0, 9, 0, 0, 0, 1}));  // fragment
}
Packet ipv4_udp() {
  return ethernet({8, 0})
      .put({0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1})
      .put({0, 53, 0x10, 0, 0, 8, 0, 0});
}

class Packets : public Algorithms {
 protected:
  struct Outcome {
    int32_t result = -1;
    packet_facts facts{};
  };

  Outcome ours(Bytes packet) {
    Outcome out;
    const auto run =
        broker::run_program(program("parse"), {}, 1, never_, broker::kRunLimitNs, nullptr, packet);
    EXPECT_TRUE(run) << run.error().message;
    if (run) out.result = static_cast<int32_t>(run->r0);
    for (const jit::BoundMap& map : ours_.object->bound)
      if (map.name == ".bss.facts") std::memcpy(&out.facts, map.value, sizeof out.facts);
    return out;
  }
  Outcome kernels(const Bytes& packet) {
    Outcome out;
    bpf_attr attr{};
    attr.test.prog_fd = static_cast<uint32_t>(kernel_->program("parse")->fd());
    attr.test.data_in = reinterpret_cast<uint64_t>(packet.data());
    attr.test.data_size_in = static_cast<uint32_t>(packet.size());
    EXPECT_EQ(::syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attr, sizeof attr), 0) << errno;
    out.result = static_cast<int32_t>(attr.test.retval);
    std::memcpy(&out.facts, kernel_->map(".bss.facts")->memory.data(), sizeof out.facts);
    return out;
  }

  // In both, with the same facts.
  Outcome parse(const Bytes& packet) {
    const Outcome out = ours(packet);
    if (!kernel_) return out;
    const Outcome theirs = kernels(packet);
    EXPECT_EQ(out.result, theirs.result);
    EXPECT_EQ(std::memcmp(&out.facts, &theirs.facts, sizeof out.facts), 0);
    return out;
  }
};

void expect_the_options(const packet_facts& facts) {
  EXPECT_EQ(facts.protocol, 6u);
  EXPECT_EQ(facts.source_port, 0x1234u);
  EXPECT_EQ(facts.target_port, 80u);
  EXPECT_EQ(facts.tcp_flags, 0x12u);
  EXPECT_EQ(facts.tcp_options, 4u);
  EXPECT_EQ(facts.mss, 1460u);
  EXPECT_EQ(facts.sack_permitted, 1u);
  EXPECT_EQ(facts.timestamp, 0xdeadbeefu);
  EXPECT_EQ(facts.timestamp_echo, 7u);
  EXPECT_EQ(facts.window_scale, 9u);
}

TEST_P(Packets, TcpOverIpv4) {
  load("parser");
  const Outcome out = parse(ipv4_tcp().bytes());
  EXPECT_EQ(out.result, PARSE_DONE);
  EXPECT_EQ(out.facts.type, 0x0800u);
  EXPECT_EQ(out.facts.vlan, 42u);
  EXPECT_EQ(out.facts.source, 0x0a000001u);
  EXPECT_EQ(out.facts.target, 0x0a000002u);
  EXPECT_EQ(out.facts.fragment, 0u);
  expect_the_options(out.facts);
}

TEST_P(Packets, TcpOverIpv6WithExtensionHeaders) {
  load("parser");
  const Outcome out = parse(ipv6_tcp().bytes());
  EXPECT_EQ(out.result, PARSE_DONE);
  EXPECT_EQ(out.facts.type, 0x86ddu);
  EXPECT_EQ(out.facts.flow_label, 0x12345u);
  EXPECT_EQ(out.facts.source, 1u);
  EXPECT_EQ(out.facts.target, 2u);
  EXPECT_EQ(out.facts.extensions, 3u);
  EXPECT_EQ(out.facts.fragment, 1u);
  expect_the_options(out.facts);
}

TEST_P(Packets, Udp) {
  load("parser");
  const Outcome out = parse(ipv4_udp().bytes());
  EXPECT_EQ(out.result, PARSE_DONE);
  EXPECT_EQ(out.facts.source_port, 53u);
  EXPECT_EQ(out.facts.target_port, 0x1000u);
}

// Whatever a packet claims, no byte behind its end is read.
TEST_P(Packets, CutOffAnywhere) {
  load("parser");
  for (const Packet& packet : {ipv4_tcp(), ipv6_tcp(), ipv4_udp()})
    for (size_t size = 14; size < packet.bytes().size(); ++size) {
      const auto end = packet.bytes().begin() + static_cast<ptrdiff_t>(size);
      EXPECT_EQ(parse(Bytes(packet.bytes().begin(), end)).result, PARSE_CUT_OFF) << size;
    }
}

TEST_P(Packets, DamagedAnywhere) {
  load("parser");
  std::mt19937 random(1);
  std::set<int32_t> results;
  for (const Packet& packet : {ipv4_tcp(), ipv6_tcp(), ipv4_udp()})
    for (int turn = 0; turn < 500; ++turn) {
      Bytes bytes = packet.bytes();
      for (int n = 0; n < 3; ++n) bytes[12 + random() % (bytes.size() - 12)] = std::byte(random());
      results.insert(parse(bytes).result);
    }
  EXPECT_EQ(results, (std::set<int32_t>{PARSE_DONE, PARSE_OTHER, PARSE_CUT_OFF, PARSE_MALFORMED}));
}

constexpr auto kModes = [] { return ::testing::Values(jit::Mode::compile, jit::Mode::interpret); };
constexpr auto kModeName = [](const ::testing::TestParamInfo<jit::Mode>& info) {
  return info.param == jit::Mode::compile ? "Compiled" : "Interpreted";
};
INSTANTIATE_TEST_SUITE_P(Kernel, Algorithms, kModes(), kModeName);
INSTANTIATE_TEST_SUITE_P(Kernel, Packets, kModes(), kModeName);

}  // namespace
}  // namespace uarena::testing
