// The logits that the sampler's benchmarks work on.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include <reset/sampler/logits.hpp>

namespace bench {

inline constexpr std::int32_t kVocabulary = 151936;

// Normal logits with a few peaks: about the entropy and the depth that reasoning models show. Flat ones have neither.
inline std::vector<float> make_logits(int rows, bool flat = false) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0f, flat ? 0.3f : 2.5f);
  std::vector<float> logits(static_cast<std::size_t>(rows) * kVocabulary);
  for (float& x : logits) x = normal(random);
  for (int row = 0; row < rows && !flat; ++row) {
    float* begin = logits.data() + static_cast<std::size_t>(row) * kVocabulary;
    for (int i = 0; i < 20; ++i) begin[random() % kVocabulary] = 16.0f + normal(random);
  }
  return logits;
}

// The bits of bfloat16, cut off.
inline std::vector<reset::BFloat16> narrowed(const std::vector<float>& values) {
  std::vector<reset::BFloat16> result;
  for (const float x : values) result.push_back({static_cast<std::uint16_t>(reset::detail::bits_of(x) >> 16)});
  return result;
}

}  // namespace bench
