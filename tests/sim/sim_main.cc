// Measures how near the last peer of a simulated swarm comes to the fluid bound; see usage().
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "tests/sim/simulator.h"

namespace {

using p2p::sim::SimOptions;
using p2p::sim::SimReport;
using p2p::sim::Simulator;
using p2p::sim::UplinkUse;

int Usage() {
  std::fputs(
      "usage: p2p_sim [--peers N,N,...] [--chunks N] [--mbit N] [--seed-mbit N] [--rtt MS]\n"
      "               [--unit-leaves N] [--links N] [--most-links N] [--turn MS] [--random-seed N] "
      "[--vanishing PART] [--stalling "
      "PART]\n"
      "               [--lying PART] [--late PART] [--slow PART] [--seed-leaves 1]\n"
      "               [--tracker-leaves PART] [--trace 1]\n"
      "PART is a part of the peers, or of the fluid bound's time. --trace shows each twentieth of\n"
      "the bound. For each number of peers a line: see docs/performance.md.\n",
      stderr);
  return 2;
}

double Percent(double part) { return 100 * part; }

void PrintUse(const UplinkUse& use) {
  std::printf(" %5.1f %5.1f %5.1f %5.1f %6.2f", Percent(use.sending), Percent(use.held_back),
              Percent(use.not_asked), Percent(use.no_use), use.committed_seconds);
}

void PrintTrace(const SimReport& report) {
  std::printf("   time  mean  least   sends  held  n.ask  n.use  commit\n");
  for (size_t i = 0; i < report.slices.size(); ++i) {
    const SimReport::Slice& slice = report.slices[i];
    std::printf("   %4.2f %5.1f %5.1f ", (i + 1.0) / Simulator::kSlicesPerBound,
                Percent(slice.mean_have), Percent(slice.least_have));
    PrintUse(slice.use);
    std::printf("\n");
  }
}

void RunOne(const SimOptions& options, bool trace) {
  const auto begin = std::chrono::steady_clock::now();
  Simulator simulator(options);
  const SimReport report = simulator.Run();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("%5d %5u %7.1f %4d/%-4d %6.3f %6.3f %6.3f %5.2f %6.1f |", options.peers,
              options.chunks, report.bound_seconds, report.complete, report.left,
              report.last_over_bound, report.median_over_bound, report.first_copy_over_bound,
              report.seed_copies, Percent(report.wasted));
  PrintUse(report.Mean(0, Simulator::kSlicesPerBound));
  std::printf(" | %6.1f\n", took.count());
  if (report.liars_banned > 0) {
    std::printf(
        "      wrong chunks %llu, kept %llu; liars banned %d times, %d of their links stand\n",
        static_cast<unsigned long long>(report.counters.chunks_bad),
        static_cast<unsigned long long>(report.counters.wrong_chunks_kept), report.liars_banned,
        report.liar_links);
  }
  if (trace) PrintTrace(report);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  SimOptions options;
  std::vector<std::string> peers = {"10", "100", "1000"};
  bool trace = false;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--peers") {
      peers = absl::StrSplit(argv[i + 1], ',');
      continue;
    }
    double value = 0;
    if (!absl::SimpleAtod(argv[i + 1], &value) || value < 0) return Usage();
    if (name == "--chunks") {
      options.chunks = static_cast<uint32_t>(value);
    } else if (name == "--mbit") {
      options.mbit = value;
    } else if (name == "--seed-mbit") {
      options.seed_mbit = value;
    } else if (name == "--rtt") {
      options.round_trip = absl::Milliseconds(value);
    } else if (name == "--links") {
      options.wanted_links = static_cast<int>(value);
    } else if (name == "--most-links") {
      options.most_links = static_cast<int>(value);
    } else if (name == "--turn") {
      options.turn = absl::Milliseconds(value);
    } else if (name == "--random-seed") {
      options.random_seed = static_cast<uint64_t>(value);
    } else if (name == "--vanishing") {
      options.vanishing = value;
    } else if (name == "--stalling") {
      options.stalling = value;
    } else if (name == "--lying") {
      options.lying = value;
    } else if (name == "--late") {
      options.late = value;
    } else if (name == "--slow") {
      options.slow = value;
    } else if (name == "--seed-leaves") {
      options.seed_leaves = value > 0;
    } else if (name == "--tracker-leaves") {
      options.tracker_leaves = value;
    } else if (name == "--unit-leaves") {
      options.unit_leaves = static_cast<uint32_t>(value);
    } else if (name == "--trace") {
      trace = value > 0;
    } else {
      return Usage();
    }
  }
  if (argc % 2 == 0) return Usage();
  std::printf("random seed %llu\n", static_cast<unsigned long long>(options.random_seed));
  std::printf(
      "    N chunks bound s done/left   last median 1st.cp  seed waste%% | sends  held n.ask n.use "
      "commit | wall s\n");
  for (const std::string& count : peers) {
    if (!absl::SimpleAtoi(count, &options.peers) || options.peers < 1) return Usage();
    RunOne(options, trace);
  }
}
