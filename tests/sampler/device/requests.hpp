// Requests of one small engine, and the logits that a model would give them: what several device tests decode.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "sampler/device/comparisons.hpp"

namespace device_test {

inline constexpr std::int32_t kVocabulary = 6000;
inline constexpr int kRows = 5;  // of a slot in one call
inline constexpr std::int64_t kFirst = 10;

inline reset::SamplerConfig make_config(int slots, bool rank = false) {
  reset::SamplerConfig config;
  config.vocabulary = kVocabulary;
  config.slots = slots;
  config.rows_per_slot = kRows;
  config.rank = rank;
  return config;
}

// Of several windows, both histories, truncations of every kind, and both rules to end early.
inline reset::RequestParams make_request(int slot) {
  constexpr std::int32_t kWindows[] = {4, 1, 32, 1};
  reset::RequestParams request;
  request.reset.tau0 = 1.5f;
  request.reset.t_low = 0.5f;
  request.reset.window = kWindows[slot % 4];
  request.reset.history = slot / 2 % 2 == 0 ? reset::HistoryMode::kExcludeCurrent : reset::HistoryMode::kIncludeCurrent;
  request.sampling.top_p = slot % 3 == 2 ? 0.95f : 1.0f;
  request.sampling.top_k = slot % 4 == 1 ? 3 : 0;  // few enough for a list of the best
  request.sampling.temperature = 0.9f;
  request.seed = static_cast<std::uint64_t>(slot) + 40;
  request.first_position = kFirst;
  request.early_stop.patience = slot % 3 == 0 ? 0 : 4;
  request.early_stop.answer_level = slot % 2 == 0 ? 1.5f : 0.0f;
  request.early_stop.answer_tokens = 4;
  return request;
}

// The likely tokens are those that detectors look for, and a whole chunk is masked.
inline std::vector<float> row_at(int slot, std::int64_t position) {
  std::mt19937 random(static_cast<unsigned>(slot * 9973 + position));
  std::vector<float> row = sampler_test::make_row(kVocabulary, static_cast<unsigned>(random()), 1.5f, 4, 6.0f);
  for (int i = 0; i < 3; ++i) row[random() % 9] += 7.0f;
  std::fill(row.begin() + 2048, row.begin() + 3072, -sampler_test::kInfinity);
  return row;
}

// A request decoded one token at a time: its tokens and, at the end, its memory.
struct Decoded {
  std::vector<reset::SampledToken> tokens;
  DeviceSampler::State state;
};

inline Decoded decode_alone(const reset::SamplerDevice& device, int slot, int count, bool rank = false) {
  Engine engine(device, make_config(1, rank), 1);
  engine.add(0, make_request(slot));
  Decoded decoded;
  for (int i = 0; i < count; ++i) {
    const DeviceArray<float> logits(row_at(slot, kFirst + i));
    decoded.tokens.push_back(engine.step(logits.data(), {{0, -1, reset::kNextPosition}})[0]);
  }
  decoded.state = engine.state(0);
  return decoded;
}

}  // namespace device_test
