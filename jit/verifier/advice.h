// What to change in the program, in plain words, for each kind of rejection: the last line of the
// log. Messages say what the verifier saw; who meets one for the first time wants to know what to
// do.
#pragma once

#include <string_view>

namespace uarena::jit::verifier {

// Never empty.
std::string_view advice_for(std::string_view message);

}  // namespace uarena::jit::verifier
