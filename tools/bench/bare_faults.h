// The floor under the goals for page faults: shared memory of this process whose faults one thread
// answers, as bare as it can be: no broker, no books, no other client. What it takes, nobody who
// answers faults in user space can do without. The works called floor.* measure it against the same
// peers as the works that have goals.
#pragma once

#include <functional>
#include <memory>
#include <thread>

#include "ipc/base/fd.h"
#include "ipc/base/memory_map.h"
#include "ipc/base/result.h"
#include "uffd/userfaultfd.h"

namespace uarena::bench {

class BareFaults {
 public:
  // Gets the page that was touched.
  using Answer = std::function<void(uffd::Userfaultfd& uffd, uint64_t page)>;

  static Result<std::shared_ptr<BareFaults>> open(uint64_t bytes, Answer answer);
  ~BareFaults();
  BareFaults(const BareFaults&) = delete;
  BareFaults& operator=(const BareFaults&) = delete;

  std::byte* base() const { return map_.data(); }
  uffd::Userfaultfd& uffd() { return uffd_; }
  // No page is there any more.
  void empty();

 private:
  BareFaults() = default;
  void run() const;

  Fd file_, stop_;
  MemoryMap map_;
  mutable uffd::Userfaultfd uffd_;
  Answer answer_;
  std::thread thread_;
};

}  // namespace uarena::bench
