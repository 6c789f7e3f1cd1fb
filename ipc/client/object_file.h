// The BPF object that a client wants loaded: read here, by the client, with the client's rights,
// and handed over as a memfd, so that the broker waits for no disk and nobody's file system.
#pragma once

#include <string>

#include "ipc/base/fd.h"
#include "ipc/base/result.h"

namespace uarena::ipc {

// A memfd with the file's bytes. Errors as open(2), read(2) and memfd_create(2), with the path;
// EISDIR or EINVAL: not a regular file; EFBIG: larger than any object may be.
Result<Fd> read_object_file(const std::string& path);

// The name under which an object goes if nobody gave one: the file's, without directories, ".o" and
// ".bpf", other characters than names may have replaced by '_', at most 63 bytes.
std::string object_name(const std::string& path);

}  // namespace uarena::ipc
