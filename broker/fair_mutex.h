// A mutex for long jobs that are done in pieces: whoever unlocks and locks again at once lets a
// waiter in between. (std::mutex would usually be taken again by the thread that just left it, so
// that a fault could wait for the end of a 4 GiB free.) A thread that wants the data stands first
// in `next`; the thread with the long job must stand in line there again.
#pragma once

#include <mutex>

namespace uarena::broker {

class FairMutex {
 public:
  void lock() {
    next_.lock();
    data_.lock();
    next_.unlock();
  }
  void unlock() { data_.unlock(); }

 private:
  std::mutex next_;
  std::mutex data_;
};

}  // namespace uarena::broker
