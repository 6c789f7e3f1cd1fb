// uarena-parity: the parity table, printed. Exit status 1: an answer differs and no reason is
// listed; 77: this machine's kernel can't be asked.
#include <cstdio>

#include "tests/parity/table.h"

int main() {
  using namespace uarena::testing;
  constexpr int kCanNotBeAsked = 77;
  if (const auto reason = kernel_arena_unavailable()) {
    fmt::print("the kernel can't be asked: {}\n", *reason);
    return kCanNotBeAsked;
  }
  try {
    const auto kernel = kernel_side();
    const auto ours = our_side();
    std::vector<Judged> rows;
    bool wrong = false;
    for (const Question& question : parity_questions()) {
      rows.push_back(ask_both(question, *kernel, *ours, parity_reasons()));
      wrong = wrong || rows.back().verdict == Verdict::wrong;
    }
    std::fputs((not_asked_text(rows_not_asked()) + "\n").c_str(), stdout);
    std::fputs(table_text(rows).c_str(), stdout);
    return wrong ? 1 : 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "uarena-parity: {}\n", error.what());
    return 1;
  }
}
