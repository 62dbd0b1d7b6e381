// The linear layers of one decode step, each reading what the launch before it wrote. Attention and the head are left
// out: `o` reads the columns of the queries where the result of attention would be.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include <reset/gemv/policy.hpp>

#include "baselines.hpp"
#include "layers.hpp"

namespace bench {

enum Linear { kQkv, kO, kGateUp, kDown, kLinears };

struct ChainModel {
  const char* name;
  int layers;
  std::array<Layer, kLinears> linears;
};

inline constexpr ChainModel kChainModels[] = {
    {"Qwen3-8B",
     36,
     {{{"", "qkv", 6144, 4096}, {"", "o", 4096, 4096}, {"", "gate_up", 24576, 4096}, {"", "down", 4096, 12288}}}},
    {"Qwen3-32B",
     64,
     {{{"", "qkv", 10240, 5120}, {"", "o", 5120, 8192}, {"", "gate_up", 51200, 5120}, {"", "down", 5120, 25600}}}},
};

// Packed weights and block scales of all the linears.
std::int64_t chain_bytes(const ChainModel& model);

class DecodeChain {
 public:
  explicit DecodeChain(bool baselines);
  ~DecodeChain();
  DecodeChain(const DecodeChain&) = delete;
  DecodeChain& operator=(const DecodeChain&) = delete;

  // A step with NVFP4 activations, their quantisation (with RMSNorm, residual and SwiGLU) included.
  double nvfp4_us(const ChainModel& model, std::int64_t m);
  // A step with bf16 activations: the mat-vecs alone, SwiGLU and residual in their epilogues, no norm.
  double bf16_us(const ChainModel& model, std::int64_t m);
  // The linears alone with bf16 weights, each by the faster of cuBLAS and cuBLASLt; 0 without baselines.
  double cublas_us(const ChainModel& model, std::int64_t m);

  double read_rate();  // TB/s; overwrites weights
  double sm_clock_mhz() const;

 private:
  enum class Weights { kNone, kNvfp4, kBf16 };

  void take(const ChainModel& model, Weights kind);
  std::uint8_t* weights(int layer, int linear) const;
  void reset_activations();
  void require_sound(const char* what, const void* data, std::int64_t count) const;

  reset::Nvfp4MutableMatrixView quantized(std::int64_t m, std::int64_t k) const;
  reset::GemvProblem problem(const ChainModel& model, int layer, Linear linear, std::int64_t m) const;
  void launch_nvfp4(const ChainModel& model, int layer, Linear linear, std::int64_t m, void* y) const;
  void launch_bf16(const ChainModel& model, int layer, Linear linear, std::int64_t m, const void* x, std::int64_t ldx,
                   void* y, bool residual) const;
  void launch_ahead(const ChainModel& model, int layer, Linear linear, const reset::GemvProblem& call) const;
  void nvfp4_layer(const ChainModel& model, int layer, std::int64_t m) const;
  void bf16_layer(const ChainModel& model, int layer, std::int64_t m) const;

  reset::DeviceInfo device_;
  cudaStream_t stream_ = nullptr;
  std::unique_ptr<Blas> blas_;
  std::uint8_t* arena_ = nullptr;  // the weights: all distinct as far as they fit, then from the first layer again
  const ChainModel* held_model_ = nullptr;
  Weights held_ = Weights::kNone;
  std::array<std::size_t, kLinears> offsets_ = {};
  std::size_t layer_bytes_ = 0;
  int distinct_layers_ = 1;
  std::uint8_t* codes_ = nullptr;
  std::uint8_t* scales_ = nullptr;
  void* norm_ = nullptr;
  void* hidden_ = nullptr;
  void* qkv_ = nullptr;
  void* o_ = nullptr;
  void* gate_up_ = nullptr;
  void* down_ = nullptr;
  unsigned long long* scratch_ = nullptr;
};

}  // namespace bench
