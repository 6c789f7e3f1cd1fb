// Bytes that a format asks for, one after the other, little-endian.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace uarena::jit::debug {

class Bytes {
 public:
  void u8(uint64_t value) { number(value, 1); }
  void u16(uint64_t value) { number(value, 2); }
  void u32(uint64_t value) { number(value, 4); }
  void u64(uint64_t value) { number(value, 8); }
  void uleb(uint64_t value) {
    for (; value >= 0x80; value >>= 7) u8((value & 0x7f) | 0x80);
    u8(value);
  }
  void sleb(int64_t value) {
    while (value < -0x40 || value >= 0x40) {
      u8((static_cast<uint64_t>(value) & 0x7f) | 0x80);
      value >>= 7;
    }
    u8(static_cast<uint64_t>(value) & 0x7f);
  }
  void string(std::string_view text) {  // with its NUL
    data_.append(text);
    data_.push_back('\0');
  }
  void raw(const void* from, size_t size) { data_.append(static_cast<const char*>(from), size); }
  void pad_to(size_t multiple, char with) {
    while (data_.size() % multiple != 0) data_.push_back(with);
  }

  // A length of four bytes in front of what follows, known at the end.
  size_t begin_length() {
    u32(0);
    return data_.size();
  }
  void end_length(size_t begun) {
    const auto length = static_cast<uint32_t>(data_.size() - begun);
    std::memcpy(data_.data() + begun - sizeof length, &length, sizeof length);
  }

  size_t size() const { return data_.size(); }
  const std::string& data() const { return data_; }
  std::string take() { return std::move(data_); }

 private:
  void number(uint64_t value, unsigned bytes) {
    for (unsigned n = 0; n < bytes; ++n) data_.push_back(static_cast<char>(value >> (8 * n)));
  }
  std::string data_;
};

}  // namespace uarena::jit::debug
