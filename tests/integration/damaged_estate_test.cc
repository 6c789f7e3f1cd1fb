// What a successor makes of a store in which something is damaged, missing or not ours: it says so,
// leaves out what it must, and goes on with the rest.
#include <sys/mman.h>

#include "tests/integration/estate_fixture.h"

namespace uarena::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class DamagedEstate : public KeptEstate {
 protected:
  // The arenas 1 to 4, whose names are a to d, with a page of each; and the programs of list.bpf.c
  // in the second, those of globals.bpf.c in the fourth. Then it is killed.
  void leave() {
    Service service(arguments(), environment());
    keep();
    ASSERT_NE(service.ready(), 0) << service.log();
    auto client = connect();
    ipc::ArenaSpec spec;
    spec.max_entries = 1024;
    spec.map_flags = kBpfFMmapable;
    for (uint64_t id = 1; id <= 4; ++id) {
      ASSERT_EQ(client.create_arena(std::string(1, static_cast<char>('a' + id - 1)), spec)->id, id);
      if (id == 2 || id == 4) {
        ipc::LoadSpec load;
        load.arena_id = id;
        ASSERT_TRUE(
            client.load(id == 2 ? UARENA_BPF_DIR "/list.bpf.o" : UARENA_BPF_DIR "/globals.bpf.o",
                        load, nullptr));
      } else {
        ASSERT_TRUE(client.page_op(UARENA_MSG_PAGE_ALLOC, id, 0, 1, -1));
      }
    }
    end(service, SIGKILL, 128 + SIGKILL);
    for (const char* name :
         {"ledger", "mem.1", "state.1", "mem.4", "state.4", "obj.1", "obj.2", "map.2.2"})
      EXPECT_TRUE(kept_.contains(name)) << name;
  }
};

TEST_F(DamagedEstate, WhatIsLostIsToldAndTheRestGoesOn) {
  leave();
  damage("state.1", 8192, 0x0123456789abcdef);
  kept_.erase("mem.2");
  damage("obj.2", 72 + 64 + 256, 0);  // the ELF bytes
  kept_["state.77"] = Fd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  kept_["mem.77"] = Fd(::memfd_create("mem", MFD_CLOEXEC));
  kept_["client.5"] = Fd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  kept_["uffd.5.3"] = Fd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  kept_["run.6.9999999"] = Fd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  kept_["map.9.9"] = Fd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  kept_["mem.x"] = Fd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  auto service = succeed();
  ASSERT_NE(service->ready(), 0) << service->log();
  for (const char* name : {"state.1", "state.2", "state.77", "obj.1", "obj.2"})
    EXPECT_THAT(service->log(), HasSubstr("event=takeover.lost name=\"" + std::string(name) + '"'));
  EXPECT_THAT(service->log(), HasSubstr("event=client.not_resumed client=5"));
  EXPECT_THAT(service->log(), HasSubstr("descriptor_not_wanted name=\"mem.x\""));
  EXPECT_THAT(service->log(), HasSubstr("event=daemon.took_over arenas=2 programs=0 "));

  auto client = connect();
  const auto arenas = client.arenas();
  ASSERT_TRUE(arenas && arenas->size() == 2);
  EXPECT_STREQ((*arenas)[0].name, "c");
  EXPECT_EQ((*arenas)[0].pages_allocated, 1U);
  EXPECT_STREQ((*arenas)[1].name, "d");
  ipc::ArenaSpec spec;
  spec.max_entries = 16;
  spec.map_flags = kBpfFMmapable;
  EXPECT_EQ(client.create_arena("a", spec)->id, 5U) << "its name is free, its number is not";
  end(*service, SIGKILL, 128 + SIGKILL);
  // What was lost is not in the store any more either, but for an arena whose files are there.
  EXPECT_THAT(service->log(), HasSubstr("name=\"state.1\" kept=true"));
  EXPECT_THAT(service->log(), HasSubstr("name=\"state.2\" kept=false"));
  for (const auto& [name, fd] : kept_)
    EXPECT_THAT(name, ::testing::AnyOf("ledger", "mem.1", "state.1", "mem.3", "state.3", "mem.4",
                                       "state.4", "mem.5", "state.5", HasSubstr("client."),
                                       HasSubstr("run."), HasSubstr("listener-")));
}

// Bytes of a map that are not there, or have another size, would be other variables.
TEST_F(DamagedEstate, AProgramWithoutItsVariablesIsLost) {
  leave();
  kept_["map.2.2"] = Fd(::memfd_create("map", MFD_CLOEXEC));
  auto service = succeed();
  ASSERT_NE(service->ready(), 0) << service->log();
  EXPECT_THAT(service->log(), HasSubstr("event=takeover.lost name=\"obj.2\""));
  auto client = connect();
  EXPECT_EQ(client.programs()->size(), 2U);
  EXPECT_EQ(client.arenas()->size(), 4U);
  EXPECT_TRUE(client.delete_arena(4));
  end(*service, SIGTERM, 0);
}

// Without it nobody knows which numbers have been given out, and what was begun.
TEST_F(DamagedEstate, WithADamagedLedgerThereIsNoSuccessor) {
  leave();
  damage("ledger", 0, 1);
  auto service = succeed();
  end(*service, 0, 1);
  EXPECT_THAT(service->log(), HasSubstr("no ledger: it begins with 0x1"));
}

}  // namespace
}  // namespace uarena::testing
