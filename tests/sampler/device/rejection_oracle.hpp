// Where host and device may come to different tokens by rejection: both know p to 1e-6 of itself, and what hangs on
// less is either's choice.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <reset/sampler/random.hpp>

#include "sampler/device/comparisons.hpp"

namespace device_test {

/// One row, `draft` the probabilities that the token `drafted` behind it was drawn from; null, and negative, where
/// nothing is drafted.
class RejectionOracle {
 public:
  RejectionOracle(std::vector<float> row, float temperature, const reset::RequestParams& request, std::int64_t position,
                  const float* draft, std::int32_t drafted)
      : row_(std::move(row)),
        temperature_(static_cast<double>(temperature)),
        sampling_(request.sampling),
        seed_(request.seed),
        position_(position),
        draft_(draft),
        drafted_(drafted) {
    if (!(temperature > reset::kArgmaxTemperature) || drafted < 0) return;
    fewer_ = probabilities(-kCutMargin);
    p_ = probabilities(0.0);
    more_ = probabilities(kCutMargin);
  }

  /// Whether one side may have `host` and the other `device`.
  bool may_differ(std::int32_t host, std::int32_t device) const {
    if (!(temperature_ > static_cast<double>(reset::kArgmaxTemperature))) return false;
    if (drafted_ < 0) return is_near_cut(row_, temperature_, sampling_, host, device);
    if ((host == drafted_) != (device == drafted_)) return is_close_judgement();
    return is_close_race(host, device);
  }

 private:
  // Where a score may be, in nats; a token without a share stays below all others.
  struct Entrant {
    double lowest;
    double highest;
  };

  static constexpr double kRelative = 1e-6;  // of p

  std::vector<double> probabilities(double margin) const {
    const sampler_test::Kept kept = kept_with_margin(row_, temperature_, sampling_, margin);
    std::vector<double> p(row_.size(), 0.0);
    for (std::size_t i = 0; i < kept.ids.size(); ++i) p[static_cast<std::size_t>(kept.ids[i])] = kept.probability[i];
    return p;
  }

  reset::RandomKey key(reset::RandomPurpose purpose) const { return {seed_, position_, purpose}; }

  bool is_close_judgement() const {
    const std::size_t i = static_cast<std::size_t>(drafted_);
    const double u = reset::random_uniform(key(reset::RandomPurpose::kAccepting));
    const double bar = u * static_cast<double>(draft_[i]);
    const auto [lowest, highest] = std::minmax({fewer_[i], p_[i], more_[i]});
    return bar >= lowest * (1.0 - kRelative) && bar <= highest * (1.0 + kRelative);
  }

  // In the race for what p leaves above q, by chunks first where nothing is truncated.
  bool is_close_race(std::int32_t host, std::int32_t device) const {
    const auto chunk = [](std::int32_t id) { return id / static_cast<std::int32_t>(reset::kEntropyChunk); };
    const bool whole = !reset::detail::truncates(sampling_, static_cast<std::int32_t>(row_.size()));
    const bool by_chunks = whole && chunk(host) != chunk(device);
    const Entrant a = by_chunks ? enter_chunk(chunk(host)) : enter(host);
    const Entrant b = by_chunks ? enter_chunk(chunk(device)) : enter(device);
    return std::fmax(a.lowest, b.lowest) <= std::fmin(a.highest, b.highest);
  }

  double error_of(std::size_t i) const {
    return kRelative * p_[i] + std::fmax(std::fabs(more_[i] - p_[i]), std::fabs(p_[i] - fewer_[i]));
  }

  static Entrant entrant(double left, double error, double noise) {
    constexpr double kNone = 1e300;
    if (!(left + error > 0.0)) return {kNone, -kNone};
    const double highest = std::log(left + error) + noise;
    const double lowest = left > error ? std::log(left - error) + noise : -kNone;
    return {lowest - kRelative * std::fabs(highest), highest + kRelative * std::fabs(highest)};
  }

  Entrant enter(std::int32_t id) const {
    const std::size_t i = static_cast<std::size_t>(id);
    return entrant(p_[i] - static_cast<double>(draft_[i]), error_of(i),
                   reset::gumbel_noise(key(reset::RandomPurpose::kResidual), id));
  }

  Entrant enter_chunk(std::int32_t chunk) const {
    const std::size_t begin = static_cast<std::size_t>(chunk) * reset::kEntropyChunk;
    double left = 0.0;
    double error = 0.0;
    for (std::size_t i = begin; i < std::min(begin + reset::kEntropyChunk, row_.size()); ++i) {
      const double own = p_[i] - static_cast<double>(draft_[i]);
      left += std::fmax(own, 0.0);
      if (own > -error_of(i)) error += error_of(i);
    }
    return entrant(left, error,
                   reset::chunk_noise(key(reset::RandomPurpose::kResidual), static_cast<std::uint32_t>(chunk)));
  }

  std::vector<float> row_;
  double temperature_;
  reset::SamplingParams sampling_;
  std::uint64_t seed_;
  std::int64_t position_;
  const float* draft_;
  std::int32_t drafted_;
  std::vector<double> fewer_;  // p where top-p keeps a margin less, as it says, and a margin more
  std::vector<double> p_;
  std::vector<double> more_;
};

}  // namespace device_test
