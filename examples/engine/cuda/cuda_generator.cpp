#include "cuda_generator.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <reset/status.hpp>

#include "decoder.hpp"

namespace engine::cuda {
namespace {

DecoderOptions decoder_options(const GeneratorOptions& options, bool pinned) {
  DecoderOptions decoder;
  decoder.slots = options.slots;
  decoder.context = options.context;
  decoder.columns = options.sampled_columns;
  decoder.nvfp4_activations = options.activations == Activations::kNvfp4;
  decoder.pinned = pinned;
  return decoder;
}

// The device runs a few steps ahead of the host, which finds out that a text has ended when it reads the tokens: what
// the device adds behind an end is dropped here.
class CudaGenerator : public Generator {
 public:
  CudaGenerator(const DeviceWeights& weights, const reset::TokenSetTable& boundaries, const GeneratorOptions& options,
                bool pinned)
      : config_(weights.config),
        decoder_(weights, boundaries, decoder_options(options, pinned)),
        slots_(static_cast<std::size_t>(options.slots)) {
    decoder_.capture();
  }

  void begin(const std::vector<Prompt>& prompts) override {
    check_slots(prompts, static_cast<std::int32_t>(slots_.size()));
    for (const Prompt& prompt : prompts) end(prompt.slot);
    decoder_.begin(prompts);
    for (const Prompt& prompt : prompts) {
      at(prompt.slot) = {true, enqueued_, static_cast<std::int64_t>(prompt.tokens.size())};
    }
  }

  void end(std::int32_t index) override {
    at(index).running = false;
    decoder_.end(index);
  }

  void advance(std::vector<GeneratedToken>& tokens) override {
    std::int64_t last = -1;  // the step by which every running slot has given a token
    for (const Slot& slot : slots_) {
      if (slot.running) last = std::max(last, std::max(slot.first_step, read_));
    }
    while (read_ <= last) {
      while (enqueued_ < read_ + kAhead) enqueued_ = decoder_.step() + 1;
      read(read_++, tokens);
    }
  }

 private:
  static constexpr std::int64_t kAhead = 4;  // steps that the device has to do when the host waits for one
  static_assert(kAhead < Decoder::kLogDepth);

  struct Slot {
    bool running = false;
    std::int64_t first_step = 0;  // the step that reads its first token
    std::int64_t length = 0;      // tokens in the cache before the step that reads the next one
  };

  Slot& at(std::int32_t index) {
    if (index < 0 || static_cast<std::size_t>(index) >= slots_.size()) {
      throw reset::Error("slot is " + std::to_string(index) + ", expected 0.." + std::to_string(slots_.size() - 1));
    }
    return slots_[static_cast<std::size_t>(index)];
  }

  void read(std::int64_t step, std::vector<GeneratedToken>& tokens) {
    for (std::size_t index = 0; index < slots_.size(); ++index) {
      Slot& slot = slots_[index];
      if (!slot.running || step < slot.first_step) continue;
      const auto number = static_cast<std::int32_t>(index);
      tokens.push_back(
          generated_token(number, decoder_.wait(step, number), config_, slot.length == decoder_.context()));
      ++slot.length;
      if (tokens.back().last) end(number);
    }
  }

  const ModelConfig& config_;
  Decoder decoder_;
  std::vector<Slot> slots_;
  std::int64_t enqueued_ = 0;  // steps
  std::int64_t read_ = 0;      // of them
};

}  // namespace

void require_gpu() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) {
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
    if (properties.major >= 8) return;
    throw reset::Error(std::string("the GPU is a ") + properties.name + " of compute capability " +
                       std::to_string(properties.major) + "." + std::to_string(properties.minor) +
                       ", expected 8.0 or later");
  }
  throw reset::Error(std::string("no GPU to run on (") + cudaGetErrorString(error) +
                     "), expected one of compute capability 8.0 or later");
}

std::unique_ptr<Generator> make_cuda_generator(const DeviceWeights& weights, const reset::TokenSetTable& boundaries,
                                               const GeneratorOptions& options, bool pinned) {
  return std::make_unique<CudaGenerator>(weights, boundaries, options, pinned);
}

}  // namespace engine::cuda
