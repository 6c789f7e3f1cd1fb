// A client that works while brokers die, knows what must come of it, and ends with exit status 1
// and a sentence as soon as anything is different.
//
//   survivor SOCKET NAME BPF_DIRECTORY [SEED]
//
// Four threads, each with a connection of its own: pages touched and written; pages allocated,
// freed and reserved; programs loaded, run and unloaded; arenas made, attached and deleted. An
// answer EOWNERDEAD ("outcome unknown") may mean done or not done: which of the two is looked up,
// and nothing in between is accepted.
//
// It prints `working` when all threads are at it, then obeys lines of standard input:
//   check     all that the threads know is compared with what the broker says and with the memory;
//             answers `good` with what was done so far
//   end       the same, then takes away what it made, and prints the numbers (ids) it was given
// The end of standard input is the end without a check.
#include <err.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "ipc/client/connection_handle.h"
#include "tests/bpf/contexts.h"
#include "tests/broker/naive_free_model.h"

namespace {

using namespace uarena;

struct {
  const char* socket;
  std::string name;
  std::string bpf;
  uint64_t seed = 1;
} options;

template <typename... Args>
[[noreturn]] void different(fmt::format_string<Args...> form, Args&&... args) {
  const std::string line = fmt::format("survivor {}: {}\n", options.name,
                                       fmt::format(form, std::forward<Args>(args)...));
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
  ::_exit(1);
}

// The call must succeed.
int64_t must(int64_t result, const std::string& what) {
  if (result < 0) different("{}: {} ({})", what, uarena_error(), result);
  return result;
}

template <typename T>
T must(Result<T> result, const std::string& what) {
  if (!result) different("{}: {} ({})", what, result.error().message, result.error().code);
  return std::move(*result);
}

struct Close {
  void operator()(uarena_conn* conn) const { uarena_close(conn); }
};
using Conn = std::unique_ptr<uarena_conn, Close>;

// Who has not been greeted when the broker dies is unknown to its successor, and comes again; the
// library does so, too, but here brokers die faster than it has patience for.
Conn connect() {
  uarena_conn* conn = nullptr;
  int result;
  do {
    result = uarena_connect(options.socket, &conn);
  } while (result == -ECONNRESET || result == -EPIPE);
  must(result, "connect");
  return Conn(conn);
}

struct Work {
  std::atomic<uint64_t> touches, page_calls, runs, loads, lives, unknown, checked;
} done;

// No number is given twice, and later ones are larger.
class Numbers {
 public:
  explicit Numbers(const char* what) : what_(what) {}
  void given(uint64_t id) {
    const std::lock_guard guard(lock_);
    if (!all_.insert(id).second) different("{} {} was given twice", what_, id);
  }
  std::string all() const { return fmt::format("{} {}", what_, fmt::join(all_, " ")); }

 private:
  const char* what_;
  std::mutex lock_;
  std::set<uint64_t> all_;
};
Numbers arena_ids("arenas"), program_ids("programs");

// An arena and what must never change of it.
class OwnArena {
 public:
  OwnArena(uarena_conn* conn, const std::string& name, uint32_t pages, uint32_t more_flags = 0,
           const uarena_create_opts* opts = nullptr)
      : conn_(conn) {
    uarena_attr attr{};
    attr.map_type = UARENA_MAP_TYPE_ARENA;
    attr.max_entries = pages;
    attr.map_flags = UARENA_F_MMAPABLE | more_flags;
    must(uarena_create_with(conn, name.c_str(), &attr, opts, &info_), "create " + name);
    arena_ids.given(info_.id);
    if (name != info_.name) different("{} was created as {}", name, info_.name);
  }
  void attach(unsigned flags = 0) {
    void* base;
    must(uarena_attach(conn_, id(), flags, &base), "attach");
    if (base != address(0)) different("{} came to lie at {}", info_.name, base);
  }
  void detach() { must(uarena_detach(conn_, id()), "detach"); }
  void remove() { must(uarena_delete(conn_, id()), fmt::format("delete {}", info_.name)); }

  uarena_info check_identity(uarena_conn* conn) const {
    uarena_info now, found;
    must(uarena_stat(conn, id(), &now), "stat");
    must(uarena_find(conn, info_.name, &found), "find");
    for (const uarena_info& one : {now, found})
      if (one.id != info_.id || one.user_vm_start != info_.user_vm_start ||
          one.max_entries != info_.max_entries || one.map_flags != info_.map_flags ||
          std::strcmp(one.name, info_.name) != 0)
        different("arena {} {} at {:#x} became {} {} at {:#x}", info_.id, info_.name,
                  info_.user_vm_start, one.id, one.name, one.user_vm_start);
    return now;
  }
  // By page; 0: free.
  std::vector<uint32_t> origins() const {
    std::vector<uint32_t> pages(info_.max_entries);
    for (const uarena_page_extent& extent : must(conn_->broker.page_extents(id()), "page list"))
      std::fill_n(pages.begin() + extent.page, extent.count, extent.origin);
    return pages;
  }

  uint64_t id() const { return info_.id; }
  const char* name() const { return info_.name; }
  void* address(uint32_t page) const {
    return reinterpret_cast<void*>(info_.user_vm_start + page * kPageSize);
  }
  volatile uint64_t* words(uint32_t page) const {
    return static_cast<volatile uint64_t*>(address(page));
  }
  uint32_t page_of(const void* where) const {
    return static_cast<uint32_t>((reinterpret_cast<uint64_t>(where) - info_.user_vm_start) /
                                 kPageSize);
  }

 private:
  uarena_conn* conn_;
  uarena_info info_{};
};

constexpr size_t kWords = kPageSize / 8;
constexpr size_t kLooked[] = {0, kWords / 2, kWords - 1};

// Each word of a page has its own, so that a page in a wrong place shows. Value 0: a page of zeros.
uint64_t pattern(uint64_t value, size_t word) { return value == 0 ? 0 : value << 16 | word; }

void write_page(const OwnArena& arena, uint32_t page, uint64_t value) {
  volatile uint64_t* const words = arena.words(page);
  for (size_t i = 0; i < kWords; ++i) words[i] = pattern(value, i);
}

bool page_is(const OwnArena& arena, uint32_t page, uint64_t value) {
  volatile uint64_t* const words = arena.words(page);
  for (size_t i = 0; i < kWords; ++i)
    if (words[i] != pattern(value, i)) return false;
  return true;
}

void check_page(const OwnArena& arena, uint32_t page, uint64_t value) {
  if (!page_is(arena, page, value))
    different("page {} of {} holds {:#x}, not {:#x}", page, arena.name(), arena.words(page)[0],
              pattern(value, 0));
  ++done.checked;
}

class Worker {
 public:
  explicit Worker(uint64_t salt) : random_(options.seed * 16 + salt) {}
  virtual ~Worker() = default;
  virtual void step() = 0;
  virtual void check() = 0;
  virtual void finish() = 0;

 protected:
  uint32_t any(uint32_t below) { return static_cast<uint32_t>(random_() % below); }
  uarena_conn* conn() const { return conn_.get(); }

 private:
  std::mt19937_64 random_;
  const Conn conn_ = connect();
};

// A touch makes one page.
constexpr uarena_create_opts kPageByPage{sizeof kPageByPage, UARENA_SERVED, 1};

// Touches pages and writes them.
class Toucher : public Worker {
 public:
  Toucher() : Worker(1), arena_(conn(), options.name + "-touched", kPages, 0, &kPageByPage) {
    arena_.attach();
  }

  void step() override {
    const uint32_t page = any(kPages);
    for (const size_t word : kLooked)
      if (const uint64_t is = arena_.words(page)[word]; is != pattern(values_[page], word))
        different("word {} of touched page {} is {:#x}, not {:#x}", word, page, is,
                  pattern(values_[page], word));
    present_[page] = true;
    if (any(4) != 0) write_page(arena_, page, values_[page] = ++last_);
    ++done.touches;
    // When all are there faults end, so they go now and then.
    if (any(3 * kPages) != 0) return;
    if (const int freed = uarena_free(conn(), arena_.id(), arena_.address(0), kPages); freed == 0) {
      values_ = {};
      present_ = {};
    } else {
      if (freed != -EOWNERDEAD) must(freed, "free");
      ++done.unknown;
      settle();
    }
    ++done.page_calls;
  }

  void check() override {
    const uarena_info info = arena_.check_identity(conn());
    const auto origins = arena_.origins();
    uint32_t allocated = 0;
    for (uint32_t page = 0; page < kPages; ++page) {
      if (origins[page] != (present_[page] ? uint32_t{UARENA_ORIGIN_FAULT} : 0))
        different("touched page {} has origin {}, was it touched: {}", page, origins[page],
                  present_[page]);
      allocated += present_[page];
      if (present_[page]) check_page(arena_, page, values_[page]);
    }
    if (info.pages_allocated != allocated || info.pages_reserved != 0)
      different("{} pages are allocated of {}, {} reserved", info.pages_allocated, allocated,
                info.pages_reserved);
  }

  void finish() override {
    arena_.detach();
    arena_.remove();
  }

 private:
  // A free may have been cut off anywhere: what is listed is there, as it was or as zeros.
  void settle() {
    const auto origins = arena_.origins();
    for (uint32_t page = 0; page < kPages; ++page) {
      if (origins[page] != 0 && !present_[page]) different("page {} came from nowhere", page);
      present_[page] = origins[page] != 0;
      if (!present_[page] || page_is(arena_, page, 0)) values_[page] = 0;
    }
  }

  static constexpr uint32_t kPages = 600;
  OwnArena arena_;
  std::array<uint64_t, kPages> values_{};
  std::array<bool, kPages> present_{};
  uint64_t last_ = 0;
};

// Allocates, frees and reserves pages, and knows where each comes to lie (K36).
class Allocator : public Worker {
 public:
  Allocator() : Worker(2), arena_(conn(), options.name + "-allocated", kPages, 0, &kPageByPage) {
    arena_.attach();
  }

  void step() override {
    const uint32_t count = 1 + any(4), page = any(kPages - 4);
    const uint32_t what = any(12);
    if (what < 4) return allocate(pages_.free.find(count), count, nullptr);
    if (what < 5)
      return allocate(pages_.free.all_free({page, count}) ? std::optional(page) : std::nullopt,
                      count, arena_.address(page));
    if (what < 8) return release(page, count);
    if (what < 9) return reserve(page, count);
    touch(page);
  }

  void check() override {
    const uarena_info info = arena_.check_identity(conn());
    if (const auto origins = arena_.origins(); origins != pages_.origins)
      different("the pages are {}, not {}", fmt::join(origins, ""), fmt::join(pages_.origins, ""));
    uint32_t allocated = 0, reserved = 0;
    for (uint32_t page = 0; page < kPages; ++page) {
      if (pages_.origins[page] == UARENA_ORIGIN_RESERVED) ++reserved;
      if (!is_allocated(page)) continue;
      ++allocated;
      look(page);
    }
    if (info.pages_allocated != allocated || info.pages_reserved != reserved)
      different("{} and {} pages are allocated and reserved, not {} and {}", info.pages_allocated,
                info.pages_reserved, allocated, reserved);
  }

  void finish() override {
    arena_.detach();
    arena_.remove();
  }

 private:
  static constexpr uint32_t kPages = 256;
  struct Pages {
    broker::NaiveFreeModel free{kPages};
    std::vector<uint32_t> origins = std::vector<uint32_t>(kPages);
    std::array<uint64_t, kPages> values{};
    std::array<bool, kPages> or_zero{};

    void take(uint32_t page, uint32_t count, uint32_t origin) {
      free.take({page, count});
      for (uint32_t i = page; i < page + count; ++i) {
        origins[i] = origin;
        values[i] = 0;
        or_zero[i] = false;
      }
    }
    void release(uint32_t page, uint32_t count) {
      free.release({page, count});
      std::fill_n(origins.begin() + page, count, 0);
    }
  };

  bool is_allocated(uint32_t page) const {
    return pages_.origins[page] != 0 && pages_.origins[page] != UARENA_ORIGIN_RESERVED;
  }
  void look(uint32_t page) {
    if (std::exchange(pages_.or_zero[page], false) && page_is(arena_, page, 0))
      pages_.values[page] = 0;
    check_page(arena_, page, pages_.values[page]);
  }

  // The outcome is unknown: it is as before or as after, nothing else.
  bool was_done(const Pages& after) {
    ++done.unknown;
    const auto now = arena_.origins();
    if (now != pages_.origins && now != after.origins)
      different("a call that was cut off left the pages {}, neither {} nor {}", fmt::join(now, ""),
                fmt::join(pages_.origins, ""), fmt::join(after.origins, ""));
    return now == after.origins;
  }

  void allocate(std::optional<uint32_t> expected, uint32_t count, void* where) {
    Pages after = pages_;
    if (expected) after.take(*expected, count, UARENA_ORIGIN_CLIENT);
    void* const got = uarena_alloc(conn(), arena_.id(), where, count, -1, 0);
    ++done.page_calls;
    if (got == nullptr && errno == EOWNERDEAD) {
      if (!was_done(after)) return;
    } else if (got == nullptr && errno != ENOMEM) {
      different("alloc: {}", uarena_error());
    } else if (got != (expected ? arena_.address(*expected) : nullptr)) {
      different("{} pages were allocated at {}, not at page {}", count, got,
                expected ? static_cast<int64_t>(*expected) : -1);
    }
    pages_ = std::move(after);
    if (!expected) return;
    for (uint32_t page = *expected; page < *expected + count; ++page) {
      look(page);
      if (any(2) != 0) write_page(arena_, page, pages_.values[page] = ++last_);
    }
  }

  void release(uint32_t page, uint32_t count) {
    Pages after = pages_;
    after.release(page, count);
    const int result = uarena_free(conn(), arena_.id(), arena_.address(page), count);
    ++done.page_calls;
    if (result == -EOWNERDEAD) {
      if (!was_done(after)) {
        std::fill_n(pages_.or_zero.begin() + page, count, true);
        return;
      }
    } else {
      must(result, "free");
    }
    pages_ = std::move(after);
  }

  void reserve(uint32_t page, uint32_t count) {
    const bool possible = pages_.free.all_free({page, count});
    Pages after = pages_;
    if (possible) after.take(page, count, UARENA_ORIGIN_RESERVED);
    const int result = uarena_reserve(conn(), arena_.id(), arena_.address(page), count);
    ++done.page_calls;
    if (result == -EOWNERDEAD) {
      if (!was_done(after)) return;
    } else if (result != (possible ? 0 : -EBUSY)) {
      different("reserve: {} ({})", uarena_error(), result);
    }
    pages_ = std::move(after);
  }

  void touch(uint32_t page) {
    if (pages_.origins[page] == 0) {
      pages_.take(page, 1, UARENA_ORIGIN_FAULT);
    } else if (pages_.origins[page] == UARENA_ORIGIN_RESERVED) {
      pages_.origins[page] = UARENA_ORIGIN_FAULT;
    }
    look(page);
    write_page(arena_, page, pages_.values[page] = ++last_);
    ++done.touches;
  }

  OwnArena arena_;
  Pages pages_;
  uint64_t last_ = 0;
};

// Programs in an arena of their own: what was loaded, by which numbers.
class Programs {
 public:
  Programs(uarena_conn* conn, std::string object, std::vector<std::string> names)
      : conn_(conn), object_(std::move(object)), names_(std::move(names)) {
    while (!load()) remove_arena();
  }

  // False: the outcome is unknown.
  bool run(size_t n, auto& ctx, int& retval) {
    const int result = uarena_prog_run(conn_, ids_[n], &ctx, sizeof ctx, &retval, nullptr);
    ++done.runs;
    if (result == -EOWNERDEAD) {
      ++done.unknown;
      return false;
    }
    must(result, "run " + names_[n]);
    return true;
  }

  void check() const {
    arena_->check_identity(conn_);
    if (listed() != ids_)
      different("programs {} of {} became {}", fmt::join(ids_, " "), object_,
                fmt::join(listed(), " "));
  }

  // An unloaded program stays so.
  void remove() {
    while (!ids_.empty()) {
      const int result = uarena_prog_unload(conn_, ids_.back());
      if (result == -EOWNERDEAD)
        ++done.unknown;
      else
        must(result, "unload");
      const uint64_t id = ids_.back();
      ids_.pop_back();
      const auto still = listed();
      if (result == -EOWNERDEAD && still.size() == ids_.size() + 1) ids_.push_back(id);
      if (still != ids_)
        different("program {} was unloaded; there are {}", id, fmt::join(still, " "));
    }
    remove_arena();
  }

 private:
  bool load() {
    static std::atomic<int> count{0};
    arena_.emplace(conn_, fmt::format("{}-programs-{}", options.name, ++count), TEST_PAGES);
    std::array<uarena_prog, 4> loaded;
    const int result = uarena_prog_load(conn_, (options.bpf + "/" + object_ + ".bpf.o").c_str(),
                                        arena_->id(), loaded.data(), loaded.size());
    ++done.loads;
    if (result != -EOWNERDEAD) {
      if (must(result, "load " + object_) != static_cast<int>(names_.size()))
        different("{} has {} programs", object_, result);
      for (size_t n = 0; n < names_.size(); ++n) {
        if (loaded[n].name != names_[n]) different("program {} of {}", loaded[n].name, object_);
        ids_.push_back(loaded[n].id);
      }
    } else {
      ++done.unknown;
      ids_ = listed();
      if (ids_.empty()) return false;
      if (ids_.size() != names_.size())
        different("{} programs of {} were loaded", ids_.size(), object_);
    }
    for (const uint64_t id : ids_) program_ids.given(id);
    return true;
  }

  void remove_arena() {
    arena_->remove();
    uarena_info info;
    if (const int result = uarena_find(conn_, arena_->name(), &info); result != -ENOENT)
      different("{} was deleted and is there ({})", arena_->name(), result);
    arena_.reset();
  }

  std::vector<uint64_t> listed() const {
    std::vector<uint64_t> ids;
    for (const uarena_prog_info& program : must(conn_->broker.programs(), "program list"))
      if (program.arena_id == arena_->id()) ids.push_back(program.id);
    return ids;
  }

  uarena_conn* conn_;
  std::string object_;
  std::vector<std::string> names_;
  std::optional<OwnArena> arena_;
  std::vector<uint64_t> ids_;
};

// Loads programs, runs them often, and unloads them.
class Runner : public Worker {
 public:
  Runner() : Worker(3) { begin(); }

  void step() override {
    const uint32_t what = any(8);
    if (what < 3) return build();
    if (what < 4) return walk();
    if (what < 7) return count();
    if (built_ < 30 + any(30)) return;
    finish();
    begin();
  }

  void check() override {
    lists_->check();
    counters_->check();
    walk();
    count();
  }

  void finish() override {
    lists_->remove();
    counters_->remove();
  }

 private:
  enum { kBuild, kWalk };

  void begin() {
    lists_.emplace(conn(), "list", std::vector<std::string>{"build", "walk"});
    counters_.emplace(conn(), "globals", std::vector<std::string>{"globals"});
    built_ = unknown_builds_ = unknown_counts_ = 0;
    counted_ = {15, 27, 0, 44, 55};
  }

  // One element, with the value 1.
  void build() {
    count_ctx ctx{1, 0, 0};
    int retval = 0;
    const bool known = lists_->run(kBuild, ctx, retval);
    if (known && retval != 0) different("build returned {}", retval);
    ++(known ? built_ : unknown_builds_);
  }

  void walk() {
    count_ctx ctx{};
    int retval = 0;
    if (!lists_->run(kWalk, ctx, retval)) return;
    if (retval != 0 || ctx.sum != ctx.found || ctx.found < built_ ||
        ctx.found > built_ + unknown_builds_)
      different("the list has {} elements with the sum {}, {} were built", ctx.found, ctx.sum,
                built_);
    built_ = ctx.found;
    unknown_builds_ = 0;
  }

  // Each run shows the variables before it changed them.
  void count() {
    globals_ctx ctx{};
    int retval = 0;
    if (!counters_->run(0, ctx, retval)) {
      ++unknown_counts_;  // it may have stopped between any two of its stores
      return;
    }
    const std::array<uint64_t, 5> is{ctx.rodata, ctx.data, ctx.bss, ctx.arena, ctx.custom};
    constexpr std::array<uint64_t, 5> kSteps{0, 2, 3, 5, 4};
    for (size_t i = 0; i < is.size(); ++i) {
      if (is[i] < counted_[i] || is[i] > counted_[i] + kSteps[i] * unknown_counts_)
        different("variable {} is {}, not {} ({} unknown)", i, is[i], counted_[i], unknown_counts_);
      counted_[i] = is[i] + kSteps[i];
    }
    unknown_counts_ = 0;
  }

  std::optional<Programs> lists_, counters_;
  uint64_t built_ = 0, unknown_builds_ = 0, unknown_counts_ = 0;
  std::array<uint64_t, 5> counted_{};
};

// Clients and arenas that come and go.
class Lives : public Worker {
 public:
  Lives() : Worker(4) {}

  void step() override {
    const Conn conn = connect();
    const uint64_t client = conn->broker.link().broker().client_id;
    if (client <= last_client_) different("client {} came after client {}", client, last_client_);
    last_client_ = client;
    OwnArena arena(conn.get(), fmt::format("{}-life-{}", options.name, ++count_), 16,
                   any(3) == 0 ? UARENA_F_SEGV_ON_FAULT : 0);
    if (arena.id() <= last_arena_) different("arena {} came after {}", arena.id(), last_arena_);
    last_arena_ = arena.id();
    const uarena_info info = arena.check_identity(conn.get());
    const bool segv_on_fault = (info.map_flags & UARENA_F_SEGV_ON_FAULT) != 0;
    arena.attach(segv_on_fault && any(2) == 0 ? UARENA_EXACT : 0);
    if (!segv_on_fault) {
      for (uint32_t page = 1; page < 4; ++page) {
        check_page(arena, page, 0);
        write_page(arena, page, page);
      }
      for (uint32_t page = 1; page < 4; ++page) check_page(arena, page, page);
    }
    arena.detach();
    arena.remove();
    uarena_info gone;
    if (const int result = uarena_find(conn.get(), arena.name(), &gone); result != -ENOENT)
      different("{} was deleted and is there ({})", arena.name(), result);
    ++done.lives;
  }
  void check() override {}
  void finish() override {}

 private:
  int count_ = 0;
  uint64_t last_client_ = 0, last_arena_ = 0;
};

// The workers on their threads; they check when they are told to.
class Crew {
 public:
  template <typename... Workers>
  void start() {
    (hire(std::make_unique<Workers>()), ...);
    for (auto& worker : workers_) std::thread([this, &worker] { work(*worker); }).detach();
  }
  void check(bool last) {
    std::unique_lock lock(lock_);
    last_ = last;
    ready_ = 0;
    ++wanted_;
    if (!changed_.wait_for(lock, std::chrono::seconds(30),
                           [this] { return ready_ == workers_.size(); }))
      different("only {} of {} threads go on", ready_, workers_.size());
  }

 private:
  void hire(std::unique_ptr<Worker> worker) { workers_.push_back(std::move(worker)); }
  void work(Worker& worker) {
    for (uint64_t seen = 0;;) {
      if (const uint64_t wanted = wanted_; wanted != seen) {
        worker.check();
        if (last_) worker.finish();
        const std::lock_guard guard(lock_);
        ++ready_;
        changed_.notify_one();
        if (last_) return;
        seen = wanted;
      }
      worker.step();
    }
  }

  std::vector<std::unique_ptr<Worker>> workers_;
  std::mutex lock_;
  std::condition_variable changed_;
  std::atomic<uint64_t> wanted_{0};
  std::atomic<bool> last_{false};
  size_t ready_ = 0;
};

void say(const std::string& line) { std::cout << line << std::endl; }

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4 || argc > 5) errx(2, "usage: survivor SOCKET NAME BPF_DIRECTORY [SEED]");
  options.socket = argv[1];
  options.name = argv[2];
  options.bpf = argv[3];
  if (argc == 5) options.seed = std::strtoull(argv[4], nullptr, 0);
  static Crew crew;
  crew.start<Toucher, Allocator, Runner, Lives>();
  say("working");
  for (std::string line; std::getline(std::cin, line);) {
    if (line != "check" && line != "end") errx(2, "what is %s?", line.c_str());
    crew.check(line == "end");
    say(fmt::format("good touches={} page_calls={} loads={} runs={} lives={} unknown={} checked={}",
                    done.touches, done.page_calls, done.loads, done.runs, done.lives, done.unknown,
                    done.checked));
    if (line != "end") continue;
    say(arena_ids.all());
    say(program_ids.all());
    break;
  }
  std::cout.flush();
  ::_exit(0);
}
