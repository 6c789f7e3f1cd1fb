// The same object twice: in the live kernel and in our registry, in this process, with the arena at
// the same user_vm_start in both. The kernel's arena is mapped in this process; ours is not, so the
// addresses do not collide, and a client's touch is Arena::fault there.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/arena_registry.h"
#include "broker/program_registry.h"
#include "broker/timer_service.h"
#include "jit/engine.h"
#include "tests/support/bpf_objects.h"
#include "tests/support/kernel_loader.h"

namespace uarena::testing {

struct TwinOptions {
  uint64_t user_vm_start = 0x7e9300003000;
  std::optional<uint32_t> pages;  // instead of what the object says
  jit::Mode mode = jit::Mode::compile;
  std::vector<std::string> programs;  // for the kernel; empty: all that are not optional
};

// What one run came to.
struct RunAnswer {
  int32_t retval = 0;
  std::vector<std::byte> context;
  friend bool operator==(const RunAnswer&, const RunAnswer&) = default;
};

// Failures are std::runtime_error: a test that can't have its twin has nothing to compare.
class Twin {
 public:
  explicit Twin(const std::string& name, const TwinOptions& options = {}) {
    if (auto installed = jit::install_fault_handler(); !installed) give_up(installed.error());
    const jit::Object object = load_bpf_object(name);
    load_kernel(object, options);
    load_ours(name, object, options);
    if (auto started = timers_.start_thread(); !started) give_up(started.error());
  }
  ~Twin() { timers_.stop(std::chrono::milliseconds::max()); }
  Twin(const Twin&) = delete;
  Twin& operator=(const Twin&) = delete;

  const KernelObject& kernel() const { return kernel_; }
  broker::Arena& arena() const { return *ours_.object->arena; }
  uint64_t base() const { return kernel_.arena_address(); }
  std::vector<std::string> programs() const {
    std::vector<std::string> names;
    for (const auto& program : kernel_.programs()) names.push_back(program.name());
    return names;
  }

  RunAnswer run_kernel(const std::string& program, std::span<const std::byte> context) const {
    RunAnswer answer{0, {context.begin(), context.end()}};
    const KernelProgram* found = kernel_.program(program);
    if (found == nullptr) throw std::runtime_error("the kernel has no program " + program);
    const auto result = found->run(std::span<std::byte>(answer.context));
    if (!result) give_up(result.error());
    answer.retval = *result;
    return answer;
  }
  RunAnswer run_ours(const std::string& program, std::span<const std::byte> context) const {
    RunAnswer answer{0, {context.begin(), context.end()}};
    const auto result = broker::run_program(this->program(program), answer.context, 1, never_);
    if (!result) give_up(result.error());
    answer.retval = static_cast<int32_t>(result->r0);
    return answer;
  }
  const broker::Program& program(const std::string& name) const {
    for (const auto& loaded : ours_.programs)
      if (loaded->name == name) return *loaded;
    throw std::runtime_error("uarena has no program " + name);
  }

  // Runs in both, expects the same of both, and leaves the context as the kernel left it.
  template <typename Context>
  int32_t run(const std::string& program, Context& context) const {
    const auto bytes = std::as_bytes(std::span(&context, 1));
    const RunAnswer kernel = run_kernel(program, bytes);
    const RunAnswer ours = run_ours(program, bytes);
    EXPECT_EQ(ours.retval, kernel.retval) << program;
    EXPECT_EQ(words(ours.context), words(kernel.context)) << program;
    std::memcpy(&context, kernel.context.data(), sizeof context);
    return kernel.retval;
  }

  // A client writes the first word of a page, which makes the page where it was absent (K26, K29).
  // Not for SEGV_ON_FAULT.
  void touch(uint32_t page, uint64_t value) const {
    *reinterpret_cast<volatile uint64_t*>(base() + page * kPageSize) = value;
    if (arena().fault(base() + page * kPageSize) == broker::FaultDecision::refuse)
      throw std::runtime_error("a touch was refused");
    if (::pwrite(arena().memory_fd(), &value, sizeof value, static_cast<off_t>(page * kPageSize)) !=
        sizeof value)
      throw std::runtime_error("pwrite");
  }

  // Every byte of the arena and of the global variables is the same in both. To be called at the
  // end: looking at the kernel's arena makes every page of it.
  void expect_same_memory() const {
    for (uint64_t at = 0; kernel_.arena() != nullptr && at < kernel_.arena()->size;
         at += kPageSize) {
      const auto ours = arena().read(at, kPageSize);
      if (!ours) give_up(ours.error());
      ASSERT_EQ(std::memcmp(ours->data(), kernel_.arena()->memory.data() + at, kPageSize), 0)
          << "the page at " << at;
    }
    for (const jit::BoundMap& map : ours_.object->bound) {
      const KernelMap* theirs = kernel_.map(map.name);
      if (theirs == nullptr || theirs->size == 0 || map.value == nullptr) continue;
      const auto bytes = [&](const void* start) {
        return words({static_cast<const std::byte*>(start), theirs->size});
      };
      EXPECT_EQ(bytes(map.value), bytes(theirs->memory.data())) << map.name;
    }
  }

  // For messages: bytes as 64-bit words, the last one filled up with zeros.
  static std::vector<uint64_t> words(std::span<const std::byte> bytes) {
    std::vector<uint64_t> all((bytes.size() + 7) / 8);
    if (!bytes.empty()) std::memcpy(all.data(), bytes.data(), bytes.size());
    return all;
  }

 private:
  [[noreturn]] static void give_up(const Error& error) { throw std::runtime_error(error.message); }

  void load_kernel(const jit::Object& object, const TwinOptions& options) {
    KernelLoadOptions kernel;
    kernel.arena_address = options.user_vm_start;
    kernel.arena_pages = options.pages;
    kernel.programs = options.programs;
    std::string log;
    auto loaded = KernelObject::load(object, kernel, &log);
    if (!loaded) throw std::runtime_error(loaded.error().message + "\n" + log);
    kernel_ = std::move(*loaded);
  }

  // The arena is made with the kernel's address as its map_extra.
  void load_ours(const std::string& name, const jit::Object& object, const TwinOptions& options) {
    broker::LoadRequest request;
    request.object_name = name;
    request.mode = options.mode;
    if (object.arena) {
      const jit::MapDef& def = object.maps[*object.arena];
      const broker::ArenaAttr attr{def.type,       def.key_size,
                                   def.value_size, options.pages.value_or(def.max_entries),
                                   def.map_flags,  kernel_.arena_address()};
      auto arena = arenas_.create("twin", attr, account_);
      if (!arena) give_up(arena.error());
      request.arena_id = (*arena)->id();
    }
    auto loaded = programs_.load(read_bpf_object(name), request, account_);
    if (!loaded) throw std::runtime_error(loaded.error().error.message + "\n" + loaded.error().log);
    ours_ = std::move(*loaded);
  }

  KernelObject kernel_;
  broker::Account account_{0};
  broker::ArenaRegistry arenas_;
  broker::TimerService timers_;
  broker::ProgramRegistry programs_{arenas_, nullptr, &timers_};
  broker::LoadOutcome ours_;
  std::atomic<bool> never_{false};
};

}  // namespace uarena::testing
