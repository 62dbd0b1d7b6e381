// A run of a benchmark that writes a file of records and another of its context.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "context.hpp"
#include "options.hpp"
#include "records.hpp"

namespace bench {

// Touches the device when the first benchmark asks for the fixture, so that their list can be had without one.
template <class Fixture>
class Recorder {
 public:
  // Writes `name`.json and `name`_context.json.
  Recorder(const Options& options, std::string name) : options_(options), name_(std::move(name)) {}

  Fixture& fixture() {
    if (!fixture_) {
      fixture_ = std::make_unique<Fixture>();
      read_rate_ = fixture_->read_rate();
      clocks_.before_mhz = fixture_->sm_clock_mhz();
    }
    return *fixture_;
  }

  // Writes all there is, so that a run which is cut off leaves what it has.
  void add(const nlohmann::ordered_json& record) {
    records_.push_back(record);
    if (!options_.results.empty()) write_records(path(".json"), records_);
  }

  // Writes the context, and prints it.
  void end() {
    if (records_.empty()) return;
    clocks_.after_mhz = fixture_->sm_clock_mhz();
    const auto context = context_json(options_, clocks_, read_rate_);
    if (!options_.results.empty()) write_json(path("_context.json"), context);
    std::printf("%s\n", context.dump().c_str());
  }

 private:
  std::string path(const char* suffix) const { return options_.results + "/" + name_ + suffix; }

  Options options_;
  std::string name_;
  std::unique_ptr<Fixture> fixture_;
  std::vector<nlohmann::ordered_json> records_;
  Clocks clocks_;
  double read_rate_ = 0;
};

}  // namespace bench
