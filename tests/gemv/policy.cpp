// The selector serves every shape on every target within the limits of the kernels, and policies that cannot serve are
// refused by name.
#include <cstdint>
#include <set>
#include <string>
#include <tuple>

#include "gemv/device_fixture.hpp"
#include "gemv/problem_fixture.hpp"
#include "support/catch.hpp"

#include <reset/gemv/policy.hpp>
#include <reset/gemv/prefetch.hpp>

using reset::ActivationType;
using reset::DeviceInfo;
using reset::GemvGate;
using reset::GemvKernel;
using reset::GemvPolicy;
using reset::GemvProblem;

namespace {

constexpr int kTargets[] = {80, 86, 89, 90, 100, 103, 120, 121};
constexpr ActivationType kActivations[] = {ActivationType::kNvfp4, ActivationType::kFp16, ActivationType::kBf16};

// Shared memory of a CTA as launch.cuh computes it.
std::int64_t launched_bytes(const GemvPolicy& policy, const GemvProblem& problem, const DeviceInfo& device) {
  if (policy.kernel == GemvKernel::kRing) {
    return reset::exclusive_shared_bytes(policy, device, reset::ring_shared_bytes(policy, problem.weights.cols));
  }
  const bool gated = problem.gate != GemvGate::kNone;
  const std::int64_t runs = reset::detail::output_runs(problem.weights.rows, gated);
  const std::int64_t clusters = tensor_clusters(policy, shape_of(problem), device);
  const std::int64_t needed = reset::tensor_shared_bytes(policy, reset::detail::share_tiles(runs, gated, clusters));
  return policy.kernel == GemvKernel::kTensor ? needed : reset::exclusive_shared_bytes(policy, device, needed);
}

void check_selected(const DeviceInfo& device, const GemvProblem& problem) {
  const GemvPolicy policy = reset::select_gemv_policy(device, problem);
  const reset::Status status = validate(policy, problem, device);
  INFO("arch " << device.arch << " with " << device.memory_bandwidth << " GB/s, m " << problem.tokens << " n "
               << problem.weights.rows << " k " << problem.weights.cols << ": " << status.message());
  REQUIRE(status.ok());
  REQUIRE(policy.tokens >= problem.tokens);
  REQUIRE(launched_bytes(policy, problem, device) <= device.shared_bytes);
  REQUIRE(reset::cta_threads(policy) <= 1024);
}

// With memory of any speed.
void check_selected(int arch, const GemvProblem& problem) {
  DeviceInfo device = device_of(arch);
  check_selected(device, problem);
  if (arch < 90) return;
  device.memory_bandwidth = 4814;
  check_selected(device, problem);
}

GemvKernel chosen(int arch, const GemvProblem& problem) {
  return reset::select_gemv_policy(device_of(arch), problem).kernel;
}

// Refused as an invalid argument of that name, once `change` has changed a good policy.
template <class Change>
void refused(const GemvPolicy& good, const GemvProblem& problem, Change change, const char* argument,
             const DeviceInfo& device = device_of(90)) {
  REQUIRE(validate(good, problem, device).ok());
  GemvPolicy policy = good;
  change(policy);
  const reset::Status status = validate(policy, problem, device);
  INFO(status.message());
  CHECK(status.code() == reset::StatusCode::kInvalidArgument);
  CHECK(std::string(status.argument()) == argument);
}

// Refused under that name, once `change` has changed a good call.
template <class Change>
void refused_call(const GemvPolicy& policy, const GemvProblem& good, Change change, const char* argument) {
  GemvProblem problem = good;
  change(problem);
  const reset::Status status = validate(policy, problem, device_of(90));
  INFO(status.message());
  CHECK(status.code() == reset::StatusCode::kInvalidArgument);
  CHECK(std::string(status.argument()) == argument);
}

std::string message(const GemvPolicy& policy, const GemvProblem& problem, int arch) {
  return validate(policy, problem, device_of(arch)).message();
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
  CHECK(swizzled(16512, 4096, reset::GemvGate::kNone) == GemvKernel::kTensorRing);  // faster
  CHECK(swizzled(1000, 4096, reset::GemvGate::kNone) == GemvKernel::kTensorRing);   // no whole tiles
  CHECK(swizzled(1024, 3840, reset::GemvGate::kNone) == GemvKernel::kTensorRing);   // of 256, not of 512
  CHECK(swizzled(1024, 9216, reset::GemvGate::kNone) == GemvKernel::kTensorRing);   // two rows a tile
  GemvProblem problem = well_formed(nvfp4, 1, 1000, 25600);                         // one row a tile of kRing: no pairs
  problem.gate = GemvGate::kGateUp;
  CHECK(chosen(90, problem) == GemvKernel::kTensorRing);
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

// A call of 16-bit activations and the cut of kTensorRing that it gets.
struct CutCall {
  std::int64_t m, n, k;
  int cluster, k_warps, row_groups, stages;
};

void check_cut(const DeviceInfo& device, const CutCall& call) {
  const GemvProblem problem = well_formed(ActivationType::kBf16, call.m, call.n, call.k);
  const GemvPolicy policy = reset::select_gemv_policy(device, problem);
  INFO("m " << call.m << " n " << call.n << " k " << call.k);
  CHECK(policy.kernel == GemvKernel::kTensorRing);
  CHECK(policy.cluster == call.cluster);
  CHECK(policy.k_warps == call.k_warps);
  CHECK(policy.row_groups == call.row_groups);
  CHECK(policy.stages == call.stages);
}

TEST_CASE("on an H100 the selector keeps to the cuts that its rules were made for") {
  const CutCall calls[] = {
      {1, 6144, 4096, 2, 8, 2, 4},    {8, 4096, 4096, 2, 8, 1, 6},    {8, 24576, 4096, 2, 8, 2, 8},
      {8, 4096, 12288, 8, 6, 2, 6},   {1, 5120, 8192, 4, 8, 2, 10},   {4, 5120, 5120, 4, 5, 2, 8},
      {16, 5120, 5120, 2, 10, 1, 3},  {4, 17408, 5120, 4, 5, 3, 12},  {4, 34816, 5120, 2, 10, 2, 6},
      {16, 17408, 5120, 4, 5, 3, 12}, {4, 5120, 17408, 8, 9, 1, 5},   {8, 18944, 3584, 4, 4, 2, 10},
      {4, 3584, 18944, 8, 10, 1, 4},  {16, 4096, 12288, 4, 12, 1, 3}, {8, 5120, 25600, 8, 13, 1, 6},
      {1, 51200, 5120, 2, 10, 2, 8},  {8, 151936, 5120, 2, 10, 2, 4}, {1, 4096, 12288, 4, 12, 1, 3},
      {1, 4096, 4096, 1, 16, 1, 3},   {8, 51200, 5120, 4, 5, 2, 12},  {1, 10240, 5120, 4, 5, 3, 6},
      {1, 7168, 5120, 4, 5, 2, 10},   {1, 5120, 5120, 2, 10, 1, 5},   {1, 37888, 3584, 2, 7, 1, 6},
      {1, 24576, 4096, 2, 8, 2, 6},   {1, 5120, 25600, 8, 13, 1, 4},  {16, 34816, 5120, 2, 10, 1, 7},
      {16, 37888, 3584, 2, 7, 2, 8},  {16, 3584, 18944, 8, 10, 1, 4}, {16, 5120, 25600, 8, 13, 1, 5},
      {16, 5120, 13824, 4, 14, 1, 5}, {1, 1000, 4112, 2, 9, 1, 6},    {8, 1000, 4112, 2, 9, 1, 4},
      {16, 1000, 4112, 2, 9, 1, 3},   {8, 5119, 1856, 1, 8, 1, 4},    {16, 5119, 1856, 1, 8, 1, 4}};
  for (const CutCall& call : calls) check_cut(device_of(90), call);
}

TEST_CASE("where memory is fast, the tensor ring takes small clusters and many warps") {
  // The gate and up, down, QKV and output projections of Qwen3-8B, 14B and 32B, among others.
  const CutCall calls[] = {
      {1, 24576, 4096, 1, 16, 1, 3},  {8, 4096, 12288, 4, 12, 1, 3},  {1, 4096, 4096, 4, 4, 2, 10},
      {8, 34816, 5120, 2, 10, 2, 6},  {1, 5120, 17408, 8, 9, 2, 6},   {1, 5120, 5120, 2, 10, 1, 4},
      {1, 51200, 5120, 2, 10, 2, 6},  {1, 10240, 5120, 2, 10, 2, 6},  {8, 5120, 25600, 8, 13, 1, 3},
      {16, 37888, 3584, 2, 7, 2, 8},  {16, 4096, 12288, 4, 12, 1, 3}, {16, 51200, 5120, 2, 10, 1, 6},
      {1, 151936, 4096, 1, 16, 1, 3}, {1, 512, 2560, 1, 10, 1, 4},    {1, 6144, 4096, 2, 8, 2, 4},
      {8, 6144, 4096, 2, 8, 1, 4},    {1, 5120, 8192, 2, 16, 1, 3},   {8, 5120, 8192, 2, 16, 1, 4},
      {1, 3584, 18944, 8, 10, 2, 6},  {8, 3584, 18944, 8, 10, 1, 4}};
  DeviceInfo device = device_of(90);
  device.memory_bandwidth = 4814;
  for (const CutCall& call : calls) check_cut(device, call);
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
}

TEST_CASE("a shape that no call may have gets a policy that is refused") {
  for (const int arch : {80, 90, 120}) {
    const GemvProblem empty;
    const GemvPolicy policy = reset::select_gemv_policy(device_of(arch), empty);
    CHECK(!validate(policy, empty, device_of(arch)).ok());
    CHECK(!validate(reset::select_gemv_policy(DeviceInfo(), empty), empty, DeviceInfo()).ok());
    CHECK(reset::tensor_ring_policy(device_of(arch), 1, 0, 0).stages == 0);
  }
}

TEST_CASE("no more CTAs of a ring fit a multiprocessor than the policy says") {
  DeviceInfo device = device_of(90);
  const auto fit = [&](const GemvPolicy& policy, std::int64_t shared, int registers) {
    const std::int64_t by_memory = (device.shared_bytes + 1024) / (shared + 1024);
    const std::int64_t threads = reset::cta_threads(policy);
    const std::int64_t by_registers = registers == 0 ? by_memory : 65536 / (threads * registers);
    return by_memory < by_registers ? by_memory : by_registers;
  };
  const auto check_tensor_ring = [&](std::int64_t m, std::int64_t n, std::int64_t k) {
    const GemvPolicy policy = reset::tensor_ring_policy(device, m, n, k);
    if (policy.stages == 0) return;
    const std::int64_t needed = reset::tensor_shared_bytes(policy, 1);
    const std::int64_t shared = reset::exclusive_shared_bytes(policy, device, needed);
    INFO(device.memory_bandwidth << " GB/s, m " << m << " n " << n << " k " << k);
    REQUIRE(shared >= needed);
    REQUIRE(shared <= device.shared_bytes);
    REQUIRE(fit(policy, shared, reset::detail::tensor_ring_registers(device.arch, policy.tokens)) == 1);
  };
  for (std::int64_t k = 256; k <= 32768; k += 256) {
    for (const int bandwidth : {0, 4814}) {
      device.memory_bandwidth = bandwidth;
      for (const std::int64_t n : {512, 4096, 24576}) {
        for (const std::int64_t m : {1, 8, 16}) check_tensor_ring(m, n, k);
      }
    }
    const GemvPolicy policy = reset::ring_policy(90, ActivationType::kNvfp4, 1, k);
    const std::int64_t shared = reset::exclusive_shared_bytes(policy, device, reset::ring_shared_bytes(policy, k));
    REQUIRE(fit(policy, shared, 0) == policy.ctas_per_sm);
  }
}

TEST_CASE("of a ring's stages as many are on their way as memory brings in 1 us, then in 2 us, or all") {
  DeviceInfo device = device_of(90);
  GemvPolicy policy;
  policy.stages = 8;
  const auto check = [&](std::int64_t bytes, int first_lap, int later) {
    const reset::detail::RingFlight flight = reset::stages_in_flight(policy, device, bytes);
    INFO(device.memory_bandwidth << " GB/s, " << policy.stages << " stages of " << bytes);
    CHECK(flight.first_lap == first_lap);
    CHECK(flight.later == later);
  };
  check(18432, 8, 8);              // nobody knows the memory
  device.memory_bandwidth = 3352;  // an H100's
  check(18432, 2, 3);
  check(60000, 1, 1);
  check(1000, 8, 8);
  policy.ctas_per_sm = 2;
  check(18432, 1, 2);
  for (const int bandwidth : {300, 2039, 4915, 8000}) {
    device.memory_bandwidth = bandwidth;
    for (std::int64_t bytes = 1024; bytes <= 80 * 1024; bytes += 1024) {
      for (policy.stages = 1; policy.stages <= 16; ++policy.stages) {
        const reset::detail::RingFlight flight = reset::stages_in_flight(policy, device, bytes);
        INFO(bandwidth << " GB/s, " << policy.stages << " stages of " << bytes);
        REQUIRE(flight.first_lap <= flight.later);
        for (const bool first : {false, true}) {
          const int stages = first ? flight.first_lap : flight.later;
          const std::int64_t need = std::int64_t{first ? 1000 : 2000} * bandwidth;
          REQUIRE((stages >= 1 && stages <= policy.stages));
          REQUIRE((stages == policy.stages || 2 * 132 * bytes * stages >= need));
          REQUIRE(2 * 132 * bytes * (stages - 1) < need);
        }
      }
    }
  }
}

TEST_CASE("a prefetch takes whole matrices and parts of them, and says what it cannot take") {
  const GemvProblem problem = well_formed(ActivationType::kBf16, 1, 1000, 4096);
  reset::Prefetch prefetch;
  REQUIRE(prefetch.add(problem.weights).ok());
  REQUIRE(prefetch.count == 2);
  CHECK(prefetch.regions[0].rows == 1);
  CHECK(prefetch.regions[0].width == 1000 * 2048);
  CHECK(prefetch.regions[1].width == 1000 * 256);
  reset::Nvfp4MatrixView part = reset::col_slice(reset::row_slice(problem.weights, 10, 20), 1024, 512);
  REQUIRE(prefetch.add(part).ok());
  CHECK(prefetch.regions[2].begin == reset::detail::address(problem.weights.packed) + 10 * 2048 + 512);
  CHECK(prefetch.regions[2].rows == 20);
  CHECK(prefetch.regions[2].width == 256);
  CHECK(prefetch.regions[2].stride == 2048);
  part.packed = nullptr;
  CHECK(prefetch.add(part).message() == "invalid argument: view.packed is 0, expected not null");
  REQUIRE(prefetch.add(problem.weights).ok());
  CHECK(prefetch.add(problem.weights).message() ==
        "invalid argument: prefetch.count is 6, expected at most 4, to add a matrix");
  CHECK(prefetch.count == 6);
  CHECK(validate(prefetch).ok());
  for (const int count : {-1, 7}) {
    prefetch.count = count;
    CHECK(std::string(validate(prefetch).argument()) == "prefetch.count");
  }
  reset::Prefetch first;
  REQUIRE(first.add(problem.weights, 100 * (2048 + 256) + 5).ok());
  CHECK(first.regions[0].width == 100 * 2048);
  CHECK(first.regions[1].width == 100 * 256);
  CHECK(std::string(first.add(problem.weights, 0).argument()) == "most_bytes");
  REQUIRE(first.add(problem.weights, 1).ok());
  CHECK(first.regions[2].width == 2048);
}

TEST_CASE("the pieces of a prefetch are the whole units of 16 bytes of its region, each once, and nothing else") {
  const reset::detail::MemoryRegion regions[] = {{4096, 1, 10000, 0},   {4097, 1, 10000, 0}, {4111, 3, 2049, 5000},
                                                 {5000, 7, 100, 160},   {4104, 5, 7, 64},    {4096, 2, 2048, 2048},
                                                 {4100, 1, 1 << 20, 0}, {4096, 1, 16, 0}};
  for (const auto& region : regions) {
    std::set<std::uintptr_t> wanted;
    for (std::int64_t row = 0; row < region.rows; ++row) {
      const std::uintptr_t begin = region.begin + static_cast<std::uintptr_t>(row * region.stride);
      const std::uintptr_t end = begin + static_cast<std::uintptr_t>(region.width);
      for (std::uintptr_t unit = (begin + 15) / 16; (unit + 1) * 16 <= end; ++unit) wanted.insert(unit);
    }
    for (std::int64_t i = 0; i < reset::detail::prefetch_pieces(region); ++i) {
      const reset::detail::PrefetchPiece piece = reset::detail::prefetch_piece_of(region, i);
      REQUIRE(piece.bytes <= reset::detail::kPrefetchPiece);
      if (piece.bytes > 0) REQUIRE(piece.begin % 16 == 0);
      for (std::uintptr_t unit = piece.begin / 16; unit < piece.begin / 16 + piece.bytes / 16; ++unit) {
        REQUIRE(wanted.erase(unit) == 1);
      }
    }
    INFO("begin " << region.begin << " width " << region.width);
    CHECK(wanted.empty());
  }
}

TEST_CASE("the threads of a ring cover K, and half a multiprocessor's memory holds it") {
  for (const int arch : {90, 100, 120}) {
    for (std::int64_t k = 256; k <= 40960; k += 256) {
      const GemvPolicy policy = reset::ring_policy(arch, ActivationType::kNvfp4, 1, k);
      INFO("arch " << arch << " k " << k);
      REQUIRE(policy.stages >= 1);
      REQUIRE(std::int64_t{1024} * policy.chunks * policy.warps_per_group >= k);
      REQUIRE(reset::cta_threads(policy) <= reset::detail::ring_max_threads(policy.chunks));
      REQUIRE(policy.ctas_per_sm * (reset::ring_shared_bytes(policy, k) + 1024) <= (arch == 120 ? 100 : 228) * 1024);
    }
  }
  CHECK(reset::ring_policy(90, ActivationType::kNvfp4, 2, 4096).stages == 0);
  CHECK(reset::ring_policy(90, ActivationType::kBf16, 1, 4096).stages == 0);
  CHECK(reset::ring_policy(89, ActivationType::kNvfp4, 1, 4096).stages == 0);
}

TEST_CASE("no launch of a tensor-core policy that is accepted exceeds the shared memory") {
  for (const int arch : {80, 90, 120}) {
    const DeviceInfo device = device_of(arch);
    for (const std::int64_t k : {256, 2048, 5120}) {
      for (const int cluster : {0, 1, 2, 4, 8}) {  // 0: kTensor
        for (const int tokens : {1, 8, 16}) {
          for (std::int64_t n = 16; n < 200000; n += n / 64 * 16 + 16) {
            const GemvProblem problem = well_formed(ActivationType::kBf16, tokens, n, k);
            GemvPolicy policy = reset::tensor_policy(device, tokens, k);
            if (cluster > 0) {
              policy.odd_rows = n % 32 != 0;
              const auto units = static_cast<int>(k / 256);
              policy.kernel = GemvKernel::kTensorRing;
              policy.tokens = tokens;
              policy.slices = policy.cluster = cluster;
              policy.k_warps = (units + cluster - 1) / cluster;
              policy.row_groups = 1;
              policy.stages = 2;
            }
            if (!validate(policy, problem, device).ok()) continue;
            INFO("arch " << arch << " tokens " << tokens << " n " << n << " k " << k << " cluster " << cluster);
            REQUIRE(launched_bytes(policy, problem, device) <= device.shared_bytes);
          }
        }
      }
    }
  }
}

TEST_CASE("a policy of kRing that cannot serve a call is refused by name") {
  const GemvProblem problem = well_formed(ActivationType::kNvfp4, 1, 1000, 4096);
  const GemvPolicy good = reset::ring_policy(90, ActivationType::kNvfp4, 1, 4096);
  CHECK(validate(good, problem, device_of(80)).code() == reset::StatusCode::kUnsupported);
  const auto bad = [&](auto change, const char* argument) { refused(good, problem, change, argument); };
  bad([](GemvPolicy& p) { p.kernel = static_cast<GemvKernel>(9); }, "policy.kernel");
  bad([](GemvPolicy& p) { p.chunks = 0; }, "policy.chunks");
  bad([](GemvPolicy& p) { p.chunks = 4; }, "policy.chunks");
  bad([](GemvPolicy& p) { p.chunks = 6; }, "policy.chunks");
  bad([](GemvPolicy& p) { p.warps_per_group = 3; }, "policy.warps_per_group");
  bad([](GemvPolicy& p) { p.warps_per_group = 9; }, "policy.warps_per_group");
  bad([](GemvPolicy& p) { p.groups = 0; }, "policy.groups");
  bad([](GemvPolicy& p) { p.groups = 5; }, "policy.groups");
  bad([](GemvPolicy& p) { p.stages = p.groups + 1; }, "policy.stages");
  bad([](GemvPolicy& p) { p.stages = 0; }, "policy.stages");
  bad([](GemvPolicy& p) { p.stages = 32; }, "policy.stages");
  bad([](GemvPolicy& p) { p.ctas_per_sm = 0; }, "policy.ctas_per_sm");
  bad([](GemvPolicy& p) { p.ctas_per_sm = 17; }, "policy.ctas_per_sm");
  bad([](GemvPolicy& p) { p.tokens = 8; }, "policy.tokens");
}

TEST_CASE("a call that kRing cannot serve is refused by the member that keeps it") {
  const GemvProblem good = well_formed(ActivationType::kNvfp4, 1, 1000, 20480);
  const GemvPolicy policy = reset::ring_policy(90, ActivationType::kNvfp4, 1, 20480);
  REQUIRE(validate(policy, good, device_of(90)).ok());
  const auto bad = [&](auto change, const char* argument) { refused_call(policy, good, change, argument); };
  bad([](GemvProblem& p) { p.tokens = 2; }, "tokens");
  bad([](GemvProblem& p) { p.activations.type = ActivationType::kBf16; }, "activations.type");
  bad([](GemvProblem& p) { p.weights.cols -= 16; }, "weights.cols");
  bad([](GemvProblem& p) { p.gate = GemvGate::kUpGate; }, "gate");
  bad([](GemvProblem& p) { p.weights.packed += 8; }, "weights.packed");
  bad([](GemvProblem& p) { p.weights.row_stride += 8; }, "weights.row_stride");
  bad([](GemvProblem& p) { p.weights.block_scale.layout = reset::ScaleLayout::kSwizzled128x4; },
      "weights.block_scale.layout");
  bad([](GemvProblem& p) { p.weights.block_scale.block_origin = 4; }, "weights.block_scale.data");
  bad([](GemvProblem& p) { p.weights.block_scale.stride += 8; }, "weights.block_scale.stride");
  bad([](GemvProblem& p) { p.activations.nvfp4.packed += 4; }, "activations.nvfp4.packed");
}

TEST_CASE("a call that kTensorRing cannot serve is refused by the member that keeps it") {
  const GemvProblem good = well_formed(ActivationType::kBf16, 4, 1000, 4096);
  const GemvPolicy policy = reset::tensor_ring_policy(device_of(90), 4, 1000, 4096);
  REQUIRE(validate(policy, good, device_of(90)).ok());
  const auto bad = [&](auto change, const char* argument) { refused_call(policy, good, change, argument); };
  bad([](GemvProblem& p) { p.weights.cols -= 16; }, "weights.cols");
  bad([](GemvProblem& p) { p.weights.packed += 8; }, "weights.packed");
  bad([](GemvProblem& p) { p.weights.row_stride += 8; }, "weights.row_stride");
  bad([](GemvProblem& p) { p.weights.block_scale.data += 2; }, "weights.block_scale.data");
  bad([](GemvProblem& p) { p.weights.block_scale.block_origin = 2; }, "weights.block_scale.block_origin");
  bad([](GemvProblem& p) { p.weights.block_scale.stride += 2; }, "weights.block_scale.stride");
}

TEST_CASE("a call that kTensorRing cannot serve row by row is refused by the member that keeps it") {
  const GemvProblem good = well_formed(ActivationType::kBf16, 4, 1000, 4112);
  const GemvPolicy policy = reset::tensor_ring_policy(device_of(90), 4, 1000, 4112, true);
  REQUIRE(validate(policy, good, device_of(90)).ok());
  const auto bad = [&](auto change, const char* argument) { refused_call(policy, good, change, argument); };
  bad([](GemvProblem& p) { p.weights.packed += 4; }, "weights.packed");
  bad([](GemvProblem& p) { p.weights.row_stride += 4; }, "weights.row_stride");
  bad([](GemvProblem& p) { p.weights.block_scale.layout = reset::ScaleLayout::kSwizzled128x4; },
      "weights.block_scale.layout");
  refused(
      policy, good, [](GemvPolicy& p) { p.odd_rows = false; }, "weights.cols");
}

TEST_CASE("a device that nobody prepared is refused") {
  const GemvProblem problem = well_formed(ActivationType::kBf16, 4, 1000, 4096);
  const GemvPolicy policy = reset::select_gemv_policy(DeviceInfo{}, problem);
  CHECK(validate(policy, problem, DeviceInfo{}).message() ==
        "invalid argument: device.sm_count is 0, expected 1 or more, as gemv_prepare finds it");
}

TEST_CASE("a policy of kTensor that cannot serve a call is refused by name") {
  const GemvProblem problem = well_formed(ActivationType::kBf16, 4, 1000, 8192);  // 32 units
  const GemvPolicy good = reset::tensor_policy(device_of(90), 4, 8192);
  const auto bad = [&](auto change, const char* argument) { refused(good, problem, change, argument); };
  for (const int tokens : {0, 1, 4, 9, 12, 17, 24}) bad([=](GemvPolicy& p) { p.tokens = tokens; }, "policy.tokens");
  bad([](GemvPolicy& p) { p.k_warps = 0; }, "policy.k_warps");
  bad([](GemvPolicy& p) { p.k_warps = 13; }, "policy.k_warps");
  bad([](GemvPolicy& p) { p.row_groups = 0; }, "policy.row_groups");
  bad([](GemvPolicy& p) { p.row_groups = 2; }, "policy.row_groups");
  bad([](GemvPolicy& p) { p.slices = 0; }, "policy.slices");
  bad([](GemvPolicy& p) { p.slices = 3; }, "policy.slices");   // 11 units a slice, k_warps 8
  bad([](GemvPolicy& p) { p.k_warps = 7; }, "policy.slices");  // 8 units a slice
  bad([](GemvPolicy& p) { p.slices = 33; }, "policy.slices");
  for (const int cluster : {0, 2, 3, 8}) bad([=](GemvPolicy& p) { p.cluster = cluster; }, "policy.cluster");
  bad([](GemvPolicy& p) { p.ctas_per_sm = 0; }, "policy.ctas_per_sm");
  const GemvProblem many = well_formed(ActivationType::kBf16, 9, 1000, 8192);
  CHECK(std::string(validate(good, many, device_of(90)).argument()) == "policy.tokens");
  DeviceInfo small = device_of(90);
  small.shared_bytes = 48 * 1024;
  CHECK(std::string(validate(good, problem, small).argument()) == "policy.row_groups");
}

TEST_CASE("a policy of kTensorRing that cannot serve a call is refused by name") {
  const GemvProblem problem = well_formed(ActivationType::kBf16, 4, 24576, 4096);  // 16 units
  GemvPolicy good = reset::tensor_ring_policy(device_of(90), 4, 24576, 4096);
  REQUIRE(good.cluster == 2);
  REQUIRE(good.row_groups == 2);
  good.stages = 4;
  CHECK(validate(good, problem, device_of(89)).code() == reset::StatusCode::kUnsupported);
  DeviceInfo old = device_of(80);  // as gemv_prepare finds it: no clusters, and so no policy either
  old.clusters[0] = old.clusters[1] = old.clusters[2] = 0;
  const reset::Status none = validate(reset::tensor_ring_policy(old, 4, 24576, 4096), problem, old);
  CHECK(std::string(none.argument()) == "device.arch");
  const auto bad = [&](auto change, const char* argument) { refused(good, problem, change, argument); };
  for (const int tokens : {0, 1, 9}) bad([=](GemvPolicy& p) { p.tokens = tokens; }, "policy.tokens");
  bad([](GemvPolicy& p) { p.k_warps = 0; }, "policy.k_warps");
  bad([](GemvPolicy& p) { p.k_warps = 17; }, "policy.k_warps");
  bad([](GemvPolicy& p) { p.tokens = 16, p.k_warps = 16; }, "policy.k_warps");
  bad([](GemvPolicy& p) { p.row_groups = 3; }, "policy.row_groups");
  bad([](GemvPolicy& p) { p.k_warps = 7; }, "policy.slices");  // too few for the slice
  bad([](GemvPolicy& p) { p.slices = 0; }, "policy.slices");
  bad([](GemvPolicy& p) { p.slices = 4; }, "policy.slices");  // not the cluster
  bad([](GemvPolicy& p) { p.cluster = 4; }, "policy.slices");
  bad([](GemvPolicy& p) { p.cluster = p.slices = 3; }, "policy.cluster");
  bad([](GemvPolicy& p) { p.cluster = 0; }, "policy.cluster");
  bad([](GemvPolicy& p) { p.cluster = p.slices = 16; }, "policy.cluster");
  for (const int stages : {-2, 0, 1, 3, 5, 15, 18}) bad([=](GemvPolicy& p) { p.stages = stages; }, "policy.stages");
  bad([](GemvPolicy& p) { p.stages = 16; }, "policy.stages");  // do not fit
  GemvPolicy crowded = good;
  crowded.tokens = 1;
  crowded.row_groups = crowded.stages = 4;
  CHECK(std::string(validate(crowded, well_formed(ActivationType::kBf16, 1, 24576, 4096), device_of(90)).argument()) ==
        "policy.row_groups");
  DeviceInfo alone = device_of(90);  // no two multiprocessors of a cluster
  alone.clusters[0] = 0;
  CHECK(std::string(validate(good, problem, alone).argument()) == "policy.cluster");
}

TEST_CASE("refusals read well") {
  const GemvProblem problem = well_formed(ActivationType::kBf16, 4, 1000, 4096);
  GemvPolicy policy = reset::tensor_ring_policy(device_of(90), 4, 1000, 4096);
  CHECK(message(policy, problem, 80) == "unsupported: device.arch is 80, expected 90 or more for kTensorRing");
  policy.k_warps = 8;
  policy.row_groups = 1;
  policy.cluster = policy.slices = 3;
  CHECK(message(policy, problem, 90) == "invalid argument: policy.cluster is 3, expected 1, 2, 4 or 8");
  policy.tokens = 9;
  CHECK(message(policy, problem, 90) ==
        "invalid argument: policy.tokens is 9, expected 1, 8 or 16, and at least the tokens of the call");
  policy = reset::tensor_ring_policy(device_of(90), 4, 1000, 2048);
  policy.row_groups = 2;
  policy.stages = 3;
  CHECK(message(policy, well_formed(ActivationType::kBf16, 4, 1000, 2048), 90) ==
        "invalid argument: policy.stages is 3, expected a multiple of row_groups, at most 16");
  policy = reset::tensor_ring_policy(device_of(90), 16, 1000, 40000, true);
  CHECK(message(policy, well_formed(ActivationType::kBf16, 4, 1000, 40000), 90) ==
        "invalid argument: weights.cols is 40000, expected at most 32768, or 30720 for a policy of more than 8 tokens, "
        "for kTensorRing");
  DeviceInfo alone = device_of(90);  // as one fills it who forgets the clusters
  alone.clusters[0] = alone.clusters[1] = alone.clusters[2] = 0;
  policy = reset::tensor_ring_policy(alone, 4, 1000, 4096);
  CHECK(validate(policy, problem, alone).message() ==
        "invalid argument: policy.stages is 0, expected 1 or more: it has none where no cut fits K and the device's "
        "clusters and shared memory");
  policy = reset::ring_policy(90, ActivationType::kBf16, 1, 4096);
  CHECK(message(policy, well_formed(ActivationType::kBf16, 1, 1000, 4096), 90) ==
        "invalid argument: activations.type is 2, expected kNvfp4, 0, for kRing");
  policy = reset::tensor_policy(device_of(90), 4, 4096);
  policy.cluster = 2;
  CHECK(message(policy, problem, 90) == "invalid argument: policy.cluster is 2, expected 1 for kTensor");
}
