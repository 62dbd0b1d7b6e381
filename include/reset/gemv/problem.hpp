/// @file
/// What one mat-vec call is: the weights, the activations, where the result goes and what is done to it on the way.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/detail/view_argument.hpp>
#include <reset/nvfp4/detail/memory_region.hpp>
#include <reset/nvfp4/matrix.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN

/// The most tokens one call takes; for more, dequantise and use a matrix product.
inline constexpr std::int64_t kMaxGemvTokens = 16;

/// The most rows of weights: the kernels count rows in 32 bits, and a warp's next one may be that far beyond the last.
inline constexpr std::int64_t kMaxGemvRows = 0x7fffffff - 1023;

/// How the activations are stored.
enum class ActivationType : std::uint8_t {
  kNvfp4,  ///< E2M1 with a block scale each 16 and a global scale, like the weights.
  kFp16,   ///< IEEE half precision.
  kBf16,   ///< bfloat16.
};

namespace detail {
/// Whether activations have 16 bits each.
constexpr bool is_dense(ActivationType type) noexcept { return type != ActivationType::kNvfp4; }
}  // namespace detail

/// How the result, the bias and the residual are stored.
enum class OutputType : std::uint8_t {
  kFp16,  ///< IEEE half precision.
  kBf16,  ///< bfloat16.
  kFp32,  ///< IEEE single precision.
};

/// What becomes of the rows of the weights.
enum class GemvGate : std::uint8_t {
  kNone,    ///< Every row of the weights is a column of the result.
  kGateUp,  ///< SwiGLU: the first N/2 rows are the gate, the others up; result = silu(gate) * up, N/2 columns.
  kUpGate,  ///< SwiGLU with the first N/2 rows up and the others the gate.
};

/// A factor that the caller knows (`device` is null), or that an earlier kernel leaves in device memory.
struct Alpha {
  float host = 1.0f;              ///< The factor.
  const float* device = nullptr;  ///< If not null, a further factor, read after the wait of a dependent launch.
};

/// The activations of a call: M rows of K.
struct ActivationView {
  ActivationType type = ActivationType::kBf16;  ///< Which of the two members below is read.
  const void* dense = nullptr;                  ///< kFp16, kBf16: the first element; 2-byte alignment is enough.
  std::int64_t row_stride = 0;  ///< kFp16, kBf16: elements from one token to the next; matters for M > 1.
  /// kNvfp4: M x K with one global scale, `global`. Activations that share a factor in device memory put it in
  /// `GemvProblem::alpha` and set it to 1 here.
  Nvfp4MatrixView nvfp4;
};

/// Where the result goes: M rows of N (or N/2 with a gate).
struct OutputView {
  void* data = nullptr;                 ///< The first element, aligned for its type.
  OutputType type = OutputType::kBf16;  ///< How it is stored.
  std::int64_t row_stride = 0;          ///< Elements from one token to the next; matters for M > 1.
};

/// result[m, n] = sum[m, n] + residual[m, n], where sum[m, n] is alpha times the sum over k of activation[m, k] *
/// weight[n, k], plus bias[n]; with a gate result[m, j] = silu(sum[m, gate row j]) * sum[m, up row j] + residual[m, j]
/// for the N / 2 rows j of either half. Activations and weights are codes times block scale times global scale. All in
/// float before the one rounding of the store.
struct GemvProblem {
  Nvfp4MatrixView weights;     ///< N x K in device memory, read in place.
  ActivationView activations;  ///< M x K in device memory.
  std::int64_t tokens = 1;     ///< M, 1..16.
  OutputView output;           ///< Must not overlap anything the call reads, the residual excepted if it is the same.
  Alpha alpha;                 ///< A factor beside the global scales.
  const void* bias = nullptr;  ///< N elements of the output's type, added before the gate, or null.
  /// Of the output's type, shape and stride, which nothing here can check, or null; may be the output itself.
  const void* residual = nullptr;
  GemvGate gate = GemvGate::kNone;  ///< Whether the rows of the weights are paired.
};

/// The columns of the result: N, or N / 2 with a gate.
RESET_HOST_DEVICE constexpr std::int64_t result_columns(const GemvProblem& problem) noexcept {
  return problem.gate == GemvGate::kNone ? problem.weights.rows : problem.weights.rows / 2;
}

/// Bytes of one element of the output, the bias and the residual.
RESET_HOST_DEVICE constexpr std::int64_t element_bytes(OutputType type) noexcept {
  return type == OutputType::kFp32 ? 4 : 2;
}

namespace detail {

inline constexpr std::int64_t kMaxRowStride = 0x7fffffff;

/// Ok if a call can have so many tokens and rows of weights, with that gate.
constexpr Status check_sizes(std::int64_t tokens, std::int64_t rows, GemvGate gate) noexcept {
  if (tokens < 1 || tokens > kMaxGemvTokens) return invalid("tokens", tokens, "1..16");
  if (rows < 1 || rows > kMaxGemvRows) return invalid("weights.rows", rows, "1..2^31-1024");
  if (gate == GemvGate::kNone) return Status();
  if (gate != GemvGate::kGateUp && gate != GemvGate::kUpGate) {
    return invalid("gate", static_cast<int>(gate), "0 (kNone), 1 (kGateUp) or 2 (kUpGate)");
  }
  return rows % 2 == 0 ? Status() : invalid("weights.rows", rows, "even with a gate");
}

inline Status check_row_stride(const char* argument, std::int64_t stride, std::int64_t least, std::int64_t tokens,
                               const char* at_least) noexcept {
  if (tokens == 1) return Status();
  if (stride < least) return invalid(argument, stride, at_least).bounded(least);
  if (stride > kMaxRowStride) return invalid(argument, stride, "at most 2^31-1");
  return Status();
}

inline Status check_dense(const ActivationView& x, std::int64_t tokens, std::int64_t cols) noexcept {
  if (x.dense == nullptr) return invalid("activations.dense", 0, "not null, or activations.type kNvfp4");
  if (address(x.dense) % 2 != 0)
    return invalid("activations.dense", misalignment(x.dense, 2), "an even address (the value is the remainder)");
  return check_row_stride("activations.row_stride", x.row_stride, cols, tokens, "at least weights.cols");
}

inline Status check_nvfp4(const Nvfp4MatrixView& x, std::int64_t tokens, std::int64_t cols) noexcept {
  const Status status = validate(x);
  if (!status.ok()) return view_status(status, ViewRole::kActivations);
  if (x.rows != tokens) return invalid("activations.nvfp4.rows", x.rows, "tokens").bounded(tokens);
  if (x.cols != cols) return invalid("activations.nvfp4.cols", x.cols, "weights.cols").bounded(cols);
  if (x.global.count != 1) return invalid("activations.nvfp4.global.count", x.global.count, "1");
  return Status();
}

inline Status check_activations(const GemvProblem& p) noexcept {
  switch (p.activations.type) {
    case ActivationType::kNvfp4:
      return check_nvfp4(p.activations.nvfp4, p.tokens, p.weights.cols);
    case ActivationType::kFp16:
    case ActivationType::kBf16:
      return check_dense(p.activations, p.tokens, p.weights.cols);
  }
  return invalid("activations.type", static_cast<int>(p.activations.type), "0 (kNvfp4), 1 (kFp16) or 2 (kBf16)");
}

inline Status check_aligned(const char* argument, const void* data, std::int64_t bytes) noexcept {
  if (address(data) % static_cast<std::uintptr_t>(bytes) == 0) return Status();
  return invalid(argument, misalignment(data, bytes),
                 "an address that the size of an element divides (the value is the remainder)");
}

inline Status check_output(const GemvProblem& p) noexcept {
  if (p.output.data == nullptr) return invalid("output.data", 0, "not null");
  if (p.output.type != OutputType::kFp16 && p.output.type != OutputType::kBf16 && p.output.type != OutputType::kFp32) {
    return invalid("output.type", static_cast<int>(p.output.type), "0 (kFp16), 1 (kBf16) or 2 (kFp32)");
  }
  const std::int64_t bytes = element_bytes(p.output.type);
  Status status = check_aligned("output.data", p.output.data, bytes);
  if (status.ok()) {
    status = check_row_stride("output.row_stride", p.output.row_stride, result_columns(p), p.tokens,
                              "at least weights.rows, or half of that with a gate");
  }
  if (status.ok()) status = check_aligned("bias", p.bias, bytes);
  if (status.ok()) status = check_aligned("residual", p.residual, bytes);
  if (status.ok()) status = check_aligned("alpha.device", p.alpha.device, 4);
  return status;
}

inline MemoryRegion output_region(const GemvProblem& p, const void* data) noexcept {
  const std::int64_t bytes = element_bytes(p.output.type);
  return {address(data), p.tokens, result_columns(p) * bytes, p.output.row_stride * bytes};
}

inline Status check_overlap(const GemvProblem& p) noexcept {
  const MemoryRegion output = output_region(p, p.output.data);
  const bool nvfp4 = p.activations.type == ActivationType::kNvfp4;
  const ActivationView& x = p.activations;
  const MemoryRegion dense = {address(x.dense), p.tokens, p.weights.cols * 2, x.row_stride * 2};
  const MemoryRegion bias = {address(p.bias), 1, p.weights.rows * element_bytes(p.output.type), 0};
  const char* other = nullptr;
  if (overlap(output, packed_region(p.weights))) other = "an output apart from weights.packed, rows * row_stride bytes";
  if (overlap(output, scale_region(p.weights))) other = "an output apart from weights.block_scale, rows * stride bytes";
  if (nvfp4 && overlap(output, packed_region(x.nvfp4))) other = "an output apart from activations.nvfp4.packed";
  if (nvfp4 && overlap(output, scale_region(x.nvfp4))) other = "an output apart from activations.nvfp4.block_scale";
  if (!nvfp4 && overlap(output, dense)) other = "an output apart from activations.dense";
  if (p.bias != nullptr && overlap(output, bias)) other = "an output apart from bias";
  if (p.alpha.device != nullptr && overlap(output, {address(p.alpha.device), 1, 4, 0})) {
    other = "an output apart from alpha.device";
  }
  const bool apart = p.residual == nullptr || p.residual == p.output.data;
  if (!apart && overlap(output, output_region(p, p.residual)))
    other = "an output that is the residual, or apart from it";
  return other == nullptr ? Status() : invalid("output.data", static_cast<std::int64_t>(address(p.output.data)), other);
}

}  // namespace detail

/// Whether a call is well formed; it reads the description alone, never the memory. The first thing found wrong is
/// named: weights or NVFP4 activations that `validate` of their view refuses, or whose shapes do not fit; tokens
/// outside 1..16; more than kMaxGemvRows rows; an odd N with a gate; null or misaligned pointers; strides that do not
/// hold a row; an output that shares memory with what the call reads (the residual may be the output itself).
inline Status validate(const GemvProblem& problem) noexcept {
  Status status = detail::view_status(validate(problem.weights), detail::ViewRole::kWeights);
  if (status.ok()) status = detail::check_sizes(problem.tokens, problem.weights.rows, problem.gate);
  if (status.ok()) status = detail::check_activations(problem);
  if (status.ok()) status = detail::check_output(problem);
  return status.ok() ? detail::check_overlap(problem) : status;
}

RESET_NAMESPACE_END
