// Every quantiser of one type, and a kernel of an engine's own that quantises: what check_resources.py compiles.
#include <reset/nvfp4/quantize.cuh>

#include <cuda_bf16.h>

__global__ void own_quantizer(const float* x, reset::Nvfp4MutableMatrixView out, const float* global) {
  const std::int64_t octet = blockIdx.x * blockDim.x + threadIdx.x;
  float values[8];
  for (int i = 0; i < 8; ++i) values[i] = x[octet * 8 + i];
  reset::quantize_octet(values, blockIdx.y, octet, octet < out.cols / 8, out, global);
}

reset::Status quantize_one_way_or_another(int way, const __nv_bfloat16* x, const reset::RmsNorm<__nv_bfloat16>& norm,
                                          const reset::Nvfp4MutableMatrixView& out) {
  if (way == 0) return reset::quantize_activations(x, out.cols, out, {}, nullptr);
  if (way == 1) return reset::rms_norm_quantize(x, out.cols, norm, out, {}, nullptr);
  return reset::silu_mul_quantize(x, 2 * out.cols, reset::GateOrder::kGateUp, out, {}, nullptr);
}
