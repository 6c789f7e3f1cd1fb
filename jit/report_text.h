// What stands on a program's stderr beside what it has written there itself: accesses to absent
// pages, and time that ran out.
#pragma once

#include <string>

#include "jit/engine.h"
#include "jit/fault_reports.h"

namespace uarena::jit {

// Everything that was not told yet, in the kernel's form (K52) with the source lines.
std::string text_of_new_faults(const Executable& program, FaultReports& reports);

// A run that was ended in a loop, or whose may_goto ran into its time; empty: neither.
std::string text_of_time_out(const Executable& program, const RunContext& run);

}  // namespace uarena::jit
