// The BPF object that a client wants loaded: opened here, by the client, with the client's rights,
// and handed over as a descriptor.
#pragma once

#include <string>

#include "ipc/base/fd.h"
#include "ipc/base/result.h"

namespace uarena::ipc {

// Read-only. Errors as open(2), with the path; EISDIR or EINVAL: not a regular file.
Result<Fd> open_object_file(const std::string& path);

// The name under which an object goes if nobody gave one: the file's, without directories, ".o" and
// ".bpf", other characters than names may have replaced by '_', at most 63 bytes.
std::string object_name(const std::string& path);

}  // namespace uarena::ipc
