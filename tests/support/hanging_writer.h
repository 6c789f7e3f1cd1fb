// Somebody who holds the inode lock of a memory file for as long as a test likes: a write to it
// from a buffer whose page never comes.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <future>

#include "ipc/base/memory_map.h"
#include "ipc/base/page.h"
#include "uffd/userfaultfd.h"

namespace uarena::testing {

class HangingWriter {
 public:
  // Would write the page of the file that `page` counts.
  HangingWriter(int file, uint64_t page)
      : source_(MemoryMap::create(nullptr, kPageSize, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, "a page that never comes")
                    .value()),
        uffd_(uffd::Userfaultfd::create_own(0).value()) {
    EXPECT_TRUE(uffd_.register_missing(source_.address(), kPageSize));
    write_ = std::async(std::launch::async, [this, file, page] {
      return ::pwrite(file, source_.data(), kPageSize, static_cast<off_t>(page * kPageSize));
    });
    pollfd fault{uffd_.fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&fault, 1, 5000), 1);  // from now on it holds the lock
  }
  ~HangingWriter() { let_go(); }
  void let_go() {
    if (write_.valid()) {
      EXPECT_EQ(uffd_.zeropage(source_.address(), kPageSize).error, 0);
      write_.wait();
      write_ = {};
    }
  }

 private:
  MemoryMap source_;
  uffd::Userfaultfd uffd_;
  std::future<ssize_t> write_;
};

}  // namespace uarena::testing
