// What the user sees: progress while it runs, then a table of what became of every tensor.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "convert.hpp"
#include "plan.hpp"

namespace quantize {

// A bar that is redrawn if standard error is a terminal, a line for every tenth otherwise.
class ProgressBar {
 public:
  explicit ProgressBar(std::uint64_t total);
  ~ProgressBar();  // clears the bar
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // The tensor that is worked on from now on.
  void set_name(const std::string& name) { name_ = name; }
  void advance(std::uint64_t bytes);

 private:
  using Clock = std::chrono::steady_clock;
  void draw(double share) const;

  std::uint64_t total_;
  std::uint64_t done_ = 0;
  std::string name_;
  bool terminal_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point drawn_{};
  int tenths_ = 0;
};

// One row of the table: a quantised tensor and its energies, or one that was kept.
struct Outcome {
  const PlannedTensor* planned = nullptr;
  Energy energy;
};

// Prints the table and the totals to standard output.
void print_table(const std::vector<Outcome>& outcomes, std::uint64_t bytes_before, std::uint64_t bytes_after);

}  // namespace quantize
