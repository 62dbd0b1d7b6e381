// Prefill on checkpoint memory: the matrix is dequantised to bfloat16 and cuBLAS multiplies many tokens by it.
#include <cublas_v2.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include <reset/nvfp4/dequantize.cuh>
#include <reset/nvfp4/reference.hpp>

#include "nvfp4/device_support.cuh"
#include "nvfp4/random_matrix.hpp"

using namespace device_test;
using reset::ScaleLayout;

namespace {

// y[m, n] = sum over k of x[m, k] * w[n, k]; cuBLAS counts columns first, so y is its N x M product of w^T and x.
bool multiply(const __nv_bfloat16* w, const __nv_bfloat16* x, float* y, int M, int N, int K, cudaStream_t stream) {
  cublasHandle_t handle = nullptr;
  if (cublasCreate(&handle) != CUBLAS_STATUS_SUCCESS) return false;
  const float one = 1.0f;
  const float zero = 0.0f;
  const bool done =
      cublasSetStream(handle, stream) == CUBLAS_STATUS_SUCCESS &&
      cublasGemmEx(handle, CUBLAS_OP_T, CUBLAS_OP_N, N, M, K, &one, w, CUDA_R_16BF, K, x, CUDA_R_16BF, K, &zero, y,
                   CUDA_R_32F, N, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT) == CUBLAS_STATUS_SUCCESS;
  return cublasDestroy(handle) == CUBLAS_STATUS_SUCCESS && done;
}

}  // namespace

TEST_CASE("cuBLAS on the dequantised matrix agrees with the oracle", "[gpu]") {
  need_gpu();
  constexpr int kM = 67;
  constexpr int kN = 200;
  constexpr int kK = 1056;
  for (const ScaleLayout layout : {ScaleLayout::kLinear, ScaleLayout::kSwizzled128x4}) {
    const RandomMatrix matrix(kN, kK, layout);
    const DeviceArray<std::uint8_t> packed(matrix.packed);
    const DeviceArray<std::uint8_t> scales(matrix.scales);
    reset::Nvfp4MatrixView view = matrix.view;
    view.packed = packed.data();
    view.block_scale.data = scales.data();
    const Shape shape{kM, kK, kK, 0};
    const std::vector<__nv_bfloat16> x = random_rows<__nv_bfloat16>(shape, 40);
    const DeviceArray<__nv_bfloat16> device_x(x);
    const DeviceArray<__nv_bfloat16> w(std::vector<__nv_bfloat16>(static_cast<std::size_t>(kN * kK)));
    const DeviceArray<float> y(std::vector<float>(static_cast<std::size_t>(kM * kN), std::nanf("")));
    REQUIRE(reset::dequantize_matrix(view, w.data(), kK, {}, nullptr).ok());
    REQUIRE(multiply(w.data(), device_x.data(), y.data(), kM, kN, kK, nullptr));
    REQUIRE(cudaDeviceSynchronize() == cudaSuccess);

    const std::vector<float> found = y.download();
    std::vector<double> exact(static_cast<std::size_t>(kN));
    int wrong = 0;
    for (std::int64_t m = 0; m < kM; ++m) {
      const std::vector<float> token = row_of(x, shape, m);
      REQUIRE(reset::reference_gemv(matrix.view, token.data(), 1, kK, exact.data(), kN).ok());
      for (std::int64_t n = 0; n < kN; ++n) {
        double magnitude = 0;
        for (std::int64_t k = 0; k < kK; ++k) {
          magnitude +=
              std::fabs(reset::dequantize(matrix.view, n, k) * static_cast<double>(token[static_cast<std::size_t>(k)]));
        }
        // A weight is off by 2^-9 of itself, and the tensor core cuts each sum off at about 2^-23 of it.
        const double bound = (0x1.01p-9 + kK * 0x1p-23) * magnitude;
        const double error = std::fabs(static_cast<double>(found[static_cast<std::size_t>(m * kN + n)]) -
                                       exact[static_cast<std::size_t>(n)]);
        wrong += !(error <= bound);
      }
    }
    CHECK(wrong == 0);
  }
}
