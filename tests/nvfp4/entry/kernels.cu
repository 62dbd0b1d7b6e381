// Every kernel of the room for every type of its elements, and one of an engine's own that quantises: what
// check_resources.py compiles.
#include <reset/nvfp4/dequantize.cuh>
#include <reset/nvfp4/quantize.cuh>

__global__ void own_quantizer(const float* x, reset::Nvfp4MutableMatrixView out, const float* global) {
  const std::int64_t octet = blockIdx.x * blockDim.x + threadIdx.x;
  float values[8];
  for (int i = 0; i < 8; ++i) values[i] = x[octet * 8 + i];
  reset::quantize_octet(values, blockIdx.y, octet, octet < out.cols / 8, out, global);
}

template <class T>
reset::Status launch_one(int which, T* x, const reset::RmsNorm<T>& norm, const reset::Nvfp4MutableMatrixView& out) {
  if (which == 0) return reset::quantize_activations<T>(x, out.cols, out, {}, nullptr);
  if (which == 1) return reset::rms_norm_quantize<T>(x, out.cols, norm, out, {}, nullptr);
  if (which == 2) return reset::silu_mul_quantize<T>(x, 2 * out.cols, reset::GateOrder::kGateUp, out, {}, nullptr);
  return reset::dequantize_matrix<T>(out, x, out.cols, {}, nullptr);
}

template reset::Status launch_one(int, float*, const reset::RmsNorm<float>&, const reset::Nvfp4MutableMatrixView&);
template reset::Status launch_one(int, __half*, const reset::RmsNorm<__half>&, const reset::Nvfp4MutableMatrixView&);
template reset::Status launch_one(int, __nv_bfloat16*, const reset::RmsNorm<__nv_bfloat16>&,
                                  const reset::Nvfp4MutableMatrixView&);
