#include <algorithm>
#include <string>
#include <utility>

#include <reset/sampler/reset_sampler.hpp>
#include <reset/status.hpp>

#include "generator.hpp"
#include "model.hpp"

namespace engine {
namespace {

reset::SamplerConfig sampler_config(const ModelConfig& config, const GeneratorOptions& options) {
  const auto columns = static_cast<std::int32_t>(config.vocab_size);
  if (options.sampled_columns < 0 || options.sampled_columns > columns) {
    throw reset::Error("GeneratorOptions: sampled_columns is " + std::to_string(options.sampled_columns) +
                       ", expected 0.." + std::to_string(columns) + " (vocab_size)");
  }
  reset::SamplerConfig sampler;
  sampler.vocabulary = options.sampled_columns == 0 ? columns : options.sampled_columns;
  sampler.row_stride = columns;
  sampler.slots = options.slots;
  return sampler;
}

class HostGenerator : public Generator {
 public:
  HostGenerator(const Weights& weights, reset::TokenSetTable boundaries, const GeneratorOptions& options, int threads,
                InputMaxima* maxima)
      : config_(weights.config),
        model_(weights, threads, options.activations),
        boundaries_(std::move(boundaries)),
        sampler_(sampler_config(config_, options), boundaries_.detector()) {
    model_.record_inputs(maxima);
    for (std::int32_t slot = 0; slot < options.slots; ++slot) {
      slots_.push_back({KvCache(config_, options.context == 0 ? config_.max_positions : options.context), {}});
    }
  }

  void begin(const std::vector<Prompt>& prompts) override {
    check_slots(prompts, static_cast<std::int32_t>(slots_.size()));
    for (const Prompt& prompt : prompts) end(prompt.slot);
    for (const Prompt& prompt : prompts) read(prompt);
    for (const Prompt& prompt : prompts) at(prompt.slot).running = true;
  }

  void end(std::int32_t index) override { at(index).running = false; }

  void advance(std::vector<GeneratedToken>& tokens) override {
    read_sampled();
    for (std::size_t index = 0; index < slots_.size(); ++index) {
      Slot& slot = slots_[index];
      if (!slot.running) continue;
      reset::SampledToken sampled;
      reset::throw_if_failed(sampler_.sample(static_cast<std::int32_t>(index), slot.logits.data(), sampled));
      tokens.push_back(generated_token(static_cast<std::int32_t>(index), sampled, config_,
                                       slot.cache.length() == slot.cache.capacity()));
      slot.unread = sampled.token;
      slot.running = !tokens.back().last;
    }
  }

 private:
  static constexpr std::int32_t kNone = -1;

  struct Slot {
    KvCache cache;
    std::vector<float> logits;    // of the token that comes next
    std::int32_t unread = kNone;  // the last token, while the model has not read it
    bool running = false;
  };

  Slot& at(std::int32_t index) {
    if (index < 0 || static_cast<std::size_t>(index) >= slots_.size()) {
      throw reset::Error("slot is " + std::to_string(index) + ", expected 0.." + std::to_string(slots_.size() - 1));
    }
    return slots_[static_cast<std::size_t>(index)];
  }

  void read(const Prompt& prompt) {
    Slot& slot = at(prompt.slot);
    slot.cache.truncate(0);
    const auto length = static_cast<std::int64_t>(prompt.tokens.size());
    if (length < 1 || length > slot.cache.capacity()) {
      throw reset::Error("the prompt is " + std::to_string(length) + " tokens long, expected 1.." +
                         std::to_string(slot.cache.capacity()));
    }
    reset::RequestParams placed = prompt.request;
    placed.first_position = length;
    reset::throw_if_failed(sampler_.add(prompt.slot, placed));
    slot.logits = model_.prefill(prompt.tokens, slot.cache);
    slot.unread = kNone;
  }

  // The model reads what the last call has sampled, as many slots at a time as it has rows.
  void read_sampled() {
    std::vector<Row> rows;
    for (Slot& slot : slots_) {
      if (!slot.running || slot.unread == kNone) continue;
      rows.push_back({std::exchange(slot.unread, kNone), &slot.cache, slot.logits.data()});
      if (static_cast<std::int64_t>(rows.size()) < Model::kMaxRows) continue;
      model_.forward(rows);
      rows.clear();
    }
    if (!rows.empty()) model_.forward(rows);
  }

  const ModelConfig& config_;
  Model model_;
  reset::TokenSetTable boundaries_;
  reset::ReSETSampler<reset::TokenSetDetector> sampler_;
  std::vector<Slot> slots_;
};

}  // namespace

std::unique_ptr<Generator> make_host_generator(const Weights& weights, reset::TokenSetTable boundaries,
                                               const GeneratorOptions& options, int threads, InputMaxima* maxima) {
  return std::make_unique<HostGenerator>(weights, std::move(boundaries), options, threads, maxima);
}

}  // namespace engine
