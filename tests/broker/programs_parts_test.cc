// The small parts around programs: which kernel functions an object gets, the memory of its global
// variables, files that carry answers.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "broker/kfuncs.h"
#include "broker/map_memory.h"
#include "broker/sealed_file.h"
#include "ipc/codec.h"

namespace uarena::broker {
namespace {

TEST(Kfuncs, KnownOnesInOrderAndUnknownOnesByName) {
  jit::Object object;
  object.kfuncs = {
      {"bpf_arena_free_pages", false}, {"bpf_arena_alloc_pages", true}, {"bpf_later", true}};
  auto table = resolve_functions(object);
  ASSERT_TRUE(table);
  ASSERT_EQ(table->kfuncs.size(), 3u);
  EXPECT_EQ(table->kfuncs[0]->name, "bpf_arena_free_pages");
  EXPECT_EQ(table->kfuncs[1]->name, "bpf_arena_alloc_pages");
  EXPECT_EQ(table->kfuncs[2], nullptr);
  object.kfuncs.push_back({"bpf_unheard_of", false});
  auto refused = resolve_functions(object);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().why, Why::rejected);
  EXPECT_NE(refused.error().message.find("bpf_unheard_of"), std::string::npos);
  EXPECT_NE(refused.error().message.find("bpf_arena_reserve_pages"), std::string::npos);
}

jit::MapDef section(jit::MapKind kind, std::string_view bytes, uint32_t size) {
  jit::MapDef def;
  def.name = ".test";
  def.kind = kind;
  def.value_size = size;
  for (char c : bytes) def.initial.push_back(static_cast<std::byte>(c));
  return def;
}

TEST(MapMemory, HoldsTheInitialBytesAndZerosBehindThem) {
  auto memory = MapMemory::create(section(jit::MapKind::data, "abc", 5000));
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->data()[0], std::byte{'a'});
  EXPECT_EQ(memory->data()[3], std::byte{0});
  memory->data()[4999] = std::byte{7};
  EXPECT_EQ(::ftruncate(memory->fd(), 0), -1);
}

TEST(MapMemory, RodataCanNotBeWritten) {
  auto memory = MapMemory::create(section(jit::MapKind::rodata, "abc", 3));
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->data()[1], std::byte{'b'});
  // The kernel refuses to write there on our behalf, too.
  Fd zero(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(::read(zero.get(), memory->data(), 1), -1);
  EXPECT_EQ(errno, EFAULT);
}

TEST(SealedFile, IsCompleteAndCanNotChange) {
  const std::string text(100'000, 'x');
  auto file = make_sealed_file("test", ipc::bytes_of(std::string_view(text)));
  ASSERT_TRUE(file);
  std::string back(text.size() + 1, ' ');
  EXPECT_EQ(::pread(file->get(), back.data(), back.size(), 0), static_cast<ssize_t>(text.size()));
  EXPECT_EQ(::pwrite(file->get(), "y", 1, 0), -1);
  EXPECT_EQ(::ftruncate(file->get(), 0), -1);
}

}  // namespace
}  // namespace uarena::broker
