// What was measured: as JSON for the plots, and as a table for whoever ran it.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "baselines.hpp"
#include "layers.hpp"

namespace bench {

struct Record {
  Case call;
  std::string kernel;
  double time_us = 0;
  double any_ahead_us = 0;  // 0 without dependent launch, like the next
  double prefetched_us = 0;
  double floor_us = 0;
  Bf16Baseline bf16;  // times of 0 where not measured
  Fp8Baseline fp8;
  double sm_mhz = 0;
};

nlohmann::ordered_json to_json(const Record& record);

// Numbers in files have three digits behind the point.
inline double rounded(double value) { return std::round(value * 1000) / 1000; }

// An array, one record a line.
void write_records(const std::string& path, const std::vector<nlohmann::ordered_json>& records);
void write_json(const std::string& path, const nlohmann::ordered_json& value);

// A line for each layer and activation: times of the floor at each M. Then geometric means over the layers.
void print_table(const std::vector<Record>& records);

}  // namespace bench
