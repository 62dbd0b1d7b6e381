// Products with bfloat16 weights by cuBLAS: prefill, the head, and every linear layer of a BF16 model.
#pragma once

#include <cublasLt.h>
#include <cublas_v2.h>
#include <cuda_bf16.h>

#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "device_buffer.hpp"

namespace engine::cuda {

// y[M, N] = x[M, K] W[N, K]^T (+ y), row-major without gaps, 32-bit sums; y is bfloat16 or, for logits, float.
struct ProductShape {
  std::int64_t n = 0;
  std::int64_t k = 0;
  std::int64_t m = 0;
  bool float_output = false;
  bool accumulate = false;  // adds to what y holds: the residual

  bool operator<(const ProductShape& other) const { return key() < other.key(); }

 private:
  std::tuple<std::int64_t, std::int64_t, std::int64_t, bool, bool> key() const {
    return {n, k, m, float_output, accumulate};
  }
};

class Products {
 public:
  explicit Products(cudaStream_t stream);

  // Enqueues a product, by the plan that tune() has found for its shape, or cublasGemmEx, which gives the same bits for
  // the same shape on every device of a kind.
  void multiply(const ProductShape& shape, const __nv_bfloat16* w, const void* x, void* y) const;

  // Times cublasGemmEx and what cuBLASLt's heuristics propose, on several matrices of the shape in turn so that they
  // come from memory, and keeps the fastest: its bits may differ from run to run. Overwrites y;
  // waits for the stream.
  void tune(const ProductShape& shape, const std::vector<const __nv_bfloat16*>& w, const void* x, void* y);

 private:
  struct Plan;

  void run_default(const ProductShape& shape, const __nv_bfloat16* w, const void* x, void* y) const;
  cublasStatus_t run(const Plan& plan, const __nv_bfloat16* w, const void* x, void* y) const;
  std::vector<std::shared_ptr<const Plan>> proposals(const ProductShape& shape) const;

  cudaStream_t stream_;
  Owned<cublasHandle_t, cublasDestroy> blas_;
  Owned<cublasLtHandle_t, cublasLtDestroy> lt_;
  DeviceBuffer<std::uint8_t> workspace_;
  std::map<ProductShape, std::shared_ptr<const Plan>> plans_;  // null: cublasGemmEx
};

}  // namespace engine::cuda
