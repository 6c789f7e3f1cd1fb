// A loaded object as a successor finds it: the ELF bytes, how they were loaded, the numbers that
// its programs and maps got, and which programs have been unloaded since. One memory file for each
// object; the successor loads it again, by the same way as any object, and gives it the same
// numbers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ipc/base/fd.h"
#include "ipc/base/result.h"

namespace uarena::broker {

struct StoredObject {
  uint64_t id = 0;
  std::string name;
  uint64_t arena_id = 0;  // 0: it has none
  uint32_t owner_uid = 0;
  bool interpret = false;
  uint32_t programs = 0;
  uint32_t maps = 0;
  uint64_t first_program = 0;  // the others' numbers follow
  uint64_t first_map = 0;
};

class ObjectFile {
 public:
  static constexpr uint32_t kMaxPrograms = 256;

  static Result<ObjectFile> create(const StoredObject& object, std::span<const std::byte> elf);
  // A predecessor's. EINVAL, EPROTONOSUPPORT: not one, or of another version. Whether the ELF bytes
  // are an object is for the loader to say.
  static Result<ObjectFile> open_untrusted(Fd fd);

  const StoredObject& object() const { return object_; }
  int fd() const { return fd_.get(); }
  Result<std::vector<std::byte>> elf() const;

  // The `index`th program has been unloaded. Written at once; there is no way back.
  void set_unloaded(uint32_t index);
  bool unloaded(uint32_t index) const;

 private:
  ObjectFile(Fd fd, StoredObject object) : fd_(std::move(fd)), object_(std::move(object)) {}
  Fd fd_;
  StoredObject object_;
};

}  // namespace uarena::broker
