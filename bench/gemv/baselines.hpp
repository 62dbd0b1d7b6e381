// cuBLAS and cuBLASLt for the same product: y[M, N] = alpha x[M, K] W[N, K]^T, all row-major, 32-bit accumulation,
// bf16 output.
#pragma once

#include <cublasLt.h>
#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace bench {

struct Matmul {
  std::int64_t n = 0;
  std::int64_t k = 0;
  std::int64_t m = 1;
  std::int64_t ldx = 0;  // elements from one row of x to the next
  float alpha = 1;
  bool fp8 = false;  // E4M3 weights and activations with a scale of 1 each, in place of bf16
};

// The weights of the i-th launch: cold copies.
using Copies = std::function<const void*(int)>;

struct LtDescriptors;

// A cuBLASLt algorithm for one product.
struct LtPlan {
  Matmul product;
  std::shared_ptr<const LtDescriptors> descriptors;
  cublasLtMatmulAlgo_t algorithm;
};

// Two ways to the bf16 product; the faster one is the strict baseline.
struct Bf16Baseline {
  double default_us = 0;     // cublasGemmEx
  double lt_us = 0;          // the best cuBLASLt heuristic; 0 if there is none
  std::optional<LtPlan> lt;  // that one
  bool lt_is_faster() const { return lt && lt_us < default_us; }
  double strict_us() const { return lt_is_faster() ? lt_us : default_us; }
};

struct Fp8Baseline {
  double time_us = 0;  // 0 if cuBLASLt has no algorithm for the shape
  std::int64_t m = 0;  // the tokens it ran with: M, or 16 where cuBLASLt refuses M
};

class Blas {
 public:
  explicit Blas(cudaStream_t stream);
  ~Blas();
  Blas(const Blas&) = delete;
  Blas& operator=(const Blas&) = delete;

  // Enqueue one product.
  void run(const Matmul& product, const void* w, const void* x, void* y) const;
  cublasStatus_t run(const LtPlan& plan, const void* w, const void* x, void* y) const;
  void run(const Matmul& product, const Bf16Baseline& choice, const void* w, const void* x, void* y) const;

  // Measure: each of up to 8 heuristics quickly, then the winner in full. Activations and output hold 16 tokens.
  Bf16Baseline measure_bf16(const Matmul& product, const Copies& w, const void* x, void* y) const;
  Fp8Baseline measure_fp8(Matmul product, const Copies& w, const void* x, void* y) const;

 private:
  std::vector<LtPlan> heuristics(const Matmul& product) const;
  std::optional<LtPlan> best(const std::vector<LtPlan>& plans, const Copies& w, const void* x, void* y) const;
  double measure(const LtPlan& plan, const Copies& w, const void* x, void* y) const;

  cudaStream_t stream_;
  cublasHandle_t blas_ = nullptr;
  cublasLtHandle_t lt_ = nullptr;
  void* workspace_ = nullptr;
  float* one_ = nullptr;  // a scale of 1 on the device, for fp8
};

}  // namespace bench
