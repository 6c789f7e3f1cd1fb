// The rows that one question to one arena can't settle. Each row of docs/kernel-parity.md is here
// or has a question; table_test counts them.
#include "tests/parity/rows.h"

namespace uarena::testing {
namespace {

constexpr NotAsked kRows[] = {
    {"K6-K8", "no counterpart: uarena has no map descriptors"},
    {"K11", "where the kernel reserves addresses shows nowhere; kernel_view_test has ours"},
    {"K12", "K37 asks for the zeros; who is charged is quota_test's"},
    {"K28", "K16 shows why it can't arise here"},
    {"K31", "the kernel's needs a machine without memory; ours: no_memory_test"},
    {"K32", "7.x, and can't arise here"},
    {"K39", "6.18 puts pages into its tree there that the arena does not have"},
    {"K42-K43", "a rule of the verifier in 6.18: parity_verifier_cases_test"},
    {"K45", "a rule of the verifier: parity_verifier_cases_test"},
    {"K46-K47", "7.3, and later here"},
    {"K52-K53", "streams of 6.18 deliver nothing; ours: streams_test"},
    {"K54", "parity_objects_test runs a loop to its end"},
    {"K55", "a rule of the verifier: parity_verifier_cases_test"},
    {"K62-K63", "rules of the verifier: parity_verifier_cases_test"},
    {"K64", "one machine at a time"},
    {"K65-K77", "rules of the verifier: parity_verifier_cases_test"},
    {"K78-K79", "libbpf's rules: loader_test has ours"},
    {"K81", "parity_objects_test runs what is relocated"},
    {"K82-K85", "libbpf's and the compiler's"},
};

}  // namespace

std::span<const NotAsked> rows_not_asked() { return kRows; }

}  // namespace uarena::testing
