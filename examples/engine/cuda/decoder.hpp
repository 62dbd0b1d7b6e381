// A batch of sequences on the device: prompts in, and one CUDA graph a decode step, in which the sampled token feeds
// the next step without the host. Read decoder.cpp from enqueue_step() on, top to bottom.
//
// A step's kernels are dependent launches, each begun while the one ahead of it ends, with two exceptions: the first
// norm waits until all before it have ended, so that attention need not wait for positions and older keys; and the
// products of cuBLAS (a BF16 head, and every linear layer of a BF16 model) are launched as cuBLAS launches.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include <reset/gemv/policy.hpp>
#include <reset/gemv/prefetch.hpp>

#include "attention.hpp"
#include "device_buffer.hpp"
#include "device_weights.hpp"
#include "generator.hpp"
#include "products.hpp"
#include "rows.hpp"
#include "sampler.hpp"
#include "stream.hpp"

namespace engine::cuda {

struct DecoderOptions {
  std::int32_t slots = 1;    // sequences at once, 1..16
  std::int64_t context = 0;  // tokens that a slot can hold; 0: the model's most
  std::int32_t columns = 0;  // columns of the logits that are tokens; 0: all
  // Of prompts in one pass, at most, and at least 16: more rows share a pass over the weights, and take memory for
  // activations, 0.16 MB each in Qwen3-8B.
  std::int64_t prompt_rows = 2048;
  bool nvfp4_activations = false;  // W4A4: the inputs of NVFP4 layers are quantised, too
  // One cut of the work for every number of slots: a sequence's bits do not depend on how many there are, and are the
  // same in every such decoder on a device. Not pinned, each decoder times cuBLAS's plans for its products and keeps
  // the fastest, which need not be another's: the same options may give other bits.
  bool pinned = false;
};

class Decoder {
 public:
  static constexpr std::int32_t kMaxSlots = 16;
  static constexpr int kLogDepth = 64;  // steps whose results the host can still read

  // Takes memory for all that the options ask for. `weights` must outlive the decoder. Throws reset::Error for options
  // outside their domain, a shape that the kernels do not have, too little memory, or a device that is too old.
  Decoder(const DeviceWeights& weights, const reset::TokenSetTable& boundaries, const DecoderOptions& options);
  ~Decoder();  // waits for what it has enqueued
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  // Throws reset::Error, under the name that the count has where it comes from, for what no decoder has as slots.
  static void check_slot_count(const char* name, std::int32_t slots);

  std::int64_t context() const { return options_.context; }

  // Reads prompts, each into a slot of its own, and samples the token after each; the slots take part in the next step.
  // Prompts share passes, unless a cut is pinned. Throws reset::Error, and changes nothing, for a slot, a prompt or a
  // request that cannot be.
  void begin(const std::vector<Prompt>& prompts);
  void begin(std::int32_t slot, const std::vector<std::int32_t>& prompt, const reset::RequestParams& request) {
    begin({{slot, prompt, request}});
  }

  // The slot takes part no more.
  void end(std::int32_t slot);

  // Enqueues one token for every running slot: launch by launch, or, once captured, as a graph. Returns its number.
  std::int64_t step();
  void capture();

  // Waits for a step, at most kLogDepth ago, and gives what the sampler said of the token that a slot read in it.
  const reset::SampledToken& wait(std::int64_t step, std::int32_t slot) const;

  // For measurements and tests: where a slot stands (-1: it does not run), the logits of the last step.
  void place(std::int32_t slot, std::int32_t position);
  std::vector<float> logits(std::int32_t slot) const;
  cudaStream_t stream() const { return stream_.handle; }
  // Every cached key and value a random number: attention over positions that nobody has written.
  void fill_cache();
  std::int64_t cache_bytes_per_token() const;
  // How a step's mat-vecs of a shape are cut: as the library selects, unless another cut is set, for all layers of that
  // shape and even where the options pin one. Captured graphs keep theirs; a cut that cannot serve the shape makes the
  // next step() or capture() throw.
  reset::GemvPolicy selected_cut(const DeviceLinear& shape, bool gated) const;
  void set_cut(const DeviceLinear& shape, const reset::GemvPolicy& policy);
  const reset::DeviceInfo& device() const { return device_; }

 private:
  // Neighbouring rows of a pass that are neighbours in a prompt.
  struct Piece {
    std::int32_t slot = 0;
    std::int64_t first_position = 0;
    std::int64_t rows = 0;
    std::ptrdiff_t ends = -1;  // which prompt, where this is the end of one
  };
  // The rows of one pass: a step's, or those of pieces of prompts.
  struct Batch {
    std::int64_t rows = 0;
    bool prompt = false;
    std::vector<Piece> pieces;
  };
  // What goes into a linear layer: bfloat16, or NVFP4.
  struct Input {
    const __nv_bfloat16* dense = nullptr;
    reset::Nvfp4MutableMatrixView nvfp4;
    bool is_nvfp4() const { return dense == nullptr; }
  };

  void check_options();
  void check_sizes() const;
  void check_input_scales() const;
  void check_slot(std::int32_t slot) const;
  void check_prompts(const std::vector<Prompt>& prompts) const;
  void make_room();
  void make_rotations();
  void tune();
  void tune(DeviceLinear DeviceLayer::*member, bool accumulate);

  void read(const std::vector<Prompt>& prompts);
  void read(const Batch& pass);
  void sample_first(const std::vector<Prompt>& prompts);

  Batch step_batch() const { return {options_.slots, false, {}}; }
  void enqueue_step();
  void forward(const Batch& batch);
  void attention(const Batch& batch, std::size_t index);
  void feed_forward(const Batch& batch, std::size_t index);
  void head(const Batch& batch, const __nv_bfloat16* hidden, float* logits);

  bool quantises(const DeviceLinear& linear) const { return options_.nvfp4_activations && linear.is_nvfp4(); }
  Input quantised(const DeviceLinear& linear, std::int64_t rows) const;
  Input norm(const __nv_bfloat16* x, const __nv_bfloat16* weight, const DeviceLinear& reader, std::int64_t rows,
             const Stream& stream);
  Input gated(const Batch& batch, const DeviceLayer& layer, const Input& normed);
  // The first rows of what a mat-vec further on will read; where they are paired by a gate, those of the gate.
  reset::Prefetch ahead(const DeviceLinear& linear) const;
  // out = linear(input), or the same added to it.
  void multiply(const Batch& batch, const DeviceLinear& linear, const Input& input, const reset::Prefetch& next,
                void* out, bool accumulate);
  void multiply_dense(const DeviceLinear& linear, const Input& input, std::int64_t rows, void* out, bool accumulate);
  std::int64_t product_rows(const Batch& batch) const;
  reset::GemvPolicy cut_of(const reset::GemvProblem& call) const;
  reset::GemvProblem problem(const DeviceLinear& linear, const Input& input, std::int64_t rows) const;
  AttentionCall attention_call(const Batch& batch, std::size_t index) const;
  void attend_prompts(const Batch& batch, const AttentionCall& call);

  const DeviceWeights& weights_;
  const ModelConfig& config_;
  DecoderOptions options_;
  OwnedStream owned_stream_;  // before everything that is used on it
  Stream stream_;
  reset::DeviceInfo device_;
  AttentionShape attention_;
  std::unique_ptr<Products> products_;
  std::unique_ptr<Sampler> sampler_;
  std::unique_ptr<OwnedGraphExec> graph_;

  DeviceBuffer<__nv_bfloat16> cache_;  // [layer][keys, values][slot][kv head][position][head_dim]
  DeviceBuffer<float2> rotations_;
  DeviceBuffer<__nv_bfloat16> hidden_, normed_, qkv_, context_, gate_up_, gated_;  // [row][...]
  DeviceBuffer<__nv_bfloat16> ends_;                                               // [prompt][hidden]: its last row
  DeviceBuffer<std::uint8_t> codes_, scales_;                                      // NVFP4 activations
  DeviceBuffer<__nv_bfloat16> wide_weights_, wide_input_;                          // a prompt's, out of NVFP4
  DeviceBuffer<float> parts_, logits_;
  DeviceBuffer<float2> part_sums_;
  DeviceBuffer<std::int32_t> positions_, steps_, prompt_;
  PinnedMemory log_;
  StepRows rows_;
  std::map<std::pair<std::int64_t, std::int64_t>, reset::GemvPolicy> cuts_;  // by rows and columns, where set
  std::int64_t step_count_ = 0;
  std::array<OwnedEvent, kLogDepth> events_;
};

}  // namespace engine::cuda
