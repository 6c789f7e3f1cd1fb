// What a client may do to its mapping of an arena (K23, K24). The kernel's arena is a mapping of a
// special kind, most of whose changes the kernel refuses. A client of ours owns a mapping of a
// memory file, and may change it like any other: what it loses is its own, the arena, its truth and
// everybody else stay as they are, and detaching and attaching again makes it whole.
#include "tests/parity/client_scenario.h"
#include "tests/parity/in_child.h"

namespace uarena::testing {
namespace {

template <typename Side>
class Remapping : public ClientScenario<Side> {
 protected:
  // Lets go of the arena and maps it again, and then all of it is there; an errno or a touch's end
  // otherwise.
  int renew(Mapped& mapped) {
    if (const int failed = this->side_->unmap(mapped); failed != 0) return failed;
    mapped = this->side_->map_again();
    for (uint64_t page = 0; page < kPages; ++page)
      if (const int ended = load_page(mapped.base, page); ended != kFine) return ended;
    return 0;
  }
};
TYPED_TEST_SUITE(Remapping, AllSides, SideName);

TYPED_TEST(Remapping, MunmapOfAPart) {
  struct Seen {
    int result, inside, before, behind, renewed;
  };
  const Seen seen = this->in_client([&](Mapped mapped) {
    Seen now{};
    now.result = error_of(::munmap(mapped.base + 4 * kPageSize, 2 * kPageSize));
    now.inside = store_page(mapped.base, 4);
    now.before = store_page(mapped.base, 3);
    now.behind = store_page(mapped.base, 6);
    now.renewed = this->renew(mapped);
    return now;
  });
  EXPECT_EQ(seen.result, this->ours(0));
  EXPECT_EQ(seen.inside, TypeParam::kKernels ? kFine : kNotMapped);
  EXPECT_EQ(seen.before, kFine);
  EXPECT_EQ(seen.behind, kFine);
  EXPECT_EQ(seen.renewed, 0);
  this->expect_others_served();
}

TYPED_TEST(Remapping, MunmapOfTheWhole) {
  struct Seen {
    int result, inside, renewed, kept;
  };
  const Seen seen = this->in_client([&](Mapped mapped) {
    Seen now{};
    mapped.base[3 * kPageSize] = 42;
    now.result = error_of(::munmap(mapped.base, kLength));
    now.inside = store_page(mapped.base, 3);
    if constexpr (!TypeParam::kKernels)
      now.renewed = this->side_->unmap(mapped);  // the broker hears of it by the detach
    mapped = this->side_->map_again();
    now.kept = mapped.base[3 * kPageSize];
    return now;
  });
  EXPECT_EQ(seen.result, 0);
  EXPECT_EQ(seen.inside, kNotMapped);
  EXPECT_EQ(seen.renewed, 0);
  EXPECT_EQ(seen.kept, 42);
  EXPECT_EQ(this->taken(), 1u << 3);
  this->expect_others_served();
}

TYPED_TEST(Remapping, MremapShrinks) {
  struct Seen {
    int result, cut, before, renewed;
  };
  const Seen seen = this->in_client([&](Mapped mapped) {
    Seen now{};
    now.result = error_of(::mremap(mapped.base, kLength, kLength - kPageSize, 0));
    now.cut = store_page(mapped.base, kPages - 1);
    now.before = store_page(mapped.base, kPages - 2);
    now.renewed = this->renew(mapped);
    return now;
  });
  EXPECT_EQ(seen.result, this->ours(0));
  EXPECT_EQ(seen.cut, TypeParam::kKernels ? kFine : kNotMapped);
  EXPECT_EQ(seen.before, kFine);
  EXPECT_EQ(seen.renewed, 0);
  this->expect_others_served();
}

// There is nothing in the file behind an arena's end.
TYPED_TEST(Remapping, MremapGrows) {
  struct Seen {
    int result, behind, before;
  };
  const Seen seen = this->in_client([&](const Mapped& mapped) {
    Seen now{};
    now.result = error_of(::mremap(mapped.base, kLength, kLength + kPageSize, 0));
    now.behind = store_page(mapped.base, kPages);
    now.before = store_page(mapped.base, 1);
    return now;
  });
  EXPECT_EQ(seen.result, TypeParam::kKernels ? EFAULT : 0);
  EXPECT_EQ(seen.behind, TypeParam::kKernels ? kNotMapped : kBehindTheFile);
  EXPECT_EQ(seen.before, kFine);
  EXPECT_EQ(this->taken(), 1u << 1);
  this->expect_others_served();
}

// What was moved is a mapping of the file that nobody answers for: the kernel fills its pages, and
// the broker finds them when it meets them.
TYPED_TEST(Remapping, MremapMoves) {
  struct Seen {
    int result, old_place, new_place, renewed;
  };
  const Seen seen = this->in_client([&](Mapped mapped) {
    Seen now{};
    char* elsewhere = mapped.base + (uint64_t{1} << 30);
    now.result =
        error_of(::mremap(mapped.base, kLength, kLength, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere));
    now.old_place = store_page(mapped.base, 5);
    if constexpr (!TypeParam::kKernels) {
      now.new_place = store_page(elsewhere, 7);
      now.renewed = this->renew(mapped);
    }
    return now;
  });
  EXPECT_EQ(seen.result, this->ours(0));
  EXPECT_EQ(seen.old_place, TypeParam::kKernels ? kFine : kNotMapped);
  EXPECT_EQ(seen.new_place, kFine);
  EXPECT_EQ(seen.renewed, 0);
  if (!TypeParam::kKernels) {
    EXPECT_NE(this->peek(7), 0u);
    EXPECT_NE(this->taken() & (1u << 7), 0u);
  }
  this->expect_others_served();
}

TYPED_TEST(Remapping, MadviseDontneedKeepsTheData) {
  struct Seen {
    int result, value;
  };
  const Seen seen = this->in_client([&](const Mapped& mapped) {
    mapped.base[2 * kPageSize] = 7;
    const int result = error_of(::madvise(mapped.base, kLength, MADV_DONTNEED));
    return Seen{result, mapped.base[2 * kPageSize]};
  });
  EXPECT_EQ(seen.result, 0);
  EXPECT_EQ(seen.value, 7);
  EXPECT_EQ(this->taken(), 1u << 2);
}

// The client's own loss: the page is still its arena's, and zero.
TYPED_TEST(Remapping, MadviseRemoveTakesTheBytesAndNotThePage) {
  struct Seen {
    int result, removed, value, again;
  };
  const Seen seen = this->in_client([&](const Mapped& mapped) {
    mapped.base[2 * kPageSize] = 7;
    Seen now{};
    now.result = error_of(::madvise(mapped.base + 2 * kPageSize, kPageSize, MADV_REMOVE));
    now.value = static_cast<volatile char*>(mapped.base)[2 * kPageSize];
    now.again = store_page(mapped.base, 2);
    return now;
  });
  EXPECT_EQ(seen.result, TypeParam::kKernels ? ENODEV : 0);
  EXPECT_EQ(seen.value, TypeParam::kKernels ? 7 : 0);
  EXPECT_EQ(seen.again, kFine);
  EXPECT_EQ(this->taken(), 1u << 2);
  this->expect_others_served();
}

// What keeps the arena from children and core dumps was the client's choice, and it can take it
// back; of the kernel's the first alone. A child then has a mapping that nobody answers for, which
// the kernel fills.
TYPED_TEST(Remapping, MadviseDoforkAndDodump) {
  struct Seen {
    int fork, dump, child;
  };
  const Seen seen = this->in_client([&](const Mapped& mapped) {
    Seen now{};
    now.fork = error_of(::madvise(mapped.base, kLength, MADV_DOFORK));
    now.dump = error_of(::madvise(mapped.base, kLength, MADV_DODUMP));
    if (!TypeParam::kKernels)
      now.child = in_child([&] { return store_page(mapped.base, 5) == kFine ? 0 : 1; });
    return now;
  });
  EXPECT_EQ(seen.fork, 0);
  EXPECT_EQ(seen.dump, this->ours(0));
  EXPECT_EQ(seen.child, 0);
  EXPECT_EQ(this->taken(), TypeParam::kKernels ? 0u : 1u << 5);
  this->expect_others_served();
}

TYPED_TEST(Remapping, MprotectOfAPart) {
  struct Seen {
    int result, store, load, beside;
  };
  const Seen seen = this->in_client([&](const Mapped& mapped) {
    Seen now{};
    now.result = error_of(::mprotect(mapped.base + 4 * kPageSize, kPageSize, PROT_READ));
    now.store = store_page(mapped.base, 4);
    now.load = load_page(mapped.base, 4);
    now.beside = store_page(mapped.base, 5);
    return now;
  });
  EXPECT_EQ(seen.result, this->ours(0));
  EXPECT_EQ(seen.store, TypeParam::kKernels ? kFine : kNotAllowed);
  EXPECT_EQ(seen.load, kFine);
  EXPECT_EQ(seen.beside, kFine);
  EXPECT_EQ(this->taken(), 0x30u);
  this->expect_others_served();
}

TYPED_TEST(Remapping, MprotectOfTheWhole) {
  struct Seen {
    int read_only, store, load, back, store_again;
  };
  const Seen seen = this->in_client([&](const Mapped& mapped) {
    Seen now{};
    now.read_only = error_of(::mprotect(mapped.base, kLength, PROT_READ));
    now.store = store_page(mapped.base, 4);
    now.load = load_page(mapped.base, 5);
    now.back = error_of(::mprotect(mapped.base, kLength, PROT_READ | PROT_WRITE));
    now.store_again = store_page(mapped.base, 6);
    return now;
  });
  EXPECT_EQ(seen.read_only, 0);
  EXPECT_EQ(seen.store, kNotAllowed);
  EXPECT_EQ(seen.load, kFine);
  EXPECT_EQ(seen.back, 0);
  EXPECT_EQ(seen.store_again, kFine);
  EXPECT_EQ(this->taken(), 0x60u);  // a store that is not allowed takes no page
}

TYPED_TEST(Remapping, MprotectToExecutable) {
  const int result = this->in_client([&](const Mapped& mapped) {
    return error_of(::mprotect(mapped.base, kLength, PROT_READ | PROT_EXEC));
  });
  EXPECT_EQ(result, TypeParam::kKernels ? EACCES : 0);
}

TYPED_TEST(Remapping, SomethingElseOverAPart) {
  struct Seen {
    int result, inside, beside, renewed, value;
  };
  const Seen seen = this->in_client([&](Mapped mapped) {
    Seen now{};
    void* other = ::mmap(mapped.base + 4 * kPageSize, kPageSize, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    now.result = error_of(other);
    now.inside = store_page(mapped.base, 4);
    now.beside = store_page(mapped.base, 5);
    now.renewed = this->renew(mapped);
    now.value = mapped.base[4 * kPageSize];
    return now;
  });
  EXPECT_EQ(seen.result, this->ours(0));
  EXPECT_EQ(seen.inside, kFine);
  EXPECT_EQ(seen.beside, kFine);
  EXPECT_EQ(seen.renewed, 0);
  EXPECT_EQ(seen.value, TypeParam::kKernels ? 1 : 0);  // ours did not get to the arena
  this->expect_others_served();
}

TYPED_TEST(Remapping, SomethingElseOverTheWhole) {
  struct Seen {
    int result, inside, renewed, value;
  };
  const Seen seen = this->in_client([&](Mapped mapped) {
    Seen now{};
    void* other = ::mmap(mapped.base, kLength, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    now.result = error_of(other);
    now.inside = store_page(mapped.base, 4);
    now.renewed = this->renew(mapped);
    now.value = mapped.base[4 * kPageSize];
    return now;
  });
  EXPECT_EQ(seen.result, 0);
  EXPECT_EQ(seen.inside, kFine);
  EXPECT_EQ(seen.renewed, 0);
  EXPECT_EQ(seen.value, 0);
  this->expect_others_served();
}

// The kernel's answer is of this process's page tables. Ours is of the file, whoever made the page,
// and for those who do not own the file it is always yes.
TYPED_TEST(Remapping, MincoreOfAPageThatSomebodyElseTouched) {
  EXPECT_FALSE(touch(this->side_->at(9)));
  const auto seen = this->in_client([&](const Mapped& mapped) {
    std::array<unsigned char, kPages> pages{};
    EXPECT_EQ(::mincore(mapped.base, kLength, pages.data()), 0);
    return std::pair(pages[9] & 1, pages[8] & 1);
  });
  constexpr bool kOwnsTheFile = !std::is_same_v<TypeParam, NobodySide>;
  EXPECT_EQ(seen, TypeParam::kKernels ? std::pair(0, 0) : std::pair(1, kOwnsTheFile ? 0 : 1));
}

}  // namespace
}  // namespace uarena::testing
