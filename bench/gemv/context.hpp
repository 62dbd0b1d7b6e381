// Where and when a run was made.
#pragma once

#include <nlohmann/json.hpp>

#include "options.hpp"

namespace bench {

struct Clocks {
  double before_mhz = 0;  // of the multiprocessors under load, when the run began
  double after_mhz = 0;   // and when it ended
};

// `read_rate` in TB/s, measured in the run.
nlohmann::ordered_json context_json(const Options& options, const Clocks& clocks, double read_rate);

}  // namespace bench
