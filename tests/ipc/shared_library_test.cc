// libuarena.so as others use it: through uarena.hpp, linked as a shared library that shows nothing
// but its C functions. The broker is a script.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "ipc/base/page.h"
#include "tests/ipc/scripted_broker.h"
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#include "uarena.hpp"
#pragma GCC diagnostic pop

namespace uarena::ipc {
namespace {

using testing::memory_file;
using testing::offer_arena;
using testing::refuse_with;
using testing::ScriptedBroker;

constexpr uint64_t kStart = 0x7e9000000000;

TEST(SharedLibrary, FailuresAreExceptions) {
  ScriptedBroker broker;
  broker.on(UARENA_MSG_ARENA_GET, refuse_with({ENOENT, "there is no arena x", Why::not_found}));
  Client client(broker.path().c_str());
  try {
    client.find("x");
    FAIL();
  } catch (const ClientError& error) {
    EXPECT_STREQ(error.what(), "there is no arena x");
    EXPECT_EQ(error.code(), ENOENT);
    EXPECT_EQ(error.why(), 2);
  }
  EXPECT_THROW(Client("/nonexistent"), ClientError);
}

TEST(SharedLibrary, MappingsEndWithTheirScope) {
  ScriptedBroker broker;
  const Fd memory = memory_file(4 * kPageSize);
  offer_arena(broker, 3, kStart, 4, kBpfFMmapable, memory.get());
  Client client(broker.path().c_str());
  {
    Mapping mapping = client.attach(client.find("heap").id);
    static_cast<volatile char*>(mapping.base())[5] = 'y';
    Mapping moved = std::move(mapping);
    EXPECT_EQ(moved.base(), reinterpret_cast<void*>(kStart));
    EXPECT_THROW(client.attach(3), ClientError);
  }
  EXPECT_EQ(broker.log().back(), UARENA_MSG_DETACH);
  char byte = 0;
  EXPECT_EQ(::pread(memory.get(), &byte, 1, 5), 1);
  EXPECT_EQ(byte, 'y');
}

TEST(SharedLibrary, ProgramsRun) {
  char name[] = "/tmp/uarena-library-XXXXXX";
  const std::filesystem::path directory = ::mkdtemp(name);
  std::ofstream(directory / "list.bpf.o") << "x";
  ScriptedBroker broker;
  broker.on(UARENA_MSG_PROG_LOAD, [](Request& request) {
    std::vector<uarena_prog_info> programs(1);
    programs[0].id = 4;
    set_text(programs[0].name, "push");
    uarena_prog_load_reply reply{};
    reply.programs = 1;
    reply.program_record_size = sizeof(uarena_prog_info);
    reply.map_record_size = sizeof(uarena_map_info);
    return make_reply(request.type, request.seq, reply, bytes_of(programs));
  });
  broker.on(UARENA_MSG_PROG_RUN, [](Request& request) {
    uarena_prog_run_reply reply{};
    reply.r0 = 42;
    reply.ctx_size = static_cast<uint32_t>(request.payload.size());
    request.payload.at(0) = std::byte{9};
    return make_reply(request.type, request.seq, reply, request.payload);
  });
  broker.on(UARENA_MSG_PROG_UNLOAD, testing::reply_with(uarena_empty{}));
  Client client(broker.path().c_str());
  std::vector<Program> programs = client.load(directory / "list.bpf.o");
  ASSERT_EQ(programs.size(), 1u);
  EXPECT_EQ(programs[0].name(), "push");
  uint32_t ctx = 0;
  EXPECT_EQ(programs[0].run(ctx).retval, 42);
  EXPECT_EQ(ctx, 9u);
  programs[0].unload();
  std::filesystem::remove_all(directory);
}

TEST(SharedLibrary, ShowsOnlyItsFunctions) {
  Dl_info found{};
  ASSERT_NE(::dladdr(reinterpret_cast<void*>(&uarena_connect), &found), 0);
  void* library = ::dlopen("libuarena.so.0", RTLD_NOW | RTLD_NOLOAD);
  ASSERT_NE(library, nullptr) << ::dlerror();
  for (const char* name : {"uarena_connect",
                           "uarena_close",
                           "uarena_error",
                           "uarena_why",
                           "uarena_log",
                           "uarena_create",
                           "uarena_create_with",
                           "uarena_find",
                           "uarena_stat",
                           "uarena_delete",
                           "uarena_attach",
                           "uarena_detach",
                           "uarena_syscalls_served",
                           "uarena_prefault",
                           "uarena_alloc",
                           "uarena_free",
                           "uarena_reserve",
                           "uarena_prog_load",
                           "uarena_prog_run",
                           "uarena_prog_unload"})
    EXPECT_NE(::dlsym(library, name), nullptr) << name;
  // One of the C++ functions behind them.
  EXPECT_EQ(::dlsym(library, "_ZN6uarena3ipc10last_errorEv"), nullptr);
  ::dlclose(library);
}

}  // namespace
}  // namespace uarena::ipc
