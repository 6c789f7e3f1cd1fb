// One question, two who answer it: an arena of the live kernel's, and one of ours behind a real
// daemon and the client library. A Side makes arenas; a Subject is one of them, mapped in this
// process, with the programs of a BPF object loaded for it. Who writes a scenario against these two
// has it answered by both. Failures to set one up are std::runtime_error.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "ipc/base/fd.h"
#include "ipc/base/page.h"
#include "tests/support/kernel_loader.h"

namespace uarena::testing {

struct SubjectOptions {
  std::string object = "kfuncs";
  uint32_t pages = 16;
  uint32_t flags = kBpfFMmapable;
  bool map_extra = true;  // the address is chosen at creation, not by the first mapping
};

class Subject {
 public:
  virtual ~Subject() = default;
  const SubjectOptions& options() const { return options_; }
  uint64_t length() const { return options_.pages * kPageSize; }
  virtual uint64_t base() const = 0;
  uint64_t at(uint64_t page) const { return base() + page * kPageSize; }

  // Runs a program; the context comes back as it left it. What it returned.
  virtual int32_t run(const std::string& program, std::span<std::byte> context) = 0;
  template <typename Context>
  Context run(const std::string& program, Context context) {
    if (run(program, std::as_writable_bytes(std::span(&context, 1))) != 0)
      throw std::runtime_error(program + " returned an error");
    return context;
  }

  // Another client's errno for mapping this range of addresses: mmap there, Attach here. It has
  // nothing mapped before, and nothing after.
  virtual int map_in_another(uint64_t address, uint64_t length) = 0;
  // Runs `body` in a process of its own that has the arena mapped as clients do; what it returned,
  // or "SIGSEGV" where that ended it.
  std::string in_client(const std::function<std::string()>& body);
  // What mmap has to be called with for this arena's memory. The kernel's is the map, ours the
  // memory file.
  virtual int file() = 0;
  // The same, opened for reading only.
  virtual Fd read_only_file() = 0;
  // Numbers that the owner can ask for: K9, K10.
  virtual uint64_t map_extra() = 0;
  virtual uint64_t pages_in_use() = 0;

 protected:
  explicit Subject(SubjectOptions options) : options_(std::move(options)) {}
  // In a child: maps the arena for the rest of its life.
  virtual void map_here() = 0;

 private:
  SubjectOptions options_;
};

class Side {
 public:
  virtual ~Side() = default;
  virtual const char* name() const = 0;
  // The errno of creating an arena, which is gone afterwards.
  virtual int create(const KernelMapAttr& attr) = 0;
  // That of a client's mapping of `length` bytes, the first of a new arena whose address nobody has
  // chosen.
  virtual int first_mapping(uint32_t pages, uint64_t length) = 0;
  virtual std::unique_ptr<Subject> make(const SubjectOptions& options = {}) = 0;
};

std::unique_ptr<Side> kernel_side();
std::unique_ptr<Side> our_side();

}  // namespace uarena::testing
