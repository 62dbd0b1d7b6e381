// Every call and policy has a kernel, every kernel a call; a file that compiles some refuses what they do not serve.
#include <cstdint>
#include <set>
#include <string>

#include "gemv/device_fixture.hpp"
#include "gemv/problem_fixture.hpp"
#include "support/catch.hpp"

#include <reset/gemv/instance.hpp>

using reset::ActivationType;
using reset::GemvInstance;
using reset::GemvKernel;
using reset::GemvPolicy;
using reset::GemvShape;
using reset::ScaleLayout;
using reset::detail::EveryInstance;
using reset::detail::Instances;

namespace {

constexpr reset::DeviceInfo kH100 = {0, 90, 132, 227 * 1024, {66, 30, 15}, nullptr, 3352};
constexpr GemvShape kDense = reset::aligned_shape(ActivationType::kBf16, 4, 4096, 4096);
constexpr GemvShape kNvfp4 = reset::aligned_shape(ActivationType::kNvfp4, 1, 4096, 4096);

constexpr ScaleLayout kTiles = ScaleLayout::kSwizzled128x4;

constexpr GemvInstance selected(const GemvShape& shape) {
  return reset::gemv_instance(reset::select_gemv_policy(kH100, shape), shape);
}
constexpr GemvInstance of_tensor(std::int64_t tokens, const GemvShape& shape) {
  return reset::gemv_instance(reset::tensor_policy(kH100, tokens, shape.cols), shape);
}

// A policy and a shape that are known make the name of a kernel that is.
static_assert(EveryInstance::has(selected(kDense)));
static_assert(EveryInstance::has(selected(kNvfp4)));
static_assert(!EveryInstance::has(reset::gemv_instance(GemvPolicy{GemvKernel::kTensor, 33}, kDense)));
static_assert(!EveryInstance::has(reset::gemv_instance(GemvPolicy{GemvKernel::kTensor, -8}, kDense)));
static_assert(!EveryInstance::has(reset::gemv_instance(GemvPolicy{GemvKernel::kTensor, 4}, kDense)));

template <class List>
void refused(const GemvPolicy& policy, const GemvShape& shape, const std::string& message) {
  REQUIRE(validate(policy, shape, kH100).ok());  // gemv says no otherwise
  CHECK(List::check(reset::gemv_instance(policy, shape), shape).message() == message);
}

template <class List>
void refused_as_selected(List, const GemvShape& shape, const std::string& what) {
  refused<List>(reset::select_gemv_policy(kH100, shape), shape, "unsupported: " + what);
}

// What one instance alone says of a call: nothing, or a member of it; and that odd_rows is to be another only where the
// call is well formed with that.
template <GemvInstance kInstance>
void judge(GemvPolicy policy, const GemvShape& shape) {
  const reset::Status status = Instances<kInstance>::check(reset::gemv_instance(policy, shape), shape);
  if (status.ok()) return;
  REQUIRE(status.code() == reset::StatusCode::kUnsupported);
  REQUIRE(*status.argument() != '\0');
  if (std::string(status.argument()) != "policy.odd_rows") return;
  policy.odd_rows = !policy.odd_rows;
  REQUIRE(validate(policy, shape, kH100).ok());
  const GemvInstance other = reset::gemv_instance(policy, shape);
  REQUIRE(reset::detail::size_of(other) == reset::detail::size_of(kInstance));
}

template <GemvInstance... kInstances>
void judge_all(Instances<kInstances...>, const GemvPolicy& policy, const GemvShape& shape) {
  if (validate(policy, shape, kH100).ok()) (judge<kInstances>(policy, shape), ...);
}

}  // namespace

TEST_CASE("every call has a kernel with the policies that serve it, and every kernel a call") {
  std::set<GemvInstance> seen;
  const auto take = [&](const GemvPolicy& policy, const GemvShape& shape) {
    if (!validate(policy, shape, kH100).ok()) return;
    const GemvInstance instance = reset::gemv_instance(policy, shape);
    REQUIRE(EveryInstance::has(instance));
    REQUIRE(EveryInstance::check(instance, shape).ok());
    seen.insert(instance);
  };
  for (const ActivationType type : {ActivationType::kNvfp4, ActivationType::kFp16, ActivationType::kBf16}) {
    for (std::int64_t tokens = 1; tokens <= 16; ++tokens) {
      for (const std::int64_t k : {16, 64, 256, 512, 4096, 4112, 12288, 18944, 25600, 40960}) {
        for (const ScaleLayout layout : {ScaleLayout::kLinear, ScaleLayout::kSwizzled128x4}) {
          for (const std::int64_t n : {128, 1000}) {
            const GemvShape shape = reset::aligned_shape(type, tokens, n, k, layout);
            take(reset::select_gemv_policy(kH100, shape), shape);
            take(reset::tensor_policy(kH100, tokens, k), shape);
            take(reset::tensor_ring_policy(kH100, tokens, n, k, true), shape);
            take(reset::ring_policy(kH100, type, tokens, k), shape);
          }
        }
      }
    }
  }
  CHECK(seen.size() == 28);
}

TEST_CASE("a policy without stages names no kernel, and every call has one to fall back to") {
  constexpr GemvShape kLong = reset::aligned_shape(ActivationType::kBf16, 1, 4096, 36864);
  CHECK_FALSE(EveryInstance::has(reset::gemv_instance(reset::tensor_ring_policy(kH100, 1, 4096, 36864), kLong)));
  CHECK_FALSE(
      EveryInstance::has(reset::gemv_instance(reset::ring_policy(kH100, ActivationType::kBf16, 1, 36864), kLong)));
  using Fallback =
      Instances<reset::gemv_fallback_instance(1), reset::gemv_fallback_instance(7), reset::gemv_fallback_instance(16)>;
  for (const std::int64_t tokens : {1, 2, 8, 9, 16}) {
    for (const std::int64_t k : {16, 4096, 36864}) {
      for (const ScaleLayout layout : {ScaleLayout::kLinear, kTiles}) {
        const GemvShape shape = reset::aligned_shape(ActivationType::kNvfp4, tokens, 1000, k, layout);
        CHECK(Fallback::check(reset::gemv_instance(reset::tensor_policy(kH100, tokens, k), shape), shape).ok());
      }
    }
  }
}

TEST_CASE("instances refuse a call by what they have not") {
  using Ring = Instances<selected(kNvfp4)>;
  using TensorRing = Instances<selected(kDense), selected(kNvfp4)>;
  const GemvPolicy dense = reset::select_gemv_policy(kH100, kDense);
  REQUIRE(dense.kernel == GemvKernel::kTensorRing);
  CHECK(TensorRing::check(selected(kDense), kDense).ok());
  CHECK(TensorRing::check(selected(kNvfp4), kNvfp4).ok());
  refused<Ring>(dense, kDense,
                "unsupported: policy.kernel is 1, expected that of an instance which gemv was given: gemv_instance "
                "tells it");
  const GemvShape many = reset::aligned_shape(ActivationType::kBf16, 9, 4096, 4096);
  refused<TensorRing>(
      reset::select_gemv_policy(kH100, many), many,
      "unsupported: policy.tokens is 16, expected those of an instance of that kernel which gemv was given");
  const GemvShape deep = reset::aligned_shape(ActivationType::kNvfp4, 1, 4096, 12288);
  refused<Ring>(reset::select_gemv_policy(kH100, deep), deep,
                "unsupported: policy.chunks is 2, expected those of an instance of that kernel which gemv was given");
  const GemvShape other = reset::aligned_shape(ActivationType::kNvfp4, 4, 4096, 4096);
  refused<TensorRing>(reset::select_gemv_policy(kH100, other), other,
                      "unsupported: activations.type is 0, expected the kind, NVFP4 or 16-bit, of an instance of "
                      "that kernel, size and rows which gemv was given");
  refused<TensorRing>(reset::tensor_ring_policy(kH100, 4, 4096, 4096, true), kDense,
                      "unsupported: policy.odd_rows is 1, expected 0: gemv was given no such instance of that size");
}

TEST_CASE("instances refuse weights that lie otherwise by the member that says so") {
  constexpr GemvShape kSwizzled = reset::aligned_shape(ActivationType::kBf16, 4, 4096, 4096, kTiles);
  using Neighbours = Instances<selected(kDense)>;
  using Spread = Instances<selected(kSwizzled)>;
  refused_as_selected(Neighbours(), kSwizzled,
                      "weights.block_scale.layout is 1, expected kLinear, 0, for an instance which gemv was given");
  refused_as_selected(Spread(), kDense, "weights.block_scale.layout is 0, expected kSwizzled128x4, 1, for this kernel");
  GemvShape part = kSwizzled;
  part.rows = 4000;
  refused_as_selected(Spread(), part, "weights.rows is 4000, expected a multiple of 128 for this kernel");
  part = kSwizzled;
  part.scale_row_origin = 16;
  refused_as_selected(Spread(), part,
                      "weights.block_scale.row_origin is 16, expected a multiple of 128 for this kernel");
  part = kSwizzled;
  part.scale_misalignment = 4;
  refused_as_selected(Spread(), part,
                      "weights.block_scale.data is 4, expected an address that 16 divides, for this kernel (the value "
                      "is the remainder)");
  GemvShape gated = reset::aligned_shape(ActivationType::kBf16, 4, 4096 + 128, 4096, kTiles, reset::GemvGate::kGateUp);
  refused_as_selected(Spread(), gated, "weights.rows is 4224, expected a multiple of 256 for this kernel with a gate");
}

TEST_CASE("instances refuse odd rows, or others, unless odd_rows is what keeps a call from them") {
  constexpr GemvShape kOddRows = reset::aligned_shape(ActivationType::kBf16, 4, 4096, 4112);
  using Odd = Instances<selected(kOddRows)>;
  refused_as_selected(Odd(), kDense,
                      "policy.odd_rows is 0, expected 1: gemv was given no other instance of that kernel and size");
  refused_as_selected(Odd(), reset::aligned_shape(ActivationType::kBf16, 4, 4096, 4096, kTiles),
                      "weights.block_scale.layout is 1, expected kLinear, 0, for kTensorRing with odd_rows");
  refused_as_selected(Instances<selected(kDense)>(), kOddRows,
                      "weights.cols is 4112, expected a multiple of 64 for kTensorRing without odd_rows");
}

TEST_CASE("kRing's instances refuse scales by the member that says how they lie") {
  constexpr GemvShape kSwizzled = reset::aligned_shape(ActivationType::kNvfp4, 1, 4096, 4096, kTiles);
  static_assert(reset::detail::kernel_of(selected(kSwizzled)) == GemvKernel::kRing);
  const auto refused_by_ring = [](auto list, const GemvShape& shape, const std::string& what) {
    const GemvPolicy policy = reset::ring_policy(kH100, ActivationType::kNvfp4, 1, shape.cols, shape.scale_layout);
    refused<decltype(list)>(policy, shape, "unsupported: " + what);
  };
  refused_by_ring(Instances<selected(kNvfp4)>(), kSwizzled,
                  "weights.block_scale.layout is 1, expected kLinear, 0, for an instance which gemv was given");
  using Spread = Instances<selected(kSwizzled)>;
  refused_by_ring(Spread(), kNvfp4, "weights.block_scale.layout is 0, expected kSwizzled128x4, 1, for this kernel");
  constexpr GemvShape kDeep = reset::aligned_shape(ActivationType::kNvfp4, 1, 4096, 12288);
  constexpr GemvShape kDeepSwizzled = reset::aligned_shape(ActivationType::kNvfp4, 1, 4096, 12288, kTiles);
  using DeepSpread = Instances<selected(kDeepSwizzled)>;
  refused_by_ring(Instances<selected(kDeep)>(), kDeepSwizzled,
                  "weights.block_scale.layout is 1, expected kLinear, 0, for an instance which gemv was given");
  refused_by_ring(DeepSpread(), kDeep, "weights.block_scale.layout is 0, expected kSwizzled128x4, 1, for this kernel");
  refused_by_ring(Spread(), kDeepSwizzled,
                  "policy.chunks is 2, expected those of an instance of that kernel which gemv was given");
  // Linear scales, whatever else keeps a call from it.
  for (const GemvShape& linear :
       {reset::aligned_shape(ActivationType::kNvfp4, 1, 4096, 2816),
        reset::aligned_shape(ActivationType::kNvfp4, 1, 4096, 4096, ScaleLayout::kLinear, reset::GemvGate::kGateUp)}) {
    refused_by_ring(Spread(), linear, "weights.block_scale.layout is 0, expected kSwizzled128x4, 1, for this kernel");
  }
}

TEST_CASE("kRing's instances refuse activations of the other kind") {
  constexpr GemvShape kToken = reset::aligned_shape(ActivationType::kBf16, 1, 4096, 4096);
  constexpr GemvPolicy kPolicy = reset::ring_policy(kH100, ActivationType::kBf16, 1, 4096);
  constexpr GemvShape kSwizzled = reset::aligned_shape(ActivationType::kNvfp4, 1, 4096, 4096, kTiles);
  using Dense = Instances<reset::gemv_instance(kPolicy, kToken)>;
  const std::string expected = ", expected the kind, NVFP4 or 16-bit, of an instance of kRing which gemv was given";
  CHECK(Dense::check(reset::gemv_instance(kPolicy, kToken), kToken).ok());
  refused<Instances<selected(kNvfp4)>>(kPolicy, kToken, "unsupported: activations.type is 2" + expected);
  refused<Instances<selected(kSwizzled)>>(kPolicy, kToken, "unsupported: activations.type is 2" + expected);
  refused_as_selected(Dense(), kNvfp4, "activations.type is 0" + expected);
  refused_as_selected(Dense(), kSwizzled, "activations.type is 0" + expected);
}

TEST_CASE("whatever instance there is, a refusal names a member of the call") {
  for (const ActivationType type : {ActivationType::kNvfp4, ActivationType::kBf16}) {
    for (const std::int64_t tokens : {1, 4, 16}) {
      for (const std::int64_t k : {1024, 2816, 4096, 4112}) {
        for (const ScaleLayout layout : {ScaleLayout::kLinear, kTiles}) {
          for (const reset::GemvGate gate : {reset::GemvGate::kNone, reset::GemvGate::kGateUp}) {
            for (const std::int64_t n : {128, 1000}) {
              const GemvShape shape = reset::aligned_shape(type, tokens, n, k, layout, gate);
              judge_all(EveryInstance(), reset::select_gemv_policy(kH100, shape), shape);
              judge_all(EveryInstance(), reset::tensor_policy(kH100, tokens, k), shape);
              judge_all(EveryInstance(), reset::tensor_ring_policy(kH100, tokens, n, k), shape);
              judge_all(EveryInstance(), reset::tensor_ring_policy(kH100, tokens, n, k, true), shape);
              judge_all(EveryInstance(), reset::ring_policy(kH100, type, tokens, k), shape);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("kTensor's kernel for weights that lie anyhow takes the place of the other one, which takes none") {
  constexpr GemvShape kPieces = reset::aligned_shape(ActivationType::kBf16, 4, 4096, 4112);
  constexpr GemvInstance kAnyhow = of_tensor(4, kPieces);
  constexpr GemvInstance kWhole = of_tensor(4, kDense);
  static_assert(kAnyhow != kWhole);
  CHECK(Instances<kAnyhow>::check(kWhole, kDense).ok());
  CHECK(Instances<kAnyhow>::serving(kWhole) == kAnyhow);
  CHECK(Instances<kAnyhow, kWhole>::serving(kWhole) == kWhole);
  CHECK(Instances<kWhole>::check(kAnyhow, kPieces).message() ==
        "unsupported: weights.cols is 4112, expected a multiple of 256 for this kernel");
  GemvShape apart = kDense;
  apart.scale_block_origin = 2;
  refused<Instances<kWhole>>(reset::tensor_policy(kH100, 4, 4096), apart,
                             "unsupported: weights.block_scale.block_origin is 2, expected a multiple of 4 for this "
                             "kernel");
  apart = kDense;
  apart.row_stride = 2056;
  refused<Instances<kWhole>>(reset::tensor_policy(kH100, 4, 4096), apart,
                             "unsupported: weights.row_stride is 2056, expected a multiple of 16 for this kernel");
  CHECK_FALSE(Instances<kAnyhow>::check(of_tensor(16, kDense), kDense).ok());
}
