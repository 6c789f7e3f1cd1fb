// One object in a broker and in the live kernel, so that a program of it can run on either side.
#pragma once

#include <uarena.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ipc/base/result.h"
#include "tests/support/kernel_loader.h"

namespace uarena::bench {

Result<jit::Object> read_object(const std::string& path);

class BothSides {
 public:
  enum class Attach { no, yes, exact };  // exact: in a SEGV_ON_FAULT arena
  static Result<std::shared_ptr<BothSides>> load(const std::string& socket, const std::string& path,
                                                 Attach attach = Attach::no);
  BothSides() = default;
  BothSides(const BothSides&) = delete;
  BothSides& operator=(const BothSides&) = delete;
  ~BothSides();  // deletes the broker's arena, too

  // What one of `units` took, in ns, in the run of a program that must return 0; the context is
  // written back.
  Result<double> ours(const char* name, std::span<std::byte> context, uint64_t units);
  Result<double> kernel(const char* name, std::span<std::byte> context, uint64_t units);

  // The arenas in this process; ours only after Attach::yes.
  std::byte* our_arena() const { return static_cast<std::byte*>(base_); }
  std::byte* kernel_arena() const { return kernel_->arena()->memory.data(); }

 private:
  std::optional<testing::KernelObject> kernel_;
  uarena_conn* conn_ = nullptr;
  uint64_t arena_ = 0;
  void* base_ = nullptr;
  std::vector<uarena_prog> programs_;
};

// The bytes of a context.
template <typename Context>
std::span<std::byte> bytes_of(Context& context) {
  return std::as_writable_bytes(std::span(&context, 1));
}

}  // namespace uarena::bench
