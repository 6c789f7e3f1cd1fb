// What is too large for a record travels as a sealed memfd: the receiver can map or read it at its
// own pace, and neither side can change it any more.
#pragma once

#include <cstddef>
#include <span>

#include "ipc/base/fd.h"
#include "ipc/base/result.h"

namespace uarena::broker {

Result<Fd> make_sealed_file(const char* name, std::span<const std::byte> content);

}  // namespace uarena::broker
