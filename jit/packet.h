// The context of programs that look at packets. A program sees a struct __sk_buff or a struct
// xdp_md, whose fields `data`, `data_end` and `data_meta` have 32 bits, and takes what it loads
// from them for pointers; the verifier says which loads those are, and fix-up makes them loads of
// the real pointers, which stand behind the struct.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ipc/base/result.h"
#include "jit/program.h"
#include "jit/program_type.h"

namespace uarena::jit {

// The largest of the structs has 192 bytes.
inline constexpr size_t kPacketPointers = 256;

constexpr size_t packet_pointer_offset(CtxLoad load) {
  return kPacketPointers + 8 * (static_cast<size_t>(load) - 1);
}

bool takes_packets(ProgramType type);

// What one run gets: made of what the caller passes, as BPF_PROG_TEST_RUN does it.
class PacketContext {
 public:
  // `ctx`: empty, or the struct with the fields that a caller may set, all others 0. `packet`: for
  // XDP the metadata and the packet, at least an Ethernet header; it must outlive this. Errors as
  // the kernel's: EINVAL; E2BIG: an unknown part of the context is not 0; ENODEV: no such
  // interface.
  static Result<PacketContext> create(ProgramType type, std::span<const std::byte> ctx,
                                      std::span<std::byte> packet);

  std::span<std::byte> memory() { return memory_; }
  // After the run: into `ctx`, which is as create() got it, the fields that BPF_PROG_TEST_RUN gives
  // back. From a socket filter the packet comes back without its link's header, which is zeros.
  void write_back(std::span<std::byte> ctx) const;

 private:
  PacketContext(ProgramType type, std::span<std::byte> packet);
  template <typename Struct>
  Struct& as() {
    return *reinterpret_cast<Struct*>(memory_.data());
  }
  Result<void> take_skb(std::span<const std::byte> ctx);
  Result<void> take_xdp(std::span<const std::byte> ctx);
  Result<void> describe();
  bool has_link_header() const;
  void point_to(CtxLoad which, const std::byte* place);

  ProgramType type_;
  std::span<std::byte> packet_;
  uint32_t metadata_ = 0;  // XDP: bytes of it in front of the packet
  uint32_t seen_ = 0;      // XDP: bytes that the program sees, with metadata
  alignas(8) std::array<std::byte, kPacketPointers + 24> memory_{};
};

}  // namespace uarena::jit
