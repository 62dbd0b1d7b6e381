/// @file
/// The mat-vec's kernels by name, for a file that compiles only those it wants.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/gemv/detail/kernel_limits.hpp>
#include <reset/gemv/detail/kernel_needs.hpp>
#include <reset/gemv/policy.hpp>
#include <reset/gemv/shape.hpp>
#include <reset/status.hpp>

RESET_NAMESPACE_BEGIN

/// One of the 28 kernels as the library compiles them: `gemv_instance` tells which one a call takes with a policy, and
/// `gemv` with some of them as template arguments compiles no others. Its numbers mean nothing.
enum class GemvInstance : std::uint16_t {};

namespace detail {

/// No kernel has a size of 31, which stands for all that do not fit.
constexpr GemvInstance instance(GemvKernel kernel, int size, int variant) noexcept {
  const int small = size < 0 || size > 31 ? 31 : size;
  return static_cast<GemvInstance>(static_cast<int>(kernel) << 8 | small << 3 | variant);
}
constexpr GemvInstance tensor_instance(int tokens, bool whole) noexcept {
  return instance(GemvKernel::kTensor, tokens, whole ? 1 : 0);
}
/// For odd rows, which are rare, one kernel serves all activations.
constexpr GemvInstance tensor_ring_instance(int tokens, RingRows rows, bool nvfp4) noexcept {
  return instance(GemvKernel::kTensorRing, tokens,
                  static_cast<int>(rows) * 2 + (rows != RingRows::kOdd && nvfp4 ? 1 : 0));
}
constexpr GemvInstance ring_instance(int chunks, RingOperands operands) noexcept {
  return instance(GemvKernel::kRing, chunks, static_cast<int>(operands));
}

constexpr GemvKernel kernel_of(GemvInstance i) noexcept {
  return static_cast<GemvKernel>(static_cast<std::uint16_t>(i) >> 8);
}
/// Of kTensor and kTensorRing the tokens, of kRing the chunks.
constexpr int size_of(GemvInstance i) noexcept { return static_cast<int>(i) >> 3 & 31; }
constexpr int variant_of(GemvInstance i) noexcept { return static_cast<int>(i) & 7; }

/// Some of the kernels.
template <GemvInstance... kInstances>
struct Instances {
  /// The one of these that serves what `wanted` does: itself, or in its place the kernel of kTensor for weights that
  /// lie anyhow; one that they are not where there is none.
  static constexpr GemvInstance serving(GemvInstance wanted) noexcept {
    const bool tensor = kernel_of(wanted) == GemvKernel::kTensor;
    return !has(wanted) && tensor ? tensor_instance(size_of(wanted), false) : wanted;
  }

  static constexpr bool has(GemvInstance wanted) noexcept { return ((kInstances == wanted) || ...); }

  /// Ok if one of these serves a call that wants `wanted`; otherwise what of the call and its policy none of them has.
  static constexpr Status check(GemvInstance wanted, const GemvShape& shape) noexcept {
    if (has(serving(wanted))) return Status();
    const GemvKernel kernel = kernel_of(wanted);
    const int size = size_of(wanted);
    if (!((kernel_of(kInstances) == kernel) || ...)) {
      return refusal("policy.kernel", static_cast<int>(kernel),
                     "that of an instance which gemv was given: gemv_instance tells it");
    }
    if (!((kernel_of(kInstances) == kernel && size_of(kInstances) == size) || ...)) {
      return refusal(kernel == GemvKernel::kRing ? "policy.chunks" : "policy.tokens", size,
                     "those of an instance of that kernel which gemv was given");
    }
    if (kernel == GemvKernel::kTensorRing && has_rows(wanted, rows_of(wanted))) {
      return refusal("activations.type", static_cast<int>(shape.activations),
                     "the kind, NVFP4 or 16-bit, of an instance of that kernel, size and rows which gemv was given");
    }
    return refuse_rows(wanted, shape);
  }

 private:
  /// Of kTensorRing.
  static constexpr RingRows rows_of(GemvInstance i) noexcept { return static_cast<RingRows>(variant_of(i) / 2); }

  /// Whether one of these is a kernel of kTensorRing for such rows, and of the size of `wanted`.
  static constexpr bool has_rows(GemvInstance wanted, RingRows rows) noexcept {
    return ((kernel_of(kInstances) == GemvKernel::kTensorRing && size_of(kInstances) == size_of(wanted) &&
             rows_of(kInstances) == rows) ||
            ...);
  }

  /// Where the kernel and its size are there, but not for weights that lie as those of the call.
  static constexpr Status refuse_rows(GemvInstance wanted, const GemvShape& shape) noexcept {
    if (kernel_of(wanted) == GemvKernel::kTensor) return unsupported(whole_copies(shape));
    if (kernel_of(wanted) == GemvKernel::kRing) return refuse_ring(wanted, shape);
    if (rows_of(wanted) == RingRows::kOdd) {
      return refuse_odd(boxes_serve(shape), 1, "0: gemv was given no such instance of that size");
    }
    if (!has_rows(wanted, RingRows::kNeighbours) && !has_rows(wanted, RingRows::kSpread)) {
      return refuse_odd(odd_rows_serve(shape), 0, "1: gemv was given no other instance of that kernel and size");
    }
    return rows_of(wanted) == RingRows::kSpread ? refuse_spread(shape) : unsupported(whole_scale_tiles(shape));
  }

  static constexpr Status refuse_ring(GemvInstance wanted, const GemvShape& shape) noexcept {
    const int chunks = size_of(wanted);
    const bool linear = has(ring_instance(chunks, RingOperands::kNvfp4));
    const bool spread = has(ring_instance(chunks, RingOperands::kSpread));
    if (!is_dense(shape.activations) && variant_of(wanted) == static_cast<int>(RingOperands::kSpread) && linear) {
      return refuse_spread(shape);
    }
    if (!is_dense(shape.activations) && spread) return unsupported(ring_scale_tiles(shape));
    return refusal("activations.type", static_cast<int>(shape.activations),
                   "the kind, NVFP4 or 16-bit, of an instance of kRing which gemv was given");
  }

  /// The other kind of rows would do if `other` is ok; else that tells what keeps the call from it.
  static constexpr Status refuse_odd(const Status& other, int odd_rows, const char* expectation) noexcept {
    return other.ok() ? refusal("policy.odd_rows", odd_rows, expectation) : unsupported(other);
  }
  static constexpr Status refuse_spread(const GemvShape& shape) noexcept {
    return refusal("weights.block_scale.layout", static_cast<int>(shape.scale_layout),
                   "kLinear, 0, for an instance which gemv was given");
  }
  static constexpr Status unsupported(const Status& s) noexcept {
    return refusal(s.argument(), static_cast<std::int64_t>(s.value()), s.expectation());
  }
  static constexpr Status refusal(const char* argument, std::int64_t value, const char* expectation) noexcept {
    return Status(StatusCode::kUnsupported, argument, value, expectation);
  }
};

/// All there are.
using EveryInstance = Instances<
    tensor_instance(8, true), tensor_instance(8, false), tensor_instance(1, true), tensor_instance(1, false),
    tensor_instance(16, true), tensor_instance(16, false), tensor_ring_instance(1, RingRows::kNeighbours, false),
    tensor_ring_instance(1, RingRows::kNeighbours, true), tensor_ring_instance(1, RingRows::kSpread, false),
    tensor_ring_instance(1, RingRows::kSpread, true), tensor_ring_instance(1, RingRows::kOdd, false),
    tensor_ring_instance(8, RingRows::kNeighbours, false), tensor_ring_instance(8, RingRows::kNeighbours, true),
    tensor_ring_instance(8, RingRows::kSpread, false), tensor_ring_instance(8, RingRows::kSpread, true),
    tensor_ring_instance(8, RingRows::kOdd, false), tensor_ring_instance(16, RingRows::kNeighbours, false),
    tensor_ring_instance(16, RingRows::kNeighbours, true), tensor_ring_instance(16, RingRows::kSpread, false),
    tensor_ring_instance(16, RingRows::kSpread, true), tensor_ring_instance(16, RingRows::kOdd, false),
    ring_instance(1, RingOperands::kNvfp4), ring_instance(1, RingOperands::kSpread),
    ring_instance(1, RingOperands::kDense), ring_instance(2, RingOperands::kNvfp4),
    ring_instance(2, RingOperands::kSpread), ring_instance(3, RingOperands::kNvfp4),
    ring_instance(3, RingOperands::kSpread)>;

}  // namespace detail

/// The kernel that a call of a shape takes with a policy that serves it (`validate`, whose answer wants a
/// static_assert): of the policy its kernel, tokens or chunks, and odd_rows decide, of the shape the kind of
/// activations, N, K, the gate, and how the weights lie. Where a policy is none, for want of stages or of such a size,
/// neither is the instance, and `gemv` does not compile with it.
constexpr GemvInstance gemv_instance(const GemvPolicy& policy, const GemvShape& shape) noexcept {
  if (policy.kernel != GemvKernel::kTensor && policy.stages < 1) return detail::instance(policy.kernel, 31, 0);
  if (policy.kernel == GemvKernel::kRing) {
    return detail::ring_instance(policy.chunks, detail::ring_operands(shape.activations, shape.scale_layout));
  }
  if (policy.kernel == GemvKernel::kTensor) {
    return detail::tensor_instance(policy.tokens, detail::whole_copies(shape).ok());
  }
  const bool spread = detail::scale_copies(shape) == detail::ScaleCopies::kTiles;
  const detail::RingRows rows = policy.odd_rows ? detail::RingRows::kOdd
                                : spread        ? detail::RingRows::kSpread
                                                : detail::RingRows::kNeighbours;
  return detail::tensor_ring_instance(policy.tokens, rows, shape.activations == ActivationType::kNvfp4);
}

/// The kernel of kTensor that serves every call of up to so many tokens, however its weights lie, on every device: with
/// `tensor_policy`, what an engine falls back to.
constexpr GemvInstance gemv_fallback_instance(std::int64_t tokens) noexcept {
  return detail::tensor_instance(detail::tensor_tokens(tokens), false);
}

RESET_NAMESPACE_END
