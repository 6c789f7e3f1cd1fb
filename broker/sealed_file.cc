#include "broker/sealed_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include "ipc/base/uapi.h"

namespace uarena::broker {

Result<Fd> make_sealed_file(const char* name, std::span<const std::byte> content) {
  Fd file(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | kMfdNoexecSeal));
  if (!file) return fail_errno(errno, "cannot make a file for the answer");
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t n = ::write(file.get(), content.data() + done, content.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "cannot write {} bytes for the answer", content.size());
    done += static_cast<size_t>(n);
  }
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) !=
      0)
    return fail_errno(errno, "cannot seal the answer's file");
  return file;
}

}  // namespace uarena::broker
