#include "ipc/base/journal.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/uuid/name_generator_sha1.hpp>
#include <boost/uuid/string_generator.hpp>
#include <boost/uuid/uuid_io.hpp>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "ipc/base/fd.h"

namespace uarena {
namespace {

// Of <syslog.h>, in the order of LogLevel.
constexpr std::array<int, 4> kPriorities = {7, 6, 4, 3};

// systemd says which file it has given us; whoever redirects standard error means something else.
bool stderr_is_the_journals() {
  const char* given = std::getenv("JOURNAL_STREAM");
  struct stat file{};
  if (given == nullptr || ::fstat(STDERR_FILENO, &file) != 0) return false;
  return given == fmt::format("{}:{}", file.st_dev, file.st_ino);
}

// Keys are upper case there, and ours have a prefix; ERRNO is known to everybody.
std::string field_name(std::string_view key) {
  std::string name = key == "errno" ? "" : "UARENA_";
  for (const char c : key) name += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

// One datagram: lines of NAME=value. Values have no newline, since texts from outside are escaped.
class Journal final : public LogSink {
 public:
  Journal(Fd socket, const sockaddr_un& address, std::string_view identifier)
      : socket_(std::move(socket)), address_(address), identifier_(identifier) {}

  bool write(const LogLine& line) override {
    std::string entry = fmt::format(
        "MESSAGE={}\nPRIORITY={}\nMESSAGE_ID={}\nSYSLOG_IDENTIFIER={}\nUARENA_EVENT={}\n",
        line.text, kPriorities[static_cast<size_t>(line.level)], message_id(line.event),
        identifier_, line.event);
    for (const LogField& field : line.fields)
      fmt::format_to(std::back_inserter(entry), "{}={}\n", field_name(field.key), field.plain());
    return ::sendto(socket_.get(), entry.data(), entry.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                    reinterpret_cast<const sockaddr*>(&address_), sizeof address_) >= 0;
  }

 private:
  const Fd socket_;
  const sockaddr_un address_;
  const std::string identifier_;
};

}  // namespace

std::string message_id(std::string_view event) {
  static const boost::uuids::name_generator_sha1 of_namespace(
      boost::uuids::string_generator()(kMessageNamespace.begin(), kMessageNamespace.end()));
  std::string digits;
  for (const uint8_t byte : of_namespace(event.data(), event.size()))
    fmt::format_to(std::back_inserter(digits), "{:02x}", byte);
  return digits;
}

void log_to_journal(std::string_view identifier, std::string_view socket) {
  if (!stderr_is_the_journals()) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.size() >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, socket.data(), socket.size());
  Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return;
  static std::unique_ptr<Journal> journal;  // log() uses it until the process ends
  journal = std::make_unique<Journal>(std::move(fd), address, identifier);
  set_log_sink(journal.get());
}

}  // namespace uarena
