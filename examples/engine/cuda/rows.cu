#include "rows.hpp"

#include "launch.cuh"

namespace engine::cuda {
namespace {

constexpr int kThreads = 256;

struct alignas(16) Octet {
  __nv_bfloat16 element[8];
};

__device__ void copy_row(const __nv_bfloat16* from, __nv_bfloat16* to, std::int64_t cols) {
  for (std::int64_t i = threadIdx.x; i < cols / 8; i += blockDim.x) {
    reinterpret_cast<Octet*>(to)[i] = reinterpret_cast<const Octet*>(from)[i];
  }
}

__global__ __launch_bounds__(kThreads) void embed_step_kernel(StepRows rows, const __nv_bfloat16* embedding,
                                                              std::int64_t cols, __nv_bfloat16* hidden) {
  begin_dependent();
  const int slot = static_cast<int>(blockIdx.x);
  const std::int64_t token = max(rows.tokens[slot], 0);  // a slot without a request has no token
  copy_row(embedding + token * cols, hidden + slot * cols, cols);
  if (threadIdx.x != 0) return;
  const std::int32_t step = rows.steps[slot];
  rows.steps[slot] = (step + 1) % rows.log_depth;
  rows.log[step * rows.slots + slot] = rows.results[slot];
  const std::int32_t position = rows.positions[slot];
  if (position >= 0) rows.positions[slot] = position + 1 < rows.capacity ? position + 1 : -1;
}

__global__ void place_slot_kernel(StepRows rows, std::int32_t slot, std::int32_t position) {
  begin_dependent();
  rows.positions[slot] = position;
}

__global__ __launch_bounds__(kThreads) void embed_prompt_kernel(const std::int32_t* tokens,
                                                                const __nv_bfloat16* embedding, std::int64_t cols,
                                                                __nv_bfloat16* hidden) {
  begin_dependent();
  const std::int64_t row = blockIdx.x;
  copy_row(embedding + tokens[row] * cols, hidden + row * cols, cols);
}

constexpr int kMostNormThreads = 1024;
constexpr int kNormOctets = kMaxNormColumns / 8 / kMostNormThreads;  // of a thread, at most

// The sum of `x` over the CTA, in every thread.
__device__ float sum_over_cta(float x) {
  __shared__ float of_warp[32];
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(0xffffffffu, x, distance);
  if (lane == 0) of_warp[threadIdx.x / 32] = x;
  __syncthreads();
  x = lane < static_cast<int>(blockDim.x) / 32 ? of_warp[lane] : 0.0f;
  for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(0xffffffffu, x, distance);
  return x;
}

// A thread has kOctets of a row: one where that suffices, for a CTA whose registers fit beside the kernel ahead starts
// before that ends.
template <int kOctets>
__global__ __launch_bounds__(kMostNormThreads) void rms_norm_kernel(const __nv_bfloat16* x, const __nv_bfloat16* weight,
                                                                    float epsilon, std::int64_t cols,
                                                                    __nv_bfloat16* out) {
  Octet weights[kOctets];
  Octet values[kOctets];
  const auto each = [&](auto function) {
#pragma unroll
    for (int i = 0; i < kOctets; ++i) {
      const std::int64_t octet = threadIdx.x + i * blockDim.x;
      if (octet < cols / 8) function(octet, i);
    }
  };
  // No kernel writes the weights: they are read before the one ahead has ended.
  each([&](std::int64_t octet, int i) { weights[i] = reinterpret_cast<const Octet*>(weight)[octet]; });
  begin_dependent();
  const std::int64_t row = blockIdx.x;
  each([&](std::int64_t octet, int i) { values[i] = reinterpret_cast<const Octet*>(x + row * cols)[octet]; });
  float sum = 0.0f;
  each([&](std::int64_t, int i) {
    for (const __nv_bfloat16 element : values[i].element) {
      const float value = __bfloat162float(element);
      sum += value * value;
    }
  });
  const float factor = rsqrtf(sum_over_cta(sum) / static_cast<float>(cols) + epsilon);
  each([&](std::int64_t octet, int i) {
    for (int j = 0; j < 8; ++j) {
      const float value = __bfloat162float(values[i].element[j]) * factor * __bfloat162float(weights[i].element[j]);
      values[i].element[j] = __float2bfloat16(value);
    }
    reinterpret_cast<Octet*>(out + row * cols)[octet] = values[i];
  });
}

__global__ __launch_bounds__(kThreads) void silu_mul_kernel(const __nv_bfloat16* gate_up, std::int64_t cols,
                                                            __nv_bfloat16* out) {
  begin_dependent();
  const std::int64_t row = blockIdx.y;
  const std::int64_t octet = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (octet >= cols / 8) return;
  Octet gate = reinterpret_cast<const Octet*>(gate_up + row * 2 * cols)[octet];
  const Octet up = reinterpret_cast<const Octet*>(gate_up + row * 2 * cols + cols)[octet];
  for (int j = 0; j < 8; ++j) {
    const float x = __bfloat162float(gate.element[j]);
    gate.element[j] = __float2bfloat16(x / (1.0f + __expf(-x)) * __bfloat162float(up.element[j]));
  }
  reinterpret_cast<Octet*>(out + row * cols)[octet] = gate;
}

dim3 one_each(std::int64_t rows) { return dim3(static_cast<unsigned>(rows)); }

}  // namespace

void embed_step(const StepRows& rows, const __nv_bfloat16* embedding, std::int64_t cols, __nv_bfloat16* hidden,
                const Stream& stream) {
  launch(embed_step_kernel, one_each(rows.slots), dim3(kThreads), 0, stream, rows, embedding, cols, hidden);
}

void place_slot(const StepRows& rows, std::int32_t slot, std::int32_t position, const Stream& stream) {
  launch(place_slot_kernel, dim3(1), dim3(1), 0, stream, rows, slot, position);
}

void embed_prompt(const std::int32_t* tokens, std::int64_t count, const __nv_bfloat16* embedding, std::int64_t cols,
                  __nv_bfloat16* hidden, const Stream& stream) {
  launch(embed_prompt_kernel, one_each(count), dim3(kThreads), 0, stream, tokens, embedding, cols, hidden);
}

void rms_norm(const __nv_bfloat16* x, const __nv_bfloat16* weight, float epsilon, std::int64_t rows, std::int64_t cols,
              __nv_bfloat16* out, const Stream& stream) {
  const std::int64_t octets = cols / 8;
  const auto threads_of = [&](int each) {
    return dim3(static_cast<unsigned>((octets + each * 32 - 1) / (each * 32) * 32));
  };
  if (octets <= kMostNormThreads) {
    launch(rms_norm_kernel<1>, one_each(rows), threads_of(1), 0, stream, x, weight, epsilon, cols, out);
  } else {
    launch(rms_norm_kernel<kNormOctets>, one_each(rows), threads_of(kNormOctets), 0, stream, x, weight, epsilon, cols,
           out);
  }
}

void silu_mul(const __nv_bfloat16* gate_up, std::int64_t rows, std::int64_t cols, __nv_bfloat16* out,
              const Stream& stream) {
  const auto ctas = static_cast<unsigned>((cols / 8 + kThreads - 1) / kThreads);
  launch(silu_mul_kernel, dim3(ctas, static_cast<unsigned>(rows)), dim3(kThreads), 0, stream, gate_up, cols, out);
}

}  // namespace engine::cuda
