#include "run.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <reset/nvfp4/quantize.hpp>
#include <reset/sampler/calibrate.hpp>
#include <reset/status.hpp>

#include "make_generator.hpp"
#include "model.hpp"
#include "stream.hpp"
#include "summary.hpp"
#include "text.hpp"
#include "trace_file.hpp"

namespace generate {
namespace {

// What is published for the model that the folder is named after, as "Qwen3-8B-NVFP4" is; else the defaults. Another
// model may well have the name in the middle of its own.
reset::ReSETParams params_for(const std::string& name) {
  const reset::PublishedPreset* preset = reset::find_published_preset(name);
  return preset == nullptr ? reset::ReSETParams() : preset->params;
}

reset::RequestParams make_request(const Options& options, const std::string& name) {
  reset::RequestParams request;
  request.seed = options.seed;
  request.reset_enabled = options.reset;
  request.reset = params_for(name);
  request.reset.tau0 = options.tau0.value_or(request.reset.tau0);
  request.reset.t_low = options.t_low.value_or(request.reset.t_low);
  request.sampling.temperature = options.temperature.value_or(0.6F);
  request.sampling.top_p = options.top_p;
  request.sampling.top_k = options.top_k;
  request.early_stop.patience = options.early_stop;
  return request;
}

// How the answers of a trace were sampled. With ReSET every token is the policy's, and the other temperature says
// nothing.
traces::Settings settings_of(const reset::RequestParams& request) {
  traces::Settings settings;
  settings.reset_enabled = request.reset_enabled;
  settings.sampling = request.sampling;
  if (request.reset_enabled) {
    settings.reset = request.reset;
    settings.sampling.temperature = reset::SamplingParams().temperature;
  }
  return settings;
}

// One sequence: what is left of it when the model has gone on.
struct Sequence {
  traces::Answer answer;
  std::int64_t tokens = 0;
};

void write_input_scales(const std::string& path, const engine::InputMaxima& maxima) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [name, amax] : maxima) json[name] = reset::RoundToNearest().global_scale(amax).value;
  std::ofstream file(path);
  file << json.dump(2) << '\n';
  if (!file.flush()) {
    throw reset::Error("--record-input-scales is " + path + ", which cannot be written, expected a folder that can");
  }
}

void require_new(const std::string& path) {
  if (!std::filesystem::exists(path)) return;
  throw reset::Error("--record-input-scales is " + path + ", which exists, expected a new file");
}

class Run {
 public:
  explicit Run(const Options& options) : options_(options), terminal_(options.colour) {
    if (!options.input_scales.empty()) require_new(options.input_scales);
    model_ = read_model(options);
    request_ = make_request(options, model_.name);
  }

  void operator()() {
    ChosenGenerator chosen = make_generator(options_, model_, reset::TokenSetTable::published_rule(model_.vocabulary),
                                            sizes(), options_.input_scales.empty() ? nullptr : &maxima_);
    if (!options_.trace.empty()) trace_.emplace(options_.trace);  // now that the sampling can begin
    print_head(chosen.device);
    generate(*chosen.generator);
    if (!options_.input_scales.empty()) write_input_scales(options_.input_scales, maxima_);
    if (trace_) write_trace();
  }

 private:
  engine::GeneratorOptions sizes() const {
    const auto prompt = static_cast<std::int64_t>(model_.prompt.tokens.size());
    if (prompt > model_.config.max_positions) {
      throw reset::Error("the prompt is " + std::to_string(prompt) + " tokens long, expected at most " +
                         std::to_string(model_.config.max_positions) + " (max_position_embeddings)");
    }
    engine::GeneratorOptions sizes;
    sizes.slots = options_.batch;
    sizes.context = std::min(model_.config.max_positions, prompt + options_.max_tokens);
    sizes.activations = options_.activations;
    sizes.sampled_columns = engine::sampled_columns(model_.vocabulary, model_.config);
    return sizes;
  }

  void print_head(const std::string& device) const {
    print_facts({{"model", model_.description},
                 {"device", device},
                 {"inputs", options_.activations == engine::Activations::kNvfp4 ? "NVFP4" : "not rounded to NVFP4"},
                 {"policy", settings_of(request_).text()}});
    if (options_.reset && terminal_.colours()) {
      print_facts({{"colours", terminal_.paint(console::Colour::kLow, "T_low") + ", " +
                                   terminal_.paint(console::Colour::kHigh, "T_high") + ", " +
                                   terminal_.paint(console::Colour::kStrong, "uncertain step", true) + ", " +
                                   terminal_.paint(console::Colour::kFaint, "[n]") + " where step n begins"}});
    }
    std::fputs("\n", stderr);
  }

  void generate(engine::Generator& generator) {
    Summary summary(static_cast<std::int64_t>(model_.prompt.tokens.size()));
    sequences_.resize(static_cast<std::size_t>(options_.batch));
    std::vector<engine::Prompt> prompts;
    for (std::int32_t slot = 0; slot < options_.batch; ++slot) {
      prompts.push_back({slot, model_.prompt.tokens, request_});
      prompts.back().request.seed += static_cast<std::uint64_t>(slot);
    }
    generator.begin(prompts);
    Stream stream(terminal_, model_.vocabulary, sequences_.size(), options_.seed);
    std::vector<engine::GeneratedToken> tokens;
    do {
      tokens.clear();
      generator.advance(tokens);
      for (const engine::GeneratedToken& token : tokens) take(token, generator, stream, summary);
      if (!tokens.empty()) summary.advanced();
    } while (!tokens.empty());
    summary.print(terminal_);
  }

  void take(const engine::GeneratedToken& token, engine::Generator& generator, Stream& stream, Summary& summary) {
    const auto slot = static_cast<std::size_t>(token.slot);
    Sequence& sequence = sequences_[slot];
    if (sequence.tokens == options_.max_tokens) return;  // came with the last one that was wanted
    if (token.sampled.status != reset::RowStatus::kOk) {
      throw reset::Error("the logits of token " + std::to_string(sequence.tokens) + " of sequence " +
                         std::to_string(slot) + " hold no distribution, expected finite numbers from the model");
    }
    ++sequence.tokens;
    summary.add(token.sampled);
    stream.token(slot, token.sampled);
    if (trace_) {
      sequence.answer.add(token.sampled.entropy, token.sampled.boundary);
      sequence.answer.text += engine::decode(model_.vocabulary, token.sampled.token);
    }
    if (!token.last && sequence.tokens < options_.max_tokens) return;
    if (!token.last) generator.end(token.slot);
    stream.end(slot);
    summary.ended(ending_of(token));
  }

  Ending ending_of(const engine::GeneratedToken& token) const {
    if (model_.config.is_eos(token.sampled.token)) return Ending::kByItself;
    return token.stopped ? Ending::kEarlyStop : Ending::kOutOfRoom;
  }

  void write_trace() {
    for (std::size_t i = 0; i < sequences_.size(); ++i) {
      traces::Answer& answer = sequences_[i].answer;
      answer.model = model_.name;
      answer.task = "generate";
      answer.problem = model_.prompt.text;
      answer.seed = options_.seed + i;
      answer.graded = false;
      answer.settings = settings_of(request_);
      trace_->add(answer);
    }
    trace_->close();
  }

  const Options& options_;
  console::Terminal terminal_;
  Model model_;
  reset::RequestParams request_;
  std::optional<traces::TraceFile> trace_;
  engine::InputMaxima maxima_;
  std::vector<Sequence> sequences_;
};

}  // namespace

void run(const Options& options) { Run{options}(); }

}  // namespace generate
