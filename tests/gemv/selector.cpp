// The selector serves every shape on every target within the limits of the kernels, at compile time, too.
#include <cstdint>
#include <string>
#include <tuple>

#include "gemv/device_fixture.hpp"
#include "gemv/policy_fixture.hpp"
#include "gemv/problem_fixture.hpp"
#include "support/catch.hpp"

#include <reset/gemv/policy.hpp>

using reset::ActivationType;
using reset::DeviceInfo;
using reset::GemvAhead;
using reset::GemvGate;
using reset::GemvKernel;
using reset::GemvPolicy;
using reset::GemvProblem;

namespace {

constexpr int kTargets[] = {80, 86, 89, 90, 100, 103, 120, 121};
constexpr ActivationType kActivations[] = {ActivationType::kNvfp4, ActivationType::kFp16, ActivationType::kBf16};

void check_selected(const DeviceInfo& device, const GemvProblem& problem, GemvAhead ahead) {
  const GemvPolicy policy = reset::select_gemv_policy(device, problem, ahead);
  const reset::Status status = validate(policy, problem, device);
  INFO("arch " << device.arch << " with " << device.memory_bandwidth << " GB/s, m " << problem.tokens << " n "
               << problem.weights.rows << " k " << problem.weights.cols << ": " << status.message());
  REQUIRE(status.ok());
  REQUIRE(policy.tokens >= problem.tokens);
  REQUIRE(launched_bytes(policy, problem, device) <= device.shared_bytes);
  REQUIRE(reset::cta_threads(policy) <= 1024);
}

void check_selected(const DeviceInfo& device, const GemvProblem& problem) {
  for (const GemvAhead ahead : {GemvAhead::kAny, GemvAhead::kAlike}) check_selected(device, problem, ahead);
}

// With memory of any speed.
void check_selected(int arch, const GemvProblem& problem) {
  DeviceInfo device = device_of(arch);
  check_selected(device, problem);
  if (arch < 90) return;
  device.memory_bandwidth = 4814;
  check_selected(device, problem);
  // As a consumer GPU tells that runs code compiled for sm_90.
  device.memory_bandwidth = 1792;
  device.shared_bytes = 99 * 1024;
  check_selected(device, problem);
}

GemvKernel chosen(int arch, const GemvProblem& problem) {
  return reset::select_gemv_policy(device_of(arch), problem).kernel;
}

}  // namespace

TEST_CASE("the selected policy is valid for every target, activation, M and K") {
  for (const int arch : kTargets) {
    for (const ActivationType activation : kActivations) {
      for (std::int64_t m = 1; m <= 16; ++m) {
        for (std::int64_t k = 16; k <= 66000; k += k < 4200 ? 16 : 496) {
          check_selected(arch, well_formed(activation, m, 1000, k / 16 * 16));
        }
        for (std::int64_t k = 256; k <= 66000; k += 256) check_selected(arch, well_formed(activation, m, 1000, k));
      }
    }
  }
}

TEST_CASE("the selected policy is valid for every N") {
  for (const int arch : kTargets) {
    for (const std::int64_t m : {1, 8, 9, 16}) {
      for (const std::int64_t k : {16, 256, 272, 2560, 4096, 5120, 12288, 25600, 40960, 41216, 65536}) {
        for (const std::int64_t n : {1, 2, 16, 17, 2112, 4096, 18944, 151936, 262144, 1048576}) {
          for (const ActivationType activation : kActivations) {
            check_selected(arch, well_formed(activation, m, n, k));
            GemvProblem gated = well_formed(activation, m, n + n % 2, k);
            gated.gate = GemvGate::kUpGate;
            check_selected(arch, gated);
          }
        }
      }
    }
  }
}

TEST_CASE("the selected policy is valid however the weights lie") {
  for (const int arch : kTargets) {
    for (const std::int64_t m : {1, 7, 16}) {
      for (const std::int64_t k : {64, 1024, 4112, 5120, 49152}) {
        const GemvProblem plain = well_formed(ActivationType::kNvfp4, m, 300, k);
        for (int misalignment = 1; misalignment <= 8; misalignment *= 2) {
          GemvProblem problem = plain;
          problem.weights.packed += misalignment;
          check_selected(arch, problem);
          problem = plain;
          problem.weights.row_stride += misalignment;
          check_selected(arch, problem);
          problem = plain;
          problem.weights.block_scale.block_origin = misalignment;
          problem.weights.block_scale.stride += 2 * misalignment;
          check_selected(arch, problem);
        }
        GemvProblem problem = plain;
        swizzle_scales(problem.weights);
        check_selected(arch, problem);
        problem.weights.block_scale.row_origin = 5;
        check_selected(arch, problem);
      }
    }
  }
}

TEST_CASE("which kernel serves which call") {
  const auto nvfp4 = ActivationType::kNvfp4;
  for (const std::int64_t k : {256, 3584, 4096, 5120, 8192, 12288, 18944, 25600, 40960}) {
    for (const int arch : {90, 100, 103, 120, 121}) {
      CHECK(chosen(arch, well_formed(nvfp4, 1, 1000, k)) == GemvKernel::kRing);
      // Consumer GPUs have no shared memory for long rows. 8 CTAs of 16 warps, or of 15 for 16 tokens, hold K.
      if (arch >= 120 && k > 12288) continue;
      const GemvKernel long_rows = k <= 32768 ? GemvKernel::kTensorRing : GemvKernel::kTensor;
      CHECK(chosen(arch, well_formed(ActivationType::kFp16, 1, 1000, k)) == long_rows);
      CHECK(chosen(arch, well_formed(nvfp4, 2, 1000, k)) == long_rows);
      CHECK(chosen(arch, well_formed(nvfp4, 16, 1000, k)) ==
            (k <= 30720 ? GemvKernel::kTensorRing : GemvKernel::kTensor));
    }
    for (const int arch : {80, 86, 89}) {
      CHECK(chosen(arch, well_formed(nvfp4, 1, 1000, k)) == GemvKernel::kTensor);
      CHECK(chosen(arch, well_formed(ActivationType::kBf16, 16, 1000, k)) == GemvKernel::kTensor);
    }
  }
  CHECK(chosen(90, well_formed(nvfp4, 1, 1000, 4160)) == GemvKernel::kTensorRing);  // of 64, not of 256
  CHECK(chosen(90, well_formed(nvfp4, 1, 1000, 41216)) != GemvKernel::kRing);       // more than its threads hold
  CHECK(chosen(90, well_formed(nvfp4, 1, 1000, 65536)) != GemvKernel::kRing);
  DeviceInfo fast = device_of(90);
  fast.memory_bandwidth = 4814;
  const auto of_fast = [&](std::int64_t k) {
    return reset::select_gemv_policy(fast, well_formed(nvfp4, 1, 1000, k)).kernel;
  };
  for (const std::int64_t k : {4096, 16384, 18944, 24832}) CHECK(of_fast(k) == GemvKernel::kRing);
  for (const std::int64_t m : {1, 4}) {
    const GemvProblem plain = well_formed(nvfp4, m, 1000, 4096);
    const auto changed = [&](auto change) {
      GemvProblem problem = plain;
      change(problem);
      return chosen(90, problem);
    };
    CHECK(changed([](GemvProblem& p) { ++p.weights.packed; }) == GemvKernel::kTensor);
    CHECK(changed([](GemvProblem& p) { p.weights.row_stride += 4; }) == GemvKernel::kTensor);
    CHECK(changed([](GemvProblem& p) { p.weights.block_scale.stride += 4; }) == GemvKernel::kTensorRing);
    CHECK(changed([](GemvProblem& p) { p.weights.block_scale.layout = reset::ScaleLayout::kSwizzled128x4; }) ==
          GemvKernel::kTensorRing);
    CHECK(changed([](GemvProblem& p) { p.weights.row_stride += 16; }) != GemvKernel::kTensor);
    CHECK(changed([](GemvProblem& p) { ++p.activations.nvfp4.packed; }) == GemvKernel::kTensorRing);
  }
  const auto swizzled = [&](std::int64_t n, std::int64_t k, reset::GemvGate gate) {
    GemvProblem problem = well_formed(nvfp4, 1, n, k);
    swizzle_scales(problem.weights);
    problem.gate = gate;
    return chosen(90, problem);
  };
  CHECK(swizzled(1024, 4096, reset::GemvGate::kNone) == GemvKernel::kRing);
  CHECK(swizzled(1024, 8192, reset::GemvGate::kNone) == GemvKernel::kRing);
  CHECK(swizzled(1024, 4096, reset::GemvGate::kGateUp) == GemvKernel::kTensorRing);
  CHECK(swizzled(16384, 4096, reset::GemvGate::kNone) == GemvKernel::kRing);
  CHECK(swizzled(16512, 3584, reset::GemvGate::kNone) == GemvKernel::kRing);
  CHECK(swizzled(1000, 4096, reset::GemvGate::kNone) == GemvKernel::kTensorRing);  // no whole tiles
  CHECK(swizzled(1024, 3840, reset::GemvGate::kNone) == GemvKernel::kTensorRing);  // of 256, not of 512
  CHECK(swizzled(1024, 12288, reset::GemvGate::kNone) == GemvKernel::kRing);
  CHECK(swizzled(1024, 32768, reset::GemvGate::kNone) == GemvKernel::kRing);
  CHECK(swizzled(1024, 33280, reset::GemvGate::kNone) == GemvKernel::kTensor);  // neither ring
  const auto gated = [&](int arch, std::int64_t k) {
    GemvProblem problem = well_formed(nvfp4, 1, 1000, k);
    problem.gate = GemvGate::kGateUp;
    return chosen(arch, problem);
  };
  CHECK(gated(90, 4096) == GemvKernel::kTensorRing);  // faster
  CHECK(gated(90, 25600) == GemvKernel::kTensorRing);
  CHECK(gated(90, 33024) == GemvKernel::kRing);  // more than kTensorRing's warps hold
  CHECK(gated(90, 41216) == GemvKernel::kTensor);
  CHECK(gated(120, 12288) == GemvKernel::kTensorRing);
}

TEST_CASE("one token of 16 bits comes to kRing where rows are many") {
  const auto dense = [](std::int64_t n, std::int64_t k, GemvGate gate, int bandwidth = 3352) {
    DeviceInfo device = device_of(90);
    device.memory_bandwidth = bandwidth;
    GemvProblem problem = well_formed(ActivationType::kBf16, 1, n, k);
    problem.gate = gate;
    return reset::select_gemv_policy(device, problem).kernel == GemvKernel::kRing;
  };
  CHECK(dense(17408, 5120, GemvGate::kNone));
  CHECK(dense(51200, 5120, GemvGate::kGateUp));
  CHECK(dense(24576, 4096, GemvGate::kNone));
  CHECK_FALSE(dense(24576, 4096, GemvGate::kGateUp));
  CHECK_FALSE(dense(37888, 3584, GemvGate::kNone));
  CHECK_FALSE(dense(13824, 5120, GemvGate::kNone));
  CHECK_FALSE(dense(24576, 8448, GemvGate::kNone));        // more than its threads hold
  CHECK_FALSE(dense(24576, 4096, GemvGate::kNone, 4814));  // not looked at
  CHECK(chosen(120, well_formed(ActivationType::kBf16, 1, 24576, 4096)) == GemvKernel::kTensorRing);
}

TEST_CASE("which calls come to kTensorRing row by row") {
  const auto odd = [](std::int64_t m, std::int64_t k, auto change) {
    GemvProblem problem = well_formed(ActivationType::kBf16, m, 1000, k);
    change(problem);
    const GemvPolicy policy = reset::select_gemv_policy(device_of(90), problem);
    CHECK(policy.kernel == GemvKernel::kTensorRing);
    return policy.odd_rows;
  };
  for (const std::int64_t m : {1, 8, 16}) {
    for (const std::int64_t k : {16, 48, 272, 1872, 4112, 4128}) CHECK(odd(m, k, [](GemvProblem&) {}));
    for (const std::int64_t k : {64, 1856, 4096}) CHECK_FALSE(odd(m, k, [](GemvProblem&) {}));
    CHECK(odd(m, 4096, [](GemvProblem& p) { p.weights.packed += 8; }));
    CHECK(odd(m, 4096, [](GemvProblem& p) { p.weights.row_stride += 8; }));
    CHECK(odd(m, 4096, [](GemvProblem& p) { p.weights.block_scale.block_origin = 3; }));
    CHECK(odd(m, 4096, [](GemvProblem& p) { p.weights.block_scale.data += 1; }));
    CHECK(odd(m, 4096, [](GemvProblem& p) { p.weights.block_scale.stride += 1; }));
  }
  GemvProblem swizzled = well_formed(ActivationType::kBf16, 1, 1000, 4112);
  swizzle_scales(swizzled.weights);
  CHECK(chosen(90, swizzled) == GemvKernel::kTensor);
}

TEST_CASE("how the block scales of a call come to kTensorRing") {
  using reset::detail::ScaleCopies;
  const auto copies = [](std::int64_t n, std::int64_t k, auto change) {
    GemvProblem problem = well_formed(ActivationType::kBf16, 1, n, k);
    change(problem);
    return reset::detail::scale_copies(shape_of(problem));
  };
  const auto linear = [&](std::int64_t k, auto change) { return copies(1000, k, change); };
  CHECK(linear(4096, [](GemvProblem&) {}) == ScaleCopies::kRows);
  CHECK(linear(4096, [](GemvProblem& p) { p.weights.block_scale.row_origin = 1; }) == ScaleCopies::kRows);
  CHECK(linear(4096, [](GemvProblem& p) { p.weights.block_scale.stride += 16; }) == ScaleCopies::kRows);
  CHECK(linear(4096, [](GemvProblem& p) { p.weights.block_scale.stride += 4; }) == ScaleCopies::kWords);
  CHECK(linear(4096, [](GemvProblem& p) { p.weights.block_scale.block_origin = 4; }) == ScaleCopies::kWords);
  CHECK(linear(4160, [](GemvProblem&) {}) == ScaleCopies::kWords);

  const auto swizzled = [&](std::int64_t n, std::int64_t k, auto change) {
    return copies(n, k, [&](GemvProblem& p) {
      swizzle_scales(p.weights);
      change(p);
    });
  };
  CHECK(swizzled(1024, 4096, [](GemvProblem&) {}) == ScaleCopies::kTiles);
  CHECK(swizzled(128, 64, [](GemvProblem&) {}) == ScaleCopies::kTiles);
  CHECK(swizzled(1024, 4160, [](GemvProblem& p) { p.weights.block_scale.block_origin = 4; }) == ScaleCopies::kTiles);
  CHECK(swizzled(1024, 4096, [](GemvProblem& p) { p.weights.block_scale.row_origin = 384; }) == ScaleCopies::kTiles);
  CHECK(swizzled(1024, 4096, [](GemvProblem& p) { p.gate = reset::GemvGate::kGateUp; }) == ScaleCopies::kTiles);
  CHECK(swizzled(896, 4096, [](GemvProblem& p) { p.gate = reset::GemvGate::kGateUp; }) == ScaleCopies::kWords);
  CHECK(swizzled(1000, 4096, [](GemvProblem&) {}) == ScaleCopies::kWords);
  CHECK(swizzled(1024, 4096, [](GemvProblem& p) { p.weights.block_scale.row_origin = 32; }) == ScaleCopies::kWords);
  CHECK(swizzled(1024, 4096, [](GemvProblem& p) { p.weights.block_scale.data += 4; }) == ScaleCopies::kWords);
}

// Known at compile time: an engine of certain models and a certain device needs no more kernels than its calls take.
namespace {

constexpr DeviceInfo kH100 = {0, 90, 132, 227 * 1024, {66, 30, 15}, nullptr, 3352};
constexpr reset::GemvShape kDown = reset::aligned_shape(ActivationType::kNvfp4, 1, 4096, 12288);
constexpr reset::GemvShape kGateUp = reset::aligned_shape(ActivationType::kBf16, 8, 24576, 4096);
static_assert(reset::select_gemv_policy(kH100, kDown).kernel == GemvKernel::kRing);
static_assert(reset::select_gemv_policy(kH100, kDown).chunks == 2);
static_assert(validate(reset::select_gemv_policy(kH100, kDown), kDown, kH100).ok());
static_assert(reset::select_gemv_policy(kH100, kGateUp).kernel == GemvKernel::kTensorRing);
static_assert(reset::select_gemv_policy(kH100, kGateUp).cluster == 2);
static_assert(!validate(reset::select_gemv_policy(kH100, kDown), kGateUp, kH100).ok());

}  // namespace

TEST_CASE("a shape made of sizes is that of a well-formed call") {
  const auto members = [](const reset::GemvShape& s) {
    return std::make_tuple(s.tokens, s.rows, s.cols, s.activations, s.gate, s.row_stride, s.scale_layout,
                           s.scale_stride, s.scale_row_origin, s.scale_block_origin, s.scale_misalignment,
                           s.weight_misalignment, s.activation_misalignment);
  };
  const auto check = [&](const GemvProblem& problem) {
    const reset::Nvfp4MatrixView& w = problem.weights;
    CHECK(members(shape_of(problem)) == members(reset::aligned_shape(problem.activations.type, problem.tokens, w.rows,
                                                                     w.cols, w.block_scale.layout, problem.gate)));
  };
  for (const ActivationType activation : kActivations) {
    GemvProblem problem = well_formed(activation, 3, 512, 1040);
    check(problem);
    problem.gate = GemvGate::kUpGate;
    check(problem);
    swizzle_scales(problem.weights);
    check(problem);
  }
  GemvProblem problem = well_formed(ActivationType::kNvfp4, 1, 512, 1024);
  problem.weights.packed += 3;
  problem.weights.block_scale.data += 5;
  problem.activations.nvfp4.packed += 7;
  CHECK(shape_of(problem).weight_misalignment == 3);
  CHECK(shape_of(problem).scale_misalignment == 5);
  CHECK(shape_of(problem).activation_misalignment == 7);
  problem.activations.type = ActivationType::kBf16;
  problem.activations.dense = nullptr;  // not known yet
  CHECK(shape_of(problem).activation_misalignment == 0);
  problem.activations.dense = reinterpret_cast<const void*>(std::uintptr_t{0x1006});
  CHECK(shape_of(problem).activation_misalignment == 6);
}

TEST_CASE("a shape that no call may have gets a policy that is refused") {
  for (const int arch : {80, 90, 120}) {
    const GemvProblem empty;
    const GemvPolicy policy = reset::select_gemv_policy(device_of(arch), empty);
    CHECK(!validate(policy, empty, device_of(arch)).ok());
    CHECK(!validate(reset::select_gemv_policy(DeviceInfo(), empty), empty, DeviceInfo()).ok());
    CHECK(reset::tensor_ring_policy(device_of(arch), 1, 0, 0).stages == 0);
    DeviceInfo nothing = device_of(arch);
    nothing.sm_count = 0;
    const GemvProblem problem = well_formed(ActivationType::kNvfp4, 1, 1000, 4096);
    const GemvPolicy alike = reset::select_gemv_policy(nothing, problem, GemvAhead::kAlike);
    CHECK(validate(alike, problem, nothing).argument() == std::string("device.sm_count"));
  }
}

TEST_CASE("many rows of many tokens keep the rings that their sums leave room for") {
  for (const int bandwidth : {0, 3352, 4814}) {
    DeviceInfo device = device_of(90);
    device.memory_bandwidth = bandwidth;
    for (const std::int64_t k : {5120, 8192, 12288, 13824}) {
      for (const std::int64_t n : {16384, 28672, 51200, 57344}) {
        const GemvProblem problem = well_formed(ActivationType::kBf16, 16, n, k);
        INFO(bandwidth << " GB/s, n " << n << " k " << k);
        CHECK(reset::select_gemv_policy(device, problem).kernel == GemvKernel::kTensorRing);
      }
    }
    device.clusters[2] = 0;
    const GemvProblem problem = well_formed(ActivationType::kBf16, 16, 4096, 12288);
    CHECK(reset::select_gemv_policy(device, problem).kernel == GemvKernel::kTensorRing);
  }
}
