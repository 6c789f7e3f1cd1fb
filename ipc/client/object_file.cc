// See object_file.h.
#include "ipc/client/object_file.h"

#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "ipc/abi.h"
#include "ipc/request_fields.h"

namespace uarena::ipc {

namespace {

Result<void> copy(int from, int to, const std::string& path) {
  for (;;) {
    const ssize_t copied = ::sendfile(to, from, nullptr, size_t{1} << 20);
    if (copied == 0) return {};
    if (copied < 0 && errno != EINTR) return fail_errno(errno, "cannot read {}", path);
  }
}

}  // namespace

Result<Fd> read_object_file(const std::string& path) {
  // O_NONBLOCK: opening a fifo must not wait for a writer.
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file) {
    const int code = errno;
    return fail(code == ENOENT   ? Why::not_found
                : code == EACCES ? Why::permission
                                 : Why::general,
                code, "cannot open {}: {}", path, strerrordesc_np(code));
  }
  struct stat st{};
  if (::fstat(file.get(), &st) < 0) return fail_errno(errno, "cannot look at {}", path);
  if (!S_ISREG(st.st_mode))
    return fail(S_ISDIR(st.st_mode) ? EISDIR : EINVAL, "{} is not a regular file", path);
  if (st.st_size > UARENA_MAX_OBJECT)
    return fail(Why::rejected, EFBIG, "{} has {} bytes, a BPF object may have {}", path, st.st_size,
                UARENA_MAX_OBJECT);
  Fd copied(::memfd_create("uarena.object", MFD_CLOEXEC));
  if (!copied) return fail_errno(errno, "cannot make a memfd for {}", path);
  if (auto done = copy(file.get(), copied.get(), path); !done) return std::unexpected(done.error());
  return copied;
}

std::string object_name(const std::string& path) {
  std::string name = path.substr(path.rfind('/') + 1);
  for (const std::string_view suffix : {".o", ".bpf"})
    if (name.ends_with(suffix) && name.size() > suffix.size())
      name.resize(name.size() - suffix.size());
  if (name.size() >= UARENA_NAME_SIZE) name.resize(UARENA_NAME_SIZE - 1);
  for (char& c : name)
    if (!check_name("", std::string_view(&c, 1))) c = '_';
  return name.empty() ? "object" : name;
}

}  // namespace uarena::ipc
