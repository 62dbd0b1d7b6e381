// Logits recorded while a model solved problems, the tokens that were drawn from them, and how.
//
// tests/sampler/recorded/countdown.bin is of the small reasoner of examples/reasoner (32 tokens), and `record_rows`
// (tests/examples) has made it:
//
//   build/test/tests/examples/record_rows tests/sampler/recorded/countdown.bin
//
// 32-bit little-endian words: tokens of the vocabulary, the token that is "\n" and the one that is "\n\n" (-1: none),
// traces; then for each trace its length, its tokens and, a row a token, the logits as floats.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include <reset/sampler/sampler_types.hpp>

namespace sampler_test {

struct RecordedTrace {
  std::vector<std::int32_t> tokens;
  std::vector<float> logits;  // a row a token
};

struct RecordedRows {
  std::int32_t vocabulary = 0;
  std::int32_t newline = -1;
  std::int32_t blank_line = -1;
  std::vector<RecordedTrace> traces;
};

// How trace `index` was sampled.
inline reset::RequestParams recorded_request(std::size_t index) {
  reset::RequestParams request;
  request.reset.tau0 = 0.3f;
  request.reset.t_low = 0.4f;
  request.reset.t_high = 1.0f;
  request.reset.window = 16;
  request.reset.history = index % 2 == 0 ? reset::HistoryMode::kExcludeCurrent : reset::HistoryMode::kIncludeCurrent;
  request.sampling.top_p = index % 3 == 2 ? 1.0f : 0.95f;
  request.seed = 20 + index;
  return request;
}

inline void write_recorded(const std::string& path, const RecordedRows& recorded) {
  std::ofstream file(path, std::ios::binary);
  const auto put = [&file](const auto* data, std::size_t count) {
    file.write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(count * sizeof *data));
  };
  const std::int32_t head[] = {recorded.vocabulary, recorded.newline, recorded.blank_line,
                               static_cast<std::int32_t>(recorded.traces.size())};
  put(head, 4);
  for (const RecordedTrace& trace : recorded.traces) {
    const auto length = static_cast<std::int32_t>(trace.tokens.size());
    put(&length, 1);
    put(trace.tokens.data(), trace.tokens.size());
    put(trace.logits.data(), trace.logits.size());
  }
}

// No traces where the file is missing or ends early.
inline RecordedRows read_recorded(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const auto get = [&file](auto* data, std::size_t count) {
    file.read(reinterpret_cast<char*>(data), static_cast<std::streamsize>(count * sizeof *data));
  };
  std::int32_t head[4] = {};
  get(head, 4);
  RecordedRows recorded{head[0], head[1], head[2], {}};
  for (std::int32_t i = 0; i < head[3] && file; ++i) {
    std::int32_t length = 0;
    get(&length, 1);
    RecordedTrace trace;
    trace.tokens.resize(static_cast<std::size_t>(length));
    trace.logits.resize(static_cast<std::size_t>(length) * static_cast<std::size_t>(recorded.vocabulary));
    get(trace.tokens.data(), trace.tokens.size());
    get(trace.logits.data(), trace.logits.size());
    recorded.traces.push_back(std::move(trace));
  }
  if (!file) recorded.traces.clear();
  return recorded;
}

}  // namespace sampler_test
