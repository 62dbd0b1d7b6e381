// The room's device entries for bf16 behind plain functions, and the floor: only launcher.cu compiles kernels.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include <reset/nvfp4/matrix.hpp>

namespace bench {

// N x K values of bf16, densely.
void launch_dequantize(const reset::Nvfp4MatrixView& weights, void* out, bool pdl, cudaStream_t stream);

enum class Quantizer { kPlain, kRmsNorm, kSiluMul };

// What the quantisers read, of bf16, densely.
struct Activations {
  const void* x;       // M x K; of kSiluMul M x 2 K, the gate first
  const void* weight;  // kRmsNorm: K
  void* residual;      // kRmsNorm: M x K, replaced by its sum with x
};

void launch_quantizer(Quantizer quantizer, const Activations& from, const reset::Nvfp4MutableMatrixView& out, bool pdl,
                      cudaStream_t stream);

// Bytes that a call reads and writes, multiples of 16.
struct Traffic {
  std::size_t read;
  std::size_t written;
};

// The floor: reads and writes as many bytes and does nothing else, 16 bytes a load and a store.
void launch_floor(const void* from, void* to, Traffic traffic, int sm_count, bool pdl, cudaStream_t stream);

}  // namespace bench
