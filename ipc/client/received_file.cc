// pread, since the file's position is shared with the sender.
#include "ipc/client/received_file.h"

#include <sys/stat.h>
#include <unistd.h>

namespace uarena::ipc {
namespace {

template <typename Bytes>
Result<Bytes> read_all(const Fd& file) {
  struct stat st{};
  if (::fstat(file.get(), &st) < 0) return fail_errno(errno, "cannot look at the broker's file");
  if (!S_ISREG(st.st_mode) || st.st_size < 0 || static_cast<size_t>(st.st_size) > kMaxReceivedFile)
    return fail(EPROTO, "the broker sent a file of {} bytes, allowed are regular files of up to {}",
                st.st_size, kMaxReceivedFile);
  Bytes bytes(static_cast<size_t>(st.st_size), typename Bytes::value_type{});
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count =
        ::pread(file.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(errno, "cannot read the broker's file");
    if (count == 0) return fail(EPROTO, "the broker's file got shorter while it was read");
    done += static_cast<size_t>(count);
  }
  return bytes;
}

}  // namespace

Result<std::vector<std::byte>> read_file_untrusted(const Fd& file) {
  return read_all<std::vector<std::byte>>(file);
}

Result<std::string> read_text_untrusted(const Fd& file) { return read_all<std::string>(file); }

}  // namespace uarena::ipc
