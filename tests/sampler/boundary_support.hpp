// What the tests of the boundary detectors share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <random>
#include <string>
#include <vector>

#include <reset/sampler/boundary/detector.hpp>
#include <reset/sampler/boundary/vocabulary.hpp>

namespace boundary_test {

inline reset::Vocabulary make_vocabulary(const std::vector<std::string>& texts,
                                         std::initializer_list<std::size_t> special = {}) {
  reset::Vocabulary vocabulary;
  for (std::size_t id = 0; id < texts.size(); ++id) vocabulary.set(id, texts[id]);
  for (const std::size_t id : special) vocabulary.special[id] = 1;
  return vocabulary;
}

inline reset::TokenEvent event(std::int32_t token, float entropy = 0.5f, std::int64_t position = 0) {
  return {token, entropy, position};
}

// Shows `tokens` to a detector and returns its boundaries as a string of '.' and '|', one a token.
template <class Detector>
std::string boundaries(const Detector& detector, const std::vector<std::int32_t>& tokens) {
  typename Detector::State state = detector.initial_state();
  std::string marks;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const reset::StepMark mark = detector.observe(state, event(tokens[i], 0.5f, static_cast<std::int64_t>(100 + i)));
    marks += mark.boundary ? '|' : '.';
  }
  return marks;
}

// The same, with the state leaving and coming back as bytes after every token, the old object overwritten meanwhile.
template <class Detector>
std::string boundaries_with_exports(const Detector& detector, const std::vector<std::int32_t>& tokens) {
  typename Detector::State state = detector.initial_state();
  std::string marks;
  for (const std::int32_t token : tokens) {
    unsigned char exported[sizeof state];
    std::memcpy(exported, &state, sizeof state);
    std::memset(static_cast<void*>(&state), 0xff, sizeof state);
    std::memcpy(static_cast<void*>(&state), exported, sizeof state);
    marks += detector.observe(state, event(token)).boundary ? '|' : '.';
  }
  return marks;
}

// Token ids in 0..count-1, uniform; the generator is fixed, so every run sees the same.
inline std::vector<std::int32_t> random_tokens(std::mt19937& random, std::size_t length, std::size_t count) {
  std::vector<std::int32_t> tokens(length);
  for (std::int32_t& token : tokens) token = static_cast<std::int32_t>(random() % count);
  return tokens;
}

// A bit pattern as a float: -ffast-math does not let NaN and infinity be written as values.
inline float from_bits(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
inline double from_bits(std::uint64_t bits) {
  double value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace boundary_test
