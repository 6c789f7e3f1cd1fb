#include "ipc/client/names.h"

#include "ipc/abi.h"

namespace uarena::ipc {

std::string_view fault_name(uint32_t fault) {
  switch (fault) {
    case UARENA_FAULT_SERVED:
      return "served";
    case UARENA_FAULT_DIRECT:
      return "direct";
    default:
      return "unknown";
  }
}

std::string_view origin_name(uint32_t origin) {
  switch (origin) {
    case UARENA_ORIGIN_PROGRAM:
      return "program";
    case UARENA_ORIGIN_FAULT:
      return "fault";
    case UARENA_ORIGIN_CLIENT:
      return "client";
    case UARENA_ORIGIN_RESERVED:
      return "reserved";
    default:
      return "unknown";
  }
}

std::string_view cut_off_name(uint32_t why) {
  switch (why) {
    case UARENA_CUT_OFF_DEATH:
      return "death";
    case UARENA_CUT_OFF_LIMIT:
      return "limit";
    case UARENA_CUT_OFF_GONE:
      return "gone";
    default:
      return "unknown";
  }
}

}  // namespace uarena::ipc
