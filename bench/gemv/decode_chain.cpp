#include "decode_chain.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "kernels.hpp"
#include "launcher.hpp"
#include "quantizers.hpp"
#include "rates.hpp"

namespace bench {
namespace {

constexpr std::size_t kArenaBytes = 20'000'000'000;
constexpr std::int64_t kMaxTokens = 16;
constexpr std::int64_t kMaxWidth = 51200;
// Small enough that a residual stream stays what it is over all layers and replays.
constexpr float kWeightScale = 0x1p-12f;
constexpr float kActivationScale = 0x1p-9f;

constexpr std::size_t kActivationBytes = static_cast<std::size_t>(kMaxTokens * kMaxWidth * 2);

std::size_t aligned(std::size_t bytes) { return (bytes + 255) / 256 * 256; }

// One step a graph, as an engine would replay it.
constexpr Repeats kOneStep = {1, 15};

}  // namespace

std::int64_t chain_bytes(const ChainModel& model) {
  std::int64_t bytes = 0;
  for (const Layer& linear : model.linears) bytes += weight_bytes(linear);
  return bytes * model.layers;
}

DecodeChain::DecodeChain(bool baselines) : device_(prepare_device(0)) {
  CHECK_CUDA(cudaStreamCreate(&stream_));
  if (baselines) blas_ = std::make_unique<Blas>(stream_);
  allocate(arena_, kArenaBytes);
  allocate(codes_, kActivationBytes / 4);
  allocate(scales_, kActivationBytes / 32);
  for (void** data : {&norm_, &hidden_, &qkv_, &o_, &gate_up_, &down_}) allocate(*data, kActivationBytes);
  allocate(scratch_, 16);
  fill(norm_, kActivationBytes, kRandomBf16, 1, stream_);
}

DecodeChain::~DecodeChain() {
  blas_.reset();
  for (void* data : {static_cast<void*>(arena_), static_cast<void*>(codes_), static_cast<void*>(scales_), norm_,
                     hidden_, qkv_, o_, gate_up_, down_, static_cast<void*>(scratch_)}) {
    cudaFree(data);
  }
  cudaStreamDestroy(stream_);
}

void DecodeChain::take(const ChainModel& model, Weights kind) {
  if (held_model_ == &model && held_ == kind) return;
  held_model_ = &model;
  held_ = kind;
  layer_bytes_ = 0;
  for (std::size_t i = 0; i < kLinears; ++i) {
    const auto packed = static_cast<std::size_t>(packed_bytes(model.linears[i]));
    offsets_[i] = layer_bytes_;
    layer_bytes_ += aligned(kind == Weights::kNvfp4 ? packed + packed / 8 : packed * 4);
  }
  distinct_layers_ = std::min(model.layers, static_cast<int>(kArenaBytes / layer_bytes_));
  for (int layer = 0; layer < distinct_layers_; ++layer) {
    for (int i = 0; i < kLinears; ++i) {
      const auto packed = static_cast<std::size_t>(packed_bytes(model.linears[static_cast<std::size_t>(i)]));
      std::uint8_t* begin = weights(layer, i);
      const auto seed = static_cast<unsigned>(layer * kLinears + i);
      if (kind == Weights::kBf16) {
        fill(begin, packed * 4, kRandomBf16, seed, stream_);
      } else {
        fill(begin, packed, kRandomE2m1, seed, stream_);
        fill(begin + packed, packed / 8, kRandomScales, seed, stream_);
      }
    }
  }
}

std::uint8_t* DecodeChain::weights(int layer, int linear) const {
  return arena_ + static_cast<std::size_t>(layer % distinct_layers_) * layer_bytes_ +
         offsets_[static_cast<std::size_t>(linear)];
}

void DecodeChain::reset_activations() {
  unsigned seed = 100;
  for (void* data : {hidden_, qkv_, o_, gate_up_, down_}) fill(data, kActivationBytes, kRandomBf16, seed++, stream_);
}

// A chain that came to NaN or zeros would have measured something else.
void DecodeChain::require_sound(const char* what, const void* data, std::int64_t count) const {
  std::vector<std::uint16_t> values(static_cast<std::size_t>(count));
  CHECK_CUDA(cudaStreamSynchronize(stream_));
  CHECK_CUDA(cudaMemcpy(values.data(), data, values.size() * 2, cudaMemcpyDeviceToHost));
  std::size_t zeros = 0;
  for (const std::uint16_t value : values) {
    if ((value & 0x7f80) == 0x7f80) {
      std::fprintf(stderr, "%s is not finite\n", what);
      std::exit(1);
    }
    if ((value & 0x7fff) == 0) ++zeros;
  }
  if (zeros <= values.size() / 2) return;
  std::fprintf(stderr, "%s is mostly zero\n", what);
  std::exit(1);
}

reset::Nvfp4MutableMatrixView DecodeChain::quantized(std::int64_t m, std::int64_t k) const {
  reset::Nvfp4MutableMatrixView view;
  view.packed = codes_;
  view.rows = m;
  view.cols = k;
  view.row_stride = k / 2;
  view.block_scale.data = scales_;
  view.block_scale.stride = k / 16;
  view.global = reset::FusedGlobalScales::uniform({kActivationScale});
  return view;
}

reset::GemvProblem DecodeChain::problem(const ChainModel& model, int layer, Linear linear, std::int64_t m) const {
  const Layer& shape = model.linears[linear];
  reset::GemvProblem problem;
  problem.weights.packed = weights(layer, linear);
  problem.weights.rows = shape.n;
  problem.weights.cols = shape.k;
  problem.weights.row_stride = shape.k / 2;
  problem.weights.block_scale.data = weights(layer, linear) + packed_bytes(shape);
  problem.weights.block_scale.stride = shape.k / 16;
  problem.weights.global = reset::FusedGlobalScales::uniform({kWeightScale});
  problem.tokens = m;
  return problem;
}

void DecodeChain::launch_nvfp4(const ChainModel& model, int layer, Linear linear, std::int64_t m, void* y) const {
  reset::GemvProblem call = problem(model, layer, linear, m);
  call.activations.type = reset::ActivationType::kNvfp4;
  call.activations.nvfp4 = quantized(m, call.weights.cols);
  call.output = {y, reset::OutputType::kBf16, call.weights.rows};
  launch_ahead(model, layer, linear, call);
}

// `o` brings the first rows of the matrix behind it into the cache, as in the engine.
void DecodeChain::launch_ahead(const ChainModel& model, int layer, Linear linear,
                               const reset::GemvProblem& call) const {
  reset::LaunchOptions options;
  options.dependent_launch = true;
  if (linear == kO) require(options.prefetch.add(problem(model, layer, kGateUp, 1).weights));
  launch_gemv(call, device_, options, stream_);
}

void DecodeChain::nvfp4_layer(const ChainModel& model, int layer, std::int64_t m) const {
  const auto& linears = model.linears;
  const std::int64_t hidden = linears[kQkv].k;
  launch_rms_norm_quantize(down_, hidden, norm_, hidden_, quantized(m, hidden), stream_);
  launch_nvfp4(model, layer, kQkv, m, qkv_);
  launch_quantize(qkv_, linears[kQkv].n, quantized(m, linears[kO].k), stream_);
  launch_nvfp4(model, layer, kO, m, o_);
  launch_rms_norm_quantize(o_, hidden, norm_, hidden_, quantized(m, hidden), stream_);
  launch_nvfp4(model, layer, kGateUp, m, gate_up_);
  launch_silu_mul_quantize(gate_up_, linears[kGateUp].n, quantized(m, linears[kDown].k), stream_);
  launch_nvfp4(model, layer, kDown, m, down_);
}

double DecodeChain::nvfp4_us(const ChainModel& model, std::int64_t m) {
  take(model, Weights::kNvfp4);
  reset_activations();
  const double time = microseconds(
      stream_,
      [&](int) {
        for (int layer = 0; layer < model.layers; ++layer) nvfp4_layer(model, layer, m);
      },
      kOneStep);
  require_sound("gate and up", gate_up_, m * model.linears[kGateUp].n);
  require_sound("down", down_, m * model.linears[kDown].n);
  return time;
}

void DecodeChain::launch_bf16(const ChainModel& model, int layer, Linear linear, std::int64_t m, const void* x,
                              std::int64_t ldx, void* y, bool residual) const {
  reset::GemvProblem call = problem(model, layer, linear, m);
  call.activations.type = reset::ActivationType::kBf16;
  call.activations.dense = x;
  call.activations.row_stride = ldx;
  if (linear == kGateUp) call.gate = reset::GemvGate::kGateUp;
  call.output = {y, reset::OutputType::kBf16, reset::result_columns(call)};
  if (residual) call.residual = y;
  launch_ahead(model, layer, linear, call);
}

void DecodeChain::bf16_layer(const ChainModel& model, int layer, std::int64_t m) const {
  const auto& linears = model.linears;
  const std::int64_t hidden = linears[kQkv].k;
  launch_bf16(model, layer, kQkv, m, hidden_, hidden, qkv_, false);
  launch_bf16(model, layer, kO, m, qkv_, linears[kQkv].n, hidden_, true);
  launch_bf16(model, layer, kGateUp, m, hidden_, hidden, gate_up_, false);
  launch_bf16(model, layer, kDown, m, gate_up_, linears[kDown].k, hidden_, true);
}

double DecodeChain::bf16_us(const ChainModel& model, std::int64_t m) {
  take(model, Weights::kNvfp4);
  reset_activations();
  const double time = microseconds(
      stream_,
      [&](int) {
        for (int layer = 0; layer < model.layers; ++layer) bf16_layer(model, layer, m);
      },
      kOneStep);
  require_sound("gate times up", gate_up_, m * model.linears[kDown].k);
  require_sound("hidden", hidden_, m * model.linears[kDown].n);
  return time;
}

double DecodeChain::cublas_us(const ChainModel& model, std::int64_t m) {
  if (!blas_) return 0;
  take(model, Weights::kBf16);
  reset_activations();
  // What each linear reads and writes; the result has about the magnitude of what was read.
  const auto& linears = model.linears;
  const void* x[kLinears] = {hidden_, qkv_, o_, gate_up_};
  void* y[kLinears] = {qkv_, o_, gate_up_, hidden_};
  const std::int64_t ldx[kLinears] = {linears[kQkv].k, linears[kQkv].n, linears[kGateUp].k, linears[kGateUp].n};
  Matmul products[kLinears];
  Bf16Baseline choices[kLinears];
  for (int i = 0; i < kLinears; ++i) {
    const Layer& shape = linears[static_cast<std::size_t>(i)];
    const double alpha = 1 / (kRandomBf16Rms * std::sqrt(static_cast<double>(shape.k)));
    products[i] = {shape.n, shape.k, m, ldx[i], static_cast<float>(alpha), false};
    const auto copy = [&](int layer) { return static_cast<const void*>(weights(layer, i)); };
    choices[i] = blas_->measure_bf16(products[i], copy, x[i], y[i]);
  }
  reset_activations();
  const double time = microseconds(
      stream_,
      [&](int) {
        for (int layer = 0; layer < model.layers; ++layer) {
          for (int i = 0; i < kLinears; ++i) blas_->run(products[i], choices[i], weights(layer, i), x[i], y[i]);
        }
      },
      kOneStep);
  require_sound("cuBLAS's hidden", hidden_, m * linears[kDown].n);
  return time;
}

double DecodeChain::read_rate() {
  fill(arena_, std::size_t{1} << 30, kRandomE2m1, 0, stream_);
  held_ = Weights::kNone;
  return bench::read_rate(arena_, reinterpret_cast<unsigned*>(scratch_), device_.sm_count, stream_);
}

double DecodeChain::sm_clock_mhz() const { return bench::sm_clock_mhz(scratch_, device_.sm_count, stream_); }

}  // namespace bench
