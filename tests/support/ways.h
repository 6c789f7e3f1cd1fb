// The integration tests run once for each way in which page faults can be answered
// (`./dev test --ways`), by $UARENA_OPTIONS. What a test is about holds in all of them, but for
// those that count faults, or watch what one way does: they say which one they mean, or this.
#pragma once

#include <cstdlib>

namespace uarena::testing {

// Faults are answered as if nobody had asked for another way: here and in processes begun from now.
inline void answered_as_usual() { ::unsetenv("UARENA_OPTIONS"); }

}  // namespace uarena::testing
