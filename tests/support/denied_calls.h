// Makes userfaultfd calls of a daemon fail when a test wants them to, as they do where memory is
// short: the daemon is started by tests/clients/watched, and the kernel asks here about each call.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "ipc/base/fd.h"
#include "tests/support/broker_process.h"

namespace uarena::testing {

class DeniedCalls {
 public:
  DeniedCalls();
  ~DeniedCalls();
  DeniedCalls(const DeniedCalls&) = delete;
  DeniedCalls& operator=(const DeniedCalls&) = delete;

  // What a BrokerProcess is to be started with; one for each of these objects.
  std::vector<std::string> launcher() const;
  // From now on this ioctl fails: UFFDIO_ZEROPAGE, UFFDIO_POISON, UFFDIO_REGISTER or UFFDIO_API.
  void deny(uint64_t request, int error);
  void allow() { denied_request_ = 0; }
  // How many have failed so far.
  uint64_t denied() const { return denied_; }

 private:
  void serve();
  Fd accept_listener();
  bool answer_one(int listener);

  TempDir directory_;
  std::string path_;
  Fd socket_;
  Fd stop_;
  std::atomic<uint64_t> denied_request_{0};
  std::atomic<int> error_{0};
  std::atomic<uint64_t> denied_{0};
  std::thread thread_;
};

}  // namespace uarena::testing
