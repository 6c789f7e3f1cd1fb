// Random sequences on a real arena against a simple model: a map from page to who took it, and the
// naive placement model. After every step: the same answers, the same extents, exactly the pages in
// the file that should be there, new pages zero (K37) and old ones unchanged.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <optional>

#include "tests/broker/arena_fixture.h"
#include "tests/broker/naive_free_model.h"

namespace uarena::broker {
namespace {

class Model {
 public:
  enum class Kind { served, segv, direct };
  Model(uint32_t pages, Kind kind) : pages_(pages), kind_(kind), free_(pages) {}

  std::optional<uint32_t> alloc(std::optional<uint32_t> at, uint32_t count) {
    if (count > pages_) return std::nullopt;
    const std::optional<uint32_t> first = at ? at : free_.find(count);
    if (!first || !free_.all_free({*first, count})) return std::nullopt;
    take({*first, count}, Origin::program);
    return first;
  }
  // Pages of which the arena learns late may be placed in another order: any gap will do.
  bool alloc_direct(int64_t got, uint32_t count) {
    if (got < 0) return count > pages_ || !free_.find(count);
    const PageRange range = {static_cast<uint32_t>(got), count};
    if (range.end() > pages_ || !free_.all_free(range)) return false;
    take(range, Origin::program);
    return true;
  }
  void free(uint32_t first, uint32_t count) {
    if (first >= pages_) return;
    const PageRange range = {first, std::min(count, pages_ - first)};
    free_.release(range);
    for (uint32_t page = first; page < range.end(); ++page) taken_.erase(page);
  }
  int reserve(uint32_t first, uint32_t count) {
    if (first + count > pages_) return -EINVAL;
    if (!free_.all_free({first, count})) return -EBUSY;
    take({first, count}, Origin::reserved);
    return 0;
  }
  bool fault(uint32_t page) {
    if (page >= pages_) return false;
    const auto found = taken_.find(page);
    if (found != taken_.end() && found->second.origin != Origin::reserved) return true;
    if (kind_ == Kind::segv) return false;
    const Origin origin = kind_ == Kind::direct ? Origin::client : Origin::fault;
    if (found == taken_.end())
      take({page, 1}, origin);
    else
      found->second = {origin, 0};
    return true;
  }

  std::vector<PageExtent> extents() const {
    std::vector<PageExtent> all;
    for (const auto& [page, taken] : taken_)
      if (!all.empty() && all.back().origin == taken.origin && all.back().pages.end() == page)
        ++all.back().pages.count;
      else
        all.push_back({{page, 1}, taken.origin});
    return all;
  }

  struct Taken {
    Origin origin;
    unsigned char byte;  // what the test has written there
  };
  std::map<uint32_t, Taken>& taken() { return taken_; }
  uint32_t present() const {
    return static_cast<uint32_t>(std::ranges::count_if(
        taken_, [](const auto& entry) { return entry.second.origin != Origin::reserved; }));
  }

 private:
  void take(PageRange range, Origin origin) {
    free_.take(range);
    for (uint32_t page = range.first; page < range.end(); ++page) taken_[page] = {origin, 0};
  }

  uint32_t pages_;
  Kind kind_;
  NaiveFreeModel free_;
  std::map<uint32_t, Taken> taken_;
};

void check_pages(TestArena& arena, Model& model, unsigned char mark) {
  for (auto& [page, taken] : model.taken()) {
    if (taken.origin == Origin::reserved) continue;
    RC_ASSERT(arena.byte(page) == taken.byte);
    RC_ASSERT(arena.byte(page, kPageSize - 1) == taken.byte);
    taken.byte = mark;
    arena.byte(page) = mark;
    arena.byte(page, kPageSize - 1) = mark;
  }
}

RC_GTEST_PROP(ArenaProperty, BehavesAsTheModel, ()) {
  const auto pages = *rc::gen::inRange<uint32_t>(1, 40);
  const auto kind = *rc::gen::element(Model::Kind::served, Model::Kind::segv, Model::Kind::direct);
  const bool direct = kind == Model::Kind::direct;
  TestArena arena(pages, kind == Model::Kind::segv ? kBpfFSegvOnFault : 0, kTestStart,
                  {.way = direct ? FaultWay::direct : FaultWay::served});
  Model model(pages, kind);
  const auto steps = *rc::gen::inRange<unsigned>(1, 40);
  for (unsigned step = 0; step < steps; ++step) {
    const auto first = *rc::gen::inRange<uint32_t>(0, pages + 2);
    const auto count = *rc::gen::inRange<uint32_t>(1, 9);
    switch (*rc::gen::inRange(0, 6)) {
      case 0:
      case 1: {
        if (direct) {
          RC_ASSERT(model.alloc_direct(arena.alloc(count), count));
          break;
        }
        const auto expected = model.alloc(std::nullopt, count);
        RC_ASSERT(arena.alloc(count) == (expected ? int64_t{*expected} : -1));
        break;
      }
      case 2: {
        const auto expected = model.alloc(first, count);
        RC_ASSERT(arena.alloc_at(first, count) == (expected ? int64_t{*expected} : -1));
        break;
      }
      case 3:
        arena.free(first, count);
        model.free(first, count);
        break;
      case 4:
        RC_ASSERT(arena.reserve(first, count) == model.reserve(first, count));
        break;
      default:
        if (!direct) {
          RC_ASSERT(arena.fault(first) == model.fault(first));
        } else if (model.fault(first)) {
          arena.byte(first) = arena.byte(first);  // a client's touch
        }
    }
    // Looking tells a direct arena what clients have touched, so look now and then only.
    if (!direct || step % 4 == 3) RC_ASSERT(arena->extents() == model.extents());
    RC_ASSERT(arena.blocks() == model.present());
    RC_ASSERT(arena.allocated() == model.present());
    RC_ASSERT(arena.account().used(Resource::pages) == (direct ? pages : model.present()));
    check_pages(arena, model, static_cast<unsigned char>(step + 1));
  }
}

}  // namespace
}  // namespace uarena::broker
