// In an exact attachment every absent page lies under a guard, and only this process can install
// one (madvise has no remote form for it). So a thread of the library waits for the broker to name
// pages that were freed, installs guards there, and says so. The broker lets nobody have such a
// page before it has heard that (broker/exact_client.h), so nothing else may be done in between.
//
// The thread takes no signals. It ends when this object goes, which must be before the range is
// unmapped: what is mapped there afterwards is none of its business.
#pragma once

#include <cstdint>
#include <memory>
#include <thread>

#include "ipc/base/fd.h"
#include "ipc/base/result.h"

namespace uarena::ipc {

class GuardKeeper {
 public:
  // EAGAIN: no thread could be started.
  static Result<std::unique_ptr<GuardKeeper>> start(Fd socket, uint64_t address, uint64_t length);
  ~GuardKeeper();
  GuardKeeper(const GuardKeeper&) = delete;

  // In a child after fork, where there is no such thread: closes the descriptor, and leaves behind
  // what can't be destroyed there.
  void forget();

 private:
  GuardKeeper(Fd socket, uint64_t address, uint64_t length)
      : socket_(std::move(socket)), address_(address), length_(length) {}
  void work() const;
  int install(uint64_t address, uint64_t length) const;

  Fd socket_;
  const uint64_t address_;
  const uint64_t length_;
  std::thread thread_;
};

}  // namespace uarena::ipc
