// Intervals for means over problems.
#pragma once

#include <optional>
#include <vector>

namespace calibrate {

struct Interval {
  double low = 0;
  double high = 0;
};

// A mean over problems, in 0..1 or, for a difference, -1..1.
struct Estimate {
  double mean = 0;
  std::optional<Interval> interval;  // none where all problems agree: such a sample knows no spread
};

// The mean of one value a problem, with the 95 % percentile interval over 4,000 bootstrap resamples of the problems.
// Paired where the values are differences. The same values give the same interval on every machine.
Estimate bootstrap(const std::vector<double>& values);

}  // namespace calibrate
