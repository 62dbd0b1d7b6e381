// How close two sides of a device test have to be: to the bit, or, where one is the host, but for what each side
// rounds.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "sampler/device/harness.hpp"

namespace device_test {

inline bool same_bits(const reset::SampledToken& a, const reset::SampledToken& b) {
  const auto bits = [](float x) { return reset::detail::bits_of(x); };
  return a.token == b.token && bits(a.entropy) == bits(b.entropy) && a.status == b.status && a.boundary == b.boundary &&
         a.active == b.active && a.policy.temperature == b.policy.temperature &&
         a.policy.threshold == b.policy.threshold && a.policy.step_mean == b.policy.step_mean &&
         a.policy.global_mean == b.policy.global_mean && a.policy.uncertain == b.policy.uncertain &&
         a.policy.high == b.policy.high && bits(a.logprob) == bits(b.logprob) && a.rank == b.rank && a.stop == b.stop;
}

/// Whether entropies, or means or sums of them, are equal but for rounding.
inline bool near(double a, double b) { return std::fabs(a - b) <= 2e-6 * std::fmax(1.0, std::fabs(b)); }

/// Whether the device may have taken the other temperature: the host's row came as close to its threshold, or, where
/// the thresholds are two, the step's mean to the request's.
inline bool is_near_threshold(const reset::SampledToken& device, const reset::SampledToken& host) {
  if (device.policy.high == host.policy.high) return false;
  if (device.policy.uncertain == host.policy.uncertain) return near(host.entropy, host.policy.threshold);
  return near(host.policy.step_mean, host.policy.global_mean);
}

// How far from p the mass at which either side cuts may be.
inline constexpr double kCutMargin = 1e-6;

inline bool cuts_by_mass(const reset::SamplingParams& sampling) {
  return sampling.top_p > 0.0f && sampling.top_p < 1.0f;
}

// What is left of a row at the sampling's temperature where top-p keeps `margin` more than it says.
inline sampler_test::Kept kept_with_margin(const std::vector<float>& row, double temperature,
                                           const reset::SamplingParams& sampling, double margin) {
  const double p = static_cast<double>(sampling.top_p) + (cuts_by_mass(sampling) ? margin : 0.0);
  return sampler_test::truncate(row, temperature, sampling.top_k, p, static_cast<double>(sampling.min_p));
}

/// Whether the host's token and the device's may differ because the two cut top-p at different places. Both cuts are
/// within 1e-6 of p, and of two sets of which one holds the other, the same race has different winners only if that of
/// the larger is not in the smaller. `row` as it was sampled.
inline bool is_near_cut(const std::vector<float>& row, double temperature, const reset::SamplingParams& sampling,
                        std::int32_t host, std::int32_t device) {
  if (!cuts_by_mass(sampling) || !(temperature > reset::kArgmaxTemperature)) return false;
  const std::vector<std::int32_t> fewer = kept_with_margin(row, temperature, sampling, -kCutMargin).ids;
  const std::vector<std::int32_t> more = kept_with_margin(row, temperature, sampling, kCutMargin).ids;
  const auto in = [](const std::vector<std::int32_t>& ids, std::int32_t id) {
    return std::find(ids.begin(), ids.end(), id) != ids.end();
  };
  return in(more, host) && in(more, device) && (!in(fewer, host) || !in(fewer, device));
}

// Why two sides go different ways from a token on.
enum class Parting { kNone, kThreshold, kCut };

/// Compares one token of a request with the host's. Where the two part for a reason that is none's fault, nothing
/// behind it can be compared. `row` as it was sampled.
inline Parting compare_tokens(const reset::SampledToken& device, const reset::SampledToken& host,
                              const std::vector<float>& row, const reset::SamplingParams& sampling,
                              const std::string& name, Verdict& verdict) {
  verdict.expect(device.status == host.status, name + ": status");
  verdict.expect(near(device.entropy, host.entropy), name + ": entropy");
  verdict.expect(near(device.policy.step_mean, host.policy.step_mean), name + ": step mean");
  verdict.expect(near(device.policy.global_mean, host.policy.global_mean), name + ": mean");
  verdict.expect(device.active == host.active, name + ": active");
  verdict.expect(device.stop == host.stop, name + ": stop");
  verdict.expect(device.boundary == host.boundary, name + ": boundary");
  if (device.policy.temperature != host.policy.temperature) {
    verdict.expect(is_near_threshold(device, host), name + ": temperature");
    return Parting::kThreshold;
  }
  if (device.token == host.token) return Parting::kNone;
  const auto temperature = static_cast<double>(host.policy.temperature);
  verdict.expect(is_near_cut(row, temperature, sampling, host.token, device.token),
                 name + ": token " + std::to_string(device.token) + ", " + std::to_string(host.token));
  return Parting::kCut;
}

// Whether the detectors say the same of what comes next: their states have padding.
inline bool same_detectors(DeviceSampler::State a, DeviceSampler::State b, std::int32_t vocabulary) {
  const Tables tables(vocabulary);
  const Detector detector = tables.host();
  std::mt19937 random(5);
  for (int i = 0; i < 200; ++i) {
    const unsigned below = i % 2 == 0 ? 9 : static_cast<unsigned>(vocabulary);  // the first nine mean something
    const reset::TokenEvent event{static_cast<std::int32_t>(random() % below),
                                  static_cast<float>(random() % 64) / 16.0f, 1000 + i};
    const reset::StepMark x = detector.observe(a.detector, event);
    const reset::StepMark y = detector.observe(b.detector, event);
    if (x.boundary != y.boundary || x.active != y.active) return false;
  }
  return true;
}

/// What of two memories differs, but for the last bits of entropies and their sums; empty where nothing does.
inline std::string difference(const DeviceSampler::State& a, const DeviceSampler::State& b, std::int32_t vocabulary) {
  if (a.next_position != b.next_position || a.tokens != b.tokens) return "position";
  if (a.last_token != b.last_token) return "last token";
  if (a.mark.boundary != b.mark.boundary || a.mark.active != b.mark.active) return "mark";
  if (a.policy.step_count != b.policy.step_count || a.policy.global_count != b.policy.global_count) return "counts";
  if (a.policy.cleared != b.policy.cleared) return "cleared steps";
  if (!near(a.policy.step_sum, b.policy.step_sum) || !near(a.policy.global_sum, b.policy.global_sum)) return "sums";
  if (!std::equal(std::begin(a.policy.ring), std::end(a.policy.ring), std::begin(b.policy.ring), near)) return "ring";
  const reset::EarlyStopState& x = a.early_stop;
  const reset::EarlyStopState& y = b.early_stop;
  if (x.count != y.count || x.steps != y.steps || x.stale != y.stale) return "early stop, counts";
  if (!near(x.sum, y.sum) || !near(x.lowest, y.lowest)) return "early stop, sums";
  if (x.reasoned != y.reasoned || x.answering != y.answering) return "early stop, place";
  if (x.stop != y.stop) return "stop";
  return same_detectors(a, b, vocabulary) ? "" : "detectors";
}

/// Whether two memories are the same to the bit.
inline bool same_states(const DeviceSampler::State& a, const DeviceSampler::State& b, std::int32_t vocabulary) {
  return std::memcmp(a.policy.ring, b.policy.ring, sizeof a.policy.ring) == 0 &&
         a.policy.step_sum == b.policy.step_sum && a.policy.global_sum == b.policy.global_sum &&
         a.early_stop.sum == b.early_stop.sum && a.early_stop.lowest == b.early_stop.lowest &&
         difference(a, b, vocabulary).empty();
}

}  // namespace device_test
