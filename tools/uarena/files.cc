// Plain read and write loops; files may be pipes, so sizes are never asked for beforehand.
#include "tools/uarena/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "ipc/base/log.h"

namespace uarena::cli {
namespace {

constexpr std::string_view kHexPrefix = "hex:";

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<std::vector<std::byte>> from_hex(std::string_view what, std::string_view digits) {
  std::vector<std::byte> out;
  for (size_t i = 0; i < digits.size(); i += 2) {
    int high = digit(digits[i]), low = i + 1 < digits.size() ? digit(digits[i + 1]) : -1;
    if (high < 0 || low < 0)
      return fail(Why::usage, EINVAL, "{} hex:{}: allowed are pairs of hexadecimal digits", what,
                  escaped(digits));
    out.push_back(static_cast<std::byte>(high << 4 | low));
  }
  return out;
}

}  // namespace

Result<std::vector<std::byte>> read_bytes(std::string_view what, const std::string& source,
                                          size_t most) {
  std::vector<std::byte> out;
  if (source.starts_with(kHexPrefix)) {
    auto bytes = from_hex(what, std::string_view(source).substr(kHexPrefix.size()));
    if (!bytes) return bytes;
    out = std::move(*bytes);
  } else {
    Fd fd(source == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                        : ::open(source.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd)
      return fail(errno == ENOENT ? Why::not_found : Why::general, errno, "{} {}: {}", what,
                  escaped(source), strerrordesc_np(errno));
    std::byte buffer[4096];
    while (out.size() <= most) {
      ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return fail_errno(errno, "{} {}: cannot read", what, escaped(source));
      if (got == 0) break;
      out.insert(out.end(), buffer, buffer + got);
    }
  }
  if (out.size() > most)
    return fail(Why::usage, EINVAL, "{} {}: allowed are at most {} bytes", what, escaped(source),
                most);
  return out;
}

Result<OutputFile> OutputFile::open(std::string_view what, const std::string& target) {
  std::string name = fmt::format("{} {}", what, escaped(target));
  const bool replace = target != "-";
  Fd fd(replace ? ::open(target.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666)
                : ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
  if (!fd) return fail_errno(errno, "{}: cannot open", name);
  return OutputFile(std::move(name), std::move(fd), replace);
}

Result<void> OutputFile::write(std::span<const std::byte> bytes) {
  // EINVAL: a pipe or a device, which holds nothing to be replaced.
  if (replace_ && ::ftruncate(fd_.get(), 0) < 0 && errno != EINVAL)
    return fail_errno(errno, "{}: cannot replace", name_);
  while (!bytes.empty()) {
    ssize_t put = ::write(fd_.get(), bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return fail_errno(errno, "{}: cannot write", name_);
    bytes = bytes.subspan(static_cast<size_t>(put));
  }
  return {};
}

}  // namespace uarena::cli
