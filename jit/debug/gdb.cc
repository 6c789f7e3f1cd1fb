// Names and layouts are those of the GDB manual, "JIT Compilation Interface".
#include "jit/debug/gdb.h"

#include <cstdint>
#include <mutex>
#include <utility>

extern "C" {

struct jit_code_entry {
  jit_code_entry* next_entry;
  jit_code_entry* prev_entry;
  const char* symfile_addr;
  uint64_t symfile_size;
};

enum : uint32_t { JIT_NOACTION = 0, JIT_REGISTER_FN, JIT_UNREGISTER_FN };

struct jit_descriptor {
  uint32_t version;
  uint32_t action_flag;
  jit_code_entry* relevant_entry;
  jit_code_entry* first_entry;
};

// gdb reads the one and stops in the other.
extern jit_descriptor __jit_debug_descriptor;
void __jit_debug_register_code();

__attribute__((visibility("default"))) jit_descriptor __jit_debug_descriptor = {1, JIT_NOACTION,
                                                                                nullptr, nullptr};
__attribute__((noinline, visibility("default"))) void __jit_debug_register_code() {
  asm volatile("" ::: "memory");
}

}  // extern "C"

namespace uarena::jit::debug {
namespace {

// Programs may outlive static objects; the list's lock does, too.
std::mutex& list_mutex() {
  static auto* const mutex = new std::mutex;
  return *mutex;
}

void tell(uint32_t action, jit_code_entry* entry) {
  __jit_debug_descriptor.action_flag = action;
  __jit_debug_descriptor.relevant_entry = entry;
  __jit_debug_register_code();
  __jit_debug_descriptor.action_flag = JIT_NOACTION;
  __jit_debug_descriptor.relevant_entry = nullptr;
}

}  // namespace

struct GdbEntry::Listed {
  std::string symbol_file;
  jit_code_entry entry{};
};

GdbEntry::GdbEntry(std::string symbol_file) : listed_(std::make_unique<Listed>()) {
  listed_->symbol_file = std::move(symbol_file);
  jit_code_entry& entry = listed_->entry;
  entry.symfile_addr = listed_->symbol_file.data();
  entry.symfile_size = listed_->symbol_file.size();
  const std::lock_guard lock(list_mutex());
  entry.next_entry = __jit_debug_descriptor.first_entry;
  if (entry.next_entry != nullptr) entry.next_entry->prev_entry = &entry;
  __jit_debug_descriptor.first_entry = &entry;
  tell(JIT_REGISTER_FN, &entry);
}

GdbEntry::~GdbEntry() {
  jit_code_entry& entry = listed_->entry;
  const std::lock_guard lock(list_mutex());
  if (entry.prev_entry != nullptr)
    entry.prev_entry->next_entry = entry.next_entry;
  else
    __jit_debug_descriptor.first_entry = entry.next_entry;
  if (entry.next_entry != nullptr) entry.next_entry->prev_entry = entry.prev_entry;
  tell(JIT_UNREGISTER_FN, &entry);
}

}  // namespace uarena::jit::debug
