// uarena-bench: measures uarena against the live kernel's bpf_arena in one interleaved run, with a
// private broker. Prints a table and writes the JSON that `./dev bench` promises.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>

#include "tests/support/broker_process.h"
#include "tests/support/kernel_loader.h"
#include "tools/bench/bench.h"
#include "tools/bench/cpu_latency.h"

namespace {

using namespace uarena;

// A work is chosen by its whole name or by a beginning of it that ends before a dot.
bool chosen(const std::string& work, const std::vector<std::string>& names) {
  return names.empty() || std::ranges::any_of(names, [&](const std::string& n) {
           return work == n || work.starts_with(n + ".");
         });
}

void print(const bench::Measured& m) {
  std::printf("%-20s %10.1f %10.1f %-10s %6.2f  (%.2f..%.2f)  %s, %s is better", m.name.c_str(),
              m.ours, m.peer, m.peer_name.c_str(), m.ratio, m.ratio_low, m.ratio_high,
              m.unit.c_str(), m.better.c_str());
  if (m.native != 0) std::printf("; native %.1f, ours/native %.2f", m.native, m.ours / m.native);
  std::printf("\n");
  std::fflush(stdout);
}

// Of compiled code, whose parts differ in what they stress.
void print_mean(const std::vector<bench::Measured>& results) {
  double logs = 0, worst = 0;
  int count = 0;
  for (const bench::Measured& m : results) {
    if (m.native == 0) continue;
    logs += std::log(m.ratio);
    worst = std::max(worst, m.ratio);
    ++count;
  }
  if (count > 1)
    std::printf("%d works of compiled code: geometric mean %.2f, highest %.2f\n", count,
                std::exp(logs / count), worst);
}

void write_json(const std::string& path, const std::vector<bench::Measured>& results) {
  boost::json::array rows;
  for (const bench::Measured& m : results) {
    boost::json::object row{{"name", m.name},           {"ours", m.ours},   {"peer", m.peer},
                            {"peer_name", m.peer_name}, {"ratio", m.ratio}, {"unit", m.unit},
                            {"better", m.better}};
    if (m.native != 0) row["native"] = m.native;
    rows.push_back(std::move(row));
  }
  const auto directory = std::filesystem::path(path).parent_path();
  if (!directory.empty()) std::filesystem::create_directories(directory);
  std::ofstream file(path);
  file << boost::json::serialize(rows) << "\n";
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

// Works in which one thread waits for another are measured with CPUs awake, unless one asks what
// waking them costs.
Result<bench::Measured> measure(const bench::Work& work, unsigned rounds, bool awake) {
  std::optional<bench::CpuLatency> held;
  if (awake && work.wakes) {
    auto latency = bench::CpuLatency::hold();
    if (!latency) return std::unexpected(latency.error());
    held.emplace(std::move(*latency));
  }
  return bench::measure(work, rounds);
}

int run(const std::vector<std::string>& names, unsigned rounds, const std::string& output,
        bool awake) {
  if (auto why = testing::kernel_arena_unavailable()) {
    std::fprintf(stderr, "uarena-bench: the live kernel can't be the peer: %s\n", why->c_str());
    return 1;
  }
  testing::BrokerProcess broker;
  std::vector<bench::Work> works = bench::page_works(broker.socket(), UARENA_BPF_DIR);
  std::ranges::move(bench::segv_works(broker.socket()), std::back_inserter(works));
  std::ranges::move(bench::storm_works(broker.socket()), std::back_inserter(works));
  std::ranges::move(bench::restart_works(), std::back_inserter(works));
  std::ranges::move(bench::alloc_works(broker.socket(), UARENA_BPF_DIR), std::back_inserter(works));
  std::ranges::move(bench::program_works(broker.socket(), UARENA_BPF_DIR),
                    std::back_inserter(works));
  std::ranges::move(bench::invoke_works(broker.socket(), UARENA_BPF_DIR, broker.pid()),
                    std::back_inserter(works));
  std::ranges::move(bench::code_works(broker.socket(), UARENA_BPF_DIR), std::back_inserter(works));
  std::ranges::move(bench::verify_works(UARENA_BPF_DIR), std::back_inserter(works));
  std::ranges::move(bench::load_works(UARENA_BPF_DIR), std::back_inserter(works));
  for (const std::string& name : names)
    if (std::ranges::none_of(works, [&](const auto& w) { return chosen(w.name, {name}); })) {
      std::fprintf(stderr, "uarena-bench: there is no work %s; there are:", name.c_str());
      for (const auto& work : works) std::fprintf(stderr, " %s", work.name.c_str());
      std::fprintf(stderr, "\n");
      return 2;
    }
  std::printf("%-20s %10s %10s %-10s %6s\n", "work", "ours", "peer", "", "ratio");
  std::vector<bench::Measured> results;
  for (const bench::Work& work : works) {
    if (!chosen(work.name, names)) continue;
    auto measured = measure(work, rounds, awake);
    if (!measured) {
      std::fprintf(stderr, "uarena-bench: %s: %s\n", work.name.c_str(),
                   measured.error().message.c_str());
      return 1;
    }
    print(*measured);
    results.push_back(*measured);
  }
  print_mean(results);
  write_json(output, results);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "uarena-bench: uarena against the live kernel's bpf_arena, measured alternately in one run"};
  std::vector<std::string> names;
  unsigned rounds = 15;
  std::string output = "build/bench/latest.json";
  app.add_option("NAME", names,
                 "works to measure, or beginnings of names: fault, prog.list (default: all)");
  app.add_option("--rounds", rounds, "pairs per work (default: 15)")->check(CLI::Range(1, 1000));
  app.add_option("--output", output, "where the JSON goes (default: build/bench/latest.json)");
  bool asleep = false;
  app.add_flag(
      "--let-cpus-sleep", asleep,
      "do not hold /dev/cpu_dma_latency while faults, allocations and attaches are measured");
  CLI11_PARSE(app, argc, argv);
  try {
    return run(names, rounds, output, !asleep);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "uarena-bench: %s\n", error.what());
    return 1;
  }
}
