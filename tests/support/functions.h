// For tests of the verifier: every function of the catalogue counts as offered, whether or not
// somebody implements it here. Such programs are judged, never run.
#pragma once

#include "jit/catalogue.h"
#include "jit/object.h"

namespace uarena::test {

inline jit::CallTable all_functions(const jit::Object& object) {
  jit::CallTable table;
  for (const jit::FunctionDesc& function : jit::catalogue()) {
    const auto number = static_cast<size_t>(function.helper);
    if (number == 0) continue;
    if (table.helpers.size() <= number) table.helpers.resize(number + 1);
    table.helpers[number] = &function;
  }
  for (const jit::KfuncRef& wanted : object.kfuncs)
    table.kfuncs.push_back(jit::find_kfunc(wanted.name));
  return table;
}

}  // namespace uarena::test
