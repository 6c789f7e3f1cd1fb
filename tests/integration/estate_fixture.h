// A broker and the manager that keeps its descriptors, which is the test: it can look at what was
// kept, change it, and start the next one.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <thread>

#include "ipc/client/inspect.h"
#include "tests/integration/service_fixture.h"

namespace uarena::testing {

class KeptEstate : public ::testing::Test {
 protected:
  Words arguments() const { return {"--socket", dir_.path() + "/s"}; }
  Words environment() const { return {"NOTIFY_SOCKET=" + manager_.address(), "FDSTORE=100"}; }

  ipc::Inspector connect() const {
    auto connected = ipc::Inspector::connect(dir_.path() + "/s");
    EXPECT_TRUE(connected) << connected.error().message;
    return std::move(*connected);
  }
  // Keeps what a manager would keep, all the time: a broker waits for one that does not listen. It
  // ends after the service, whose last words are there by then.
  void keep() {
    kept_by_then_ = false;
    keeping_ = std::thread([this] {
      for (bool last = false; !last;) {
        last = kept_by_then_;
        for (;;) {
          auto message = manager_.receive(std::chrono::milliseconds(last ? 0 : 20));
          if (message.text.empty()) break;
          const size_t at = message.text.find("FDNAME=");
          if (at == message.text.npos) continue;
          const std::string name =
              message.text.substr(at + 7, message.text.find('\n', at) - (at + 7));
          if (message.text.starts_with("FDSTORE=1"))
            kept_[name] = std::move(message.fds.at(0));
          else
            kept_.erase(name);
        }
      }
    });
  }
  void end(Service& service, int signal, int code) {
    EXPECT_EQ(service.stop(signal), code);
    kept_by_then_ = true;
    keeping_.join();
  }
  std::unique_ptr<Service> succeed() {
    std::vector<PassedFd> passed;
    for (const auto& [name, fd] : kept_) passed.push_back({name, &fd});
    auto service = std::make_unique<Service>(arguments(), environment(), passed);
    keep();
    return service;
  }
  void damage(const std::string& name, off_t offset, uint64_t word) {
    ASSERT_EQ(::pwrite(kept_.at(name).get(), &word, sizeof word, offset),
              static_cast<ssize_t>(sizeof word))
        << name;
  }

  TempDir dir_;
  FakeManager manager_;
  std::map<std::string, Fd> kept_;  // the thread's while that runs
  std::thread keeping_;
  std::atomic<bool> kept_by_then_{false};
};

}  // namespace uarena::testing
