// Records what the reasoner's logits are while it solves held-out problems, for the sampler's tests: record_rows OUTPUT
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include <reset/io/tokenizer.hpp>
#include <reset/sampler/boundary/token_set.hpp>
#include <reset/sampler/reset_sampler.hpp>

#include "countdown.hpp"
#include "model.hpp"
#include "sampler/recorded_rows.hpp"
#include "text.hpp"

namespace {

constexpr std::size_t kTraces = 8;
constexpr std::size_t kMostTokens = 160;

std::int32_t token_of(const reset::Vocabulary& vocabulary, const std::string& text) {
  for (std::size_t id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.bytes[id] == text) return static_cast<std::int32_t>(id);
  }
  return -1;
}

sampler_test::RecordedTrace record(engine::Model& model, const reset::Vocabulary& vocabulary,
                                   const reset::TokenSetTable& boundaries, const reasoner::Problem& problem,
                                   const reset::RequestParams& request) {
  const engine::ModelConfig& config = model.config();
  reset::SamplerConfig shape;
  shape.vocabulary = static_cast<std::int32_t>(config.vocab_size);
  reset::ReSETSampler sampler(shape, boundaries.detector());
  reset::throw_if_failed(sampler.add(0, request));
  engine::KvCache cache(config, config.max_positions);
  std::vector<std::int32_t> prompt = engine::encode_longest(vocabulary, problem.text() + "\n\n");
  prompt.insert(prompt.begin(), config.bos_token);
  std::vector<float> logits = model.prefill(prompt, cache);
  sampler_test::RecordedTrace trace;
  while (trace.tokens.size() < kMostTokens) {
    reset::SampledToken next;
    reset::throw_if_failed(sampler.sample(0, logits.data(), next));
    trace.tokens.push_back(next.token);
    trace.logits.insert(trace.logits.end(), logits.begin(), logits.end());
    if (config.is_eos(next.token)) break;
    model.forward({{next.token, &cache, logits.data()}});
  }
  return trace;
}

void run(const std::string& output) {
  const std::string folder = RESET_REASONER_DIR "/model/nvfp4";
  const engine::Weights weights(folder);
  engine::Model model(weights);
  reset::Vocabulary vocabulary = reset::read_tokenizer(folder + "/tokenizer.json").vocabulary;
  vocabulary.resize(static_cast<std::size_t>(weights.config.vocab_size));
  sampler_test::RecordedRows recorded;
  recorded.vocabulary = static_cast<std::int32_t>(vocabulary.size());
  recorded.newline = token_of(vocabulary, "\n");
  recorded.blank_line = token_of(vocabulary, "\n\n");
  const reset::TokenSetTable boundaries = reset::TokenSetTable::published_rule(vocabulary);
  const std::vector<reasoner::Problem> problems = reasoner::read_problems(RESET_REASONER_DIR "/data/held_out.txt");
  for (std::size_t i = 0; i < kTraces; ++i) {
    recorded.traces.push_back(record(model, vocabulary, boundaries, problems.at(i), sampler_test::recorded_request(i)));
  }
  sampler_test::write_recorded(output, recorded);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: record_rows OUTPUT\n", stderr);
    return 2;
  }
  try {
    run(argv[1]);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "record_rows: %s\n", error.what());
    return 1;
  }
}
