// The programs of a BPF object, loaded through the C library as anybody does it, and run by their
// names. Failures are std::runtime_error.
#pragma once

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "ipc/client/include/uarena.h"

namespace uarena::testing {

inline void check(int64_t result) {
  if (result < 0) throw std::runtime_error(uarena_error());
}

class OurPrograms {
 public:
  OurPrograms() = default;
  // The connection is borrowed.
  OurPrograms(uarena_conn* connection, const std::string& object, uint64_t arena)
      : connection_(connection) {
    std::array<uarena_prog, 16> loaded{};  // as many as any object of the tests has
    const std::string path = fmt::format("{}/{}.bpf.o", UARENA_BPF_DIR, object);
    const int count =
        uarena_prog_load(connection, path.c_str(), arena, loaded.data(), loaded.size());
    check(count);
    all_.assign(loaded.begin(), loaded.begin() + count);
  }
  // The context comes back as the program left it. What it returned.
  int32_t run(const std::string& name, std::span<std::byte> context) const {
    for (const uarena_prog& program : all_) {
      if (program.name != name) continue;
      int32_t result = -1;
      check(uarena_prog_run(connection_, program.id, context.data(), context.size(), &result,
                            nullptr));
      return result;
    }
    throw std::runtime_error("uarena has no program " + name);
  }
  void unload() const {
    for (const uarena_prog& program : all_) uarena_prog_unload(connection_, program.id);
  }

 private:
  uarena_conn* connection_ = nullptr;
  std::vector<uarena_prog> all_;
};

}  // namespace uarena::testing
