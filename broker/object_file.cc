#include "broker/object_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "broker/arena_attr.h"
#include "broker/memory_file.h"
#include "jit/object.h"

namespace uarena::broker {
namespace {

constexpr uint64_t kMagic = 0x01746a626f736175;  // the bytes "uasobjt\x01"
constexpr uint32_t kVersion = 1;

struct Header {
  uint64_t magic;
  uint32_t version;
  uint32_t interpret;
  uint64_t id;
  uint64_t arena_id;
  uint32_t owner_uid;
  uint32_t programs;
  uint32_t maps;
  uint32_t reserved;
  uint64_t first_program;
  uint64_t first_map;
  uint64_t elf_bytes;
  char name[64];
  uint8_t unloaded[ObjectFile::kMaxPrograms];
};
static_assert(sizeof(Header) == 72 + 64 + 256);

Result<void> write_at(int fd, const void* bytes, size_t size, size_t offset) {
  if (::pwrite(fd, bytes, size, static_cast<off_t>(offset)) != static_cast<ssize_t>(size))
    return fail_errno(errno, "cannot write an object's file");
  return {};
}

}  // namespace

Result<ObjectFile> ObjectFile::create(const StoredObject& object, std::span<const std::byte> elf) {
  UARENA_ASSERT(object.programs <= kMaxPrograms && object.name.size() < sizeof(Header::name),
                "{} programs of {}", object.programs, object.name);
  Header header{};
  header.magic = kMagic;
  header.version = kVersion;
  header.interpret = object.interpret ? 1 : 0;
  header.id = object.id;
  header.arena_id = object.arena_id;
  header.owner_uid = object.owner_uid;
  header.programs = object.programs;
  header.maps = object.maps;
  header.first_program = object.first_program;
  header.first_map = object.first_map;
  header.elf_bytes = elf.size();
  std::memcpy(header.name, object.name.data(), object.name.size());
  auto fd = create_sealed_memfd("uarena-object", sizeof(header) + elf.size());
  if (!fd) return std::unexpected(fd.error());
  auto written = write_at(fd->get(), &header, sizeof(header), 0);
  if (written) written = write_at(fd->get(), elf.data(), elf.size(), sizeof(header));
  if (!written) return std::unexpected(written.error());
  return ObjectFile(std::move(*fd), object);
}

Result<ObjectFile> ObjectFile::open_untrusted(Fd fd) {
  Header header{};
  if (::pread(fd.get(), &header, sizeof(header), 0) != static_cast<ssize_t>(sizeof(header)) ||
      header.magic != kMagic)
    return fail(EINVAL, "not a loaded object's file");
  if (header.version != kVersion)
    return fail(Why::version, EPROTONOSUPPORT,
                "an object's file of version {}, this broker knows {}", header.version, kVersion);
  if (header.elf_bytes > jit::kMaxObjectBytes || header.programs > kMaxPrograms)
    return fail(EINVAL, "an object's file with {} bytes and {} programs", header.elf_bytes,
                header.programs);
  if (auto good = check_sealed_memfd_untrusted(fd.get(), sizeof(header) + header.elf_bytes,
                                               "an object's file");
      !good)
    return std::unexpected(good.error());
  StoredObject object{header.id,
                      std::string(header.name, ::strnlen(header.name, 64)),
                      header.arena_id,
                      header.owner_uid,
                      header.interpret != 0,
                      header.programs,
                      header.maps,
                      header.first_program,
                      header.first_map};
  if (auto good = check_name_untrusted(object.name); !good) return std::unexpected(good.error());
  return ObjectFile(std::move(fd), std::move(object));
}

Result<std::vector<std::byte>> ObjectFile::elf() const {
  struct stat st{};
  if (::fstat(fd_.get(), &st) != 0) return fail_errno(errno, "cannot look at an object's file");
  std::vector<std::byte> bytes(static_cast<size_t>(st.st_size) - sizeof(Header));
  if (::pread(fd_.get(), bytes.data(), bytes.size(), sizeof(Header)) !=
      static_cast<ssize_t>(bytes.size()))
    return fail_errno(errno, "cannot read an object's file");
  return bytes;
}

void ObjectFile::set_unloaded(uint32_t index) {
  UARENA_ASSERT(index < object_.programs, "program {} of {}", index, object_.programs);
  const uint8_t yes = 1;
  const auto written = write_at(fd_.get(), &yes, 1, offsetof(Header, unloaded) + index);
  UARENA_ASSERT(written.has_value(), "{}", written.error().message);
}

bool ObjectFile::unloaded(uint32_t index) const {
  uint8_t set = 0;
  return ::pread(fd_.get(), &set, 1, static_cast<off_t>(offsetof(Header, unloaded) + index)) == 1 &&
         set != 0;
}

}  // namespace uarena::broker
