// Places at which a broker can be made to die, so that a test can have it die between any two steps
// of which a successor sees one without the other. A place is marked where it is:
//
//   table.take(pages, origin);
//   UARENA_DEATH_POINT("alloc.entered");
//
// In a broker that is built for others the mark is nothing. In the one that is built for the tests
// (uarenad-mortal) $UARENA_DIE_AT=NAME, or NAME:N for the Nth time, is a SIGKILL there; a broker
// that has taken something over passes all of them. tests/integration/kill_matrix_test.cc has the
// names.
#pragma once

#ifdef UARENA_DEATH_POINTS

#include <string_view>

namespace uarena::broker {
void pass_death_point(std::string_view name);
}
#define UARENA_DEATH_POINT(name) ::uarena::broker::pass_death_point(name)

#else
#define UARENA_DEATH_POINT(name) static_cast<void>(0)
#endif
