// getpid(2) for every call of the library, which has to notice that it runs in a forked child: the
// system call costs more than the rest of the check, so its answer is kept in a page that the
// kernel gives to children empty (MADV_WIPEONFORK).
#pragma once

#include <sys/types.h>

namespace uarena::ipc {

pid_t process_id();

}  // namespace uarena::ipc
