// Requests of a small engine for the sampler's tests: a detector, logits by request and position, comparisons.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include <reset/sampler/boundary/detector.hpp>
#include <reset/sampler/reset_sampler.hpp>

#include "sampler_support.hpp"
#include "support/catch.hpp"

namespace sampler_test {

using reset::RequestParams;
using reset::SampledToken;
using reset::SamplerConfig;
using reset::SamplerRow;
using reset::StepMark;
using reset::TokenEvent;

inline constexpr std::int32_t kVocabulary = 40;

// Tokens that are multiples of five end a step. The policy applies after `enabled_by` (from the start where it is
// negative) until `disabled_by`. The digest depends on every part of every event, and on their order; an erratic
// detector ends steps by it too.
struct Fives {
  struct State {
    std::uint64_t digest = 0;
    bool on = false;
  };
  std::int32_t enabled_by = -1;
  std::int32_t disabled_by = -1;
  bool erratic = false;
  State initial_state() const { return {0, enabled_by < 0}; }
  bool initially_active() const { return enabled_by < 0; }
  StepMark observe(State& state, const TokenEvent& event) const {
    for (const std::uint64_t part :
         {static_cast<std::uint64_t>(event.token), static_cast<std::uint64_t>(event.position),
          std::uint64_t{reset::detail::bits_of(event.entropy)}}) {
      state.digest = state.digest * 0x100000001b3u + part + 1;
    }
    if (event.token == enabled_by) state.on = true;
    if (event.token == disabled_by) state.on = false;
    return {event.token % 5 == 0 || (erratic && (state.digest >> 32) % 4 == 0), state.on};
  }
};

using Sampler = reset::ReSETSampler<Fives>;

inline SamplerConfig make_config(int slots, int rows_per_slot = 1) {
  SamplerConfig config;
  config.vocabulary = kVocabulary;
  config.slots = slots;
  config.rows_per_slot = rows_per_slot;
  return config;
}

inline RequestParams make_request(std::uint64_t seed) {
  RequestParams request;
  request.reset.tau0 = 2.0f;
  request.reset.t_low = 0.4f;
  request.reset.window = 4;
  request.sampling.top_p = 0.95f;
  request.sampling.fallback_token = 3;
  request.seed = seed;
  request.first_position = 100;
  request.early_stop.patience = static_cast<std::int32_t>(seed % 3);
  return request;
}

// The logits a model would give at a position of a request: any function of both.
inline std::vector<float> logits_at(std::uint64_t request, std::int64_t position) {
  const unsigned seed = static_cast<unsigned>(request * 7919 + static_cast<std::uint64_t>(position));
  return make_row(kVocabulary, seed, 0.5f + static_cast<float>(seed % 5), 1, 4.0f);
}

inline bool same(const SampledToken& a, const SampledToken& b) {
  return a.token == b.token && a.entropy == b.entropy && a.status == b.status && a.boundary == b.boundary &&
         a.active == b.active && a.policy.temperature == b.policy.temperature &&
         a.policy.threshold == b.policy.threshold && a.policy.step_mean == b.policy.step_mean &&
         a.policy.global_mean == b.policy.global_mean && a.policy.uncertain == b.policy.uncertain &&
         a.policy.high == b.policy.high && a.stop == b.stop;
}

// What a request gives when it runs alone, token by token. Asserts nothing, so that threads may call it.
inline std::vector<SampledToken> run_alone(const RequestParams& request, int count) {
  Sampler sampler(make_config(1));
  reset::throw_if_failed(sampler.add(0, request));
  std::vector<SampledToken> results(static_cast<std::size_t>(count));
  for (int t = 0; t < count; ++t) {
    const auto row = logits_at(request.seed, request.first_position + t);
    reset::throw_if_failed(sampler.sample(0, row.data(), results[static_cast<std::size_t>(t)]));
  }
  return results;
}

inline void append(std::vector<float>& logits, const std::vector<float>& row) {
  logits.insert(logits.end(), row.begin(), row.end());
}

// A state's bytes that carry meaning.
inline bool same_state(const Sampler::State& a, const Sampler::State& b) {
  return std::memcmp(a.policy.ring, b.policy.ring, sizeof a.policy.ring) == 0 &&
         a.policy.step_sum == b.policy.step_sum && a.policy.global_sum == b.policy.global_sum &&
         a.policy.step_count == b.policy.step_count && a.policy.global_count == b.policy.global_count &&
         a.policy.cleared == b.policy.cleared && a.detector.digest == b.detector.digest &&
         a.detector.on == b.detector.on && a.mark.boundary == b.mark.boundary && a.mark.active == b.mark.active &&
         a.last_token == b.last_token && a.next_position == b.next_position && a.tokens == b.tokens &&
         a.early_stop.sum == b.early_stop.sum && a.early_stop.count == b.early_stop.count &&
         a.early_stop.lowest == b.early_stop.lowest && a.early_stop.stale == b.early_stop.stale &&
         a.early_stop.stop == b.early_stop.stop;
}

inline Sampler::State state_of(const Sampler& sampler, std::int32_t slot) {
  Sampler::State state;
  REQUIRE(sampler.export_slot(slot, state).ok());
  return state;
}

}  // namespace sampler_test
