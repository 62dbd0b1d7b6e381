// Policies that cannot serve a call are refused by name, and so are calls that a kernel cannot serve.
#include <string>

#include "gemv/device_fixture.hpp"
#include "gemv/problem_fixture.hpp"
#include "support/catch.hpp"

#include <reset/gemv/policy.hpp>

using reset::ActivationType;
using reset::DeviceInfo;
using reset::GemvGate;
using reset::GemvKernel;
using reset::GemvPolicy;
using reset::GemvProblem;

namespace {

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

TEST_CASE("sizes that no call has are refused whatever the policy") {
  using reset::aligned_shape;
  const auto message_of = [](const reset::GemvShape& shape) {
    return validate(reset::tensor_policy(device_of(90), shape.tokens, shape.cols), shape, device_of(90)).message();
  };
  constexpr ActivationType kBf16 = ActivationType::kBf16;
  CHECK(message_of(aligned_shape(kBf16, 1, 1000, 4096)) == "ok");
  CHECK(message_of(aligned_shape(kBf16, 0, 1000, 4096)) == "invalid argument: tokens is 0, expected 1..16");
  CHECK(message_of(aligned_shape(kBf16, 17, 1000, 4096)) == "invalid argument: tokens is 17, expected 1..16");
  CHECK(message_of(aligned_shape(kBf16, 1, 0, 4096)) == "invalid argument: weights.rows is 0, expected 1..2^31-1024");
  CHECK(message_of(aligned_shape(kBf16, 1, 1000, 0)) ==
        "invalid argument: weights.cols is 0, expected a multiple of 16, 16 or more");
  CHECK(message_of(aligned_shape(kBf16, 1, 1000, 4095)) ==
        "invalid argument: weights.cols is 4095, expected a multiple of 16, 16 or more");
  CHECK(message_of(aligned_shape(kBf16, 1, 1001, 4096, reset::ScaleLayout::kLinear, GemvGate::kGateUp)) ==
        "invalid argument: weights.rows is 1001, expected even with a gate");
  CHECK(message_of(aligned_shape(kBf16, 1, 1001, 4096, reset::ScaleLayout::kLinear, static_cast<GemvGate>(7))) ==
        "invalid argument: gate is 7, expected 0 (kNone), 1 (kGateUp) or 2 (kUpGate)");
}

TEST_CASE("a policy of kRing that cannot serve a call is refused by name") {
  const GemvProblem problem = well_formed(ActivationType::kNvfp4, 1, 1000, 4096);
  const GemvPolicy good = reset::ring_policy(device_of(90), ActivationType::kNvfp4, 1, 4096);
  CHECK(validate(good, problem, device_of(80)).code() == reset::StatusCode::kUnsupported);
  const auto bad = [&](auto change, const char* argument) { refused(good, problem, change, argument); };
  bad([](GemvPolicy& p) { p.kernel = static_cast<GemvKernel>(9); }, "policy.kernel");
  bad([](GemvPolicy& p) { p.chunks = 0; }, "policy.chunks");
  bad([](GemvPolicy& p) { p.chunks = 4; }, "policy.chunks");
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
  const GemvPolicy policy = reset::ring_policy(device_of(90), ActivationType::kNvfp4, 1, 20480);
  REQUIRE(validate(policy, good, device_of(90)).ok());
  const auto bad = [&](auto change, const char* argument) { refused_call(policy, good, change, argument); };
  bad([](GemvProblem& p) { p.tokens = 2; }, "tokens");
  bad([](GemvProblem& p) { p.activations.type = ActivationType::kBf16; }, "weights.cols");
  bad([](GemvProblem& p) { p.weights.cols -= 16; }, "weights.cols");
  bad([](GemvProblem& p) { p.weights.packed += 8; }, "weights.packed");
  bad([](GemvProblem& p) { p.weights.row_stride += 8; }, "weights.row_stride");
  bad([](GemvProblem& p) { p.weights.block_scale.block_origin = 4; }, "weights.block_scale.data");
  bad([](GemvProblem& p) { p.weights.block_scale.stride += 8; }, "weights.block_scale.stride");
  bad([](GemvProblem& p) { p.activations.nvfp4.packed += 4; }, "activations.nvfp4.packed");
}

TEST_CASE("a call that kRing cannot serve with swizzled scales is refused by the member that keeps it") {
  GemvProblem good = well_formed(ActivationType::kNvfp4, 1, 1024, 20480);
  swizzle_scales(good.weights);
  const GemvPolicy policy =
      reset::ring_policy(device_of(90), ActivationType::kNvfp4, 1, 20480, reset::ScaleLayout::kSwizzled128x4);
  REQUIRE(validate(policy, good, device_of(90)).ok());
  const auto bad = [&](auto change, const char* argument) { refused_call(policy, good, change, argument); };
  bad([](GemvProblem& p) { p.gate = GemvGate::kUpGate; }, "gate");
  bad([](GemvProblem& p) { p.weights.rows -= 24; }, "weights.rows");
  bad([](GemvProblem& p) { p.weights.cols -= 256; }, "weights.cols");
  bad([](GemvProblem& p) { p.weights.block_scale.data += 8; }, "weights.block_scale.data");
  bad([](GemvProblem& p) { p.weights.block_scale.row_origin = 32; }, "weights.block_scale.row_origin");
  bad([](GemvProblem& p) { p.weights.block_scale.block_origin = 2; }, "weights.block_scale.block_origin");
  GemvProblem deep = well_formed(ActivationType::kNvfp4, 1, 1024, 33280);
  swizzle_scales(deep.weights);
  refused_call(
      reset::ring_policy(device_of(90), ActivationType::kNvfp4, 1, 33280), deep, [](GemvProblem&) {}, "weights.cols");
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
  good.ctas_per_sm = 1;
  good.row_groups = 2;
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
        "invalid argument: weights.cols is 40000, expected at most 30720 for kTensorRing and a policy of more than 8 "
        "tokens");
  policy = reset::tensor_ring_policy(device_of(90), 8, 1000, 40000, true);
  CHECK(message(policy, well_formed(ActivationType::kBf16, 4, 1000, 40000), 90) ==
        "invalid argument: weights.cols is 40000, expected at most 32768 for kTensorRing");
  DeviceInfo alone = device_of(90);  // as one fills it who forgets the clusters
  alone.clusters[0] = alone.clusters[1] = alone.clusters[2] = 0;
  policy = reset::tensor_ring_policy(alone, 4, 1000, 4096);
  CHECK(validate(policy, problem, alone).message() ==
        "invalid argument: policy.stages is 0, expected 1 or more: it has none where no cut fits K and the device's "
        "clusters and shared memory");
  policy = reset::ring_policy(device_of(90), ActivationType::kNvfp4, 1, 12288);
  CHECK(message(policy, well_formed(ActivationType::kBf16, 1, 1000, 12288), 90) ==
        "invalid argument: weights.cols is 12288, expected at most 8192 for kRing with 16-bit activations");
  CHECK(message(policy, well_formed(ActivationType::kBf16, 1, 1000, 8192), 90) ==
        "invalid argument: activations.type is 2, expected kNvfp4, 0, for kRing with more than 1 chunk");
  policy = reset::ring_policy(device_of(90), ActivationType::kBf16, 1, 4096);
  GemvProblem token = well_formed(ActivationType::kBf16, 1, 1024, 4096);
  swizzle_scales(token.weights);
  CHECK(message(policy, token, 90) ==
        "invalid argument: weights.block_scale.layout is 1, expected kLinear, 0, for kRing with 16-bit activations");
  token = well_formed(ActivationType::kBf16, 1, 1024, 4096);
  token.activations.dense = static_cast<const std::uint8_t*>(token.activations.dense) + 2;
  CHECK(message(policy, token, 90) ==
        "invalid argument: activations.dense is 2, expected an address that 16 divides, for kRing (the value is the "
        "remainder)");
  policy = reset::tensor_policy(device_of(90), 4, 4096);
  policy.cluster = 2;
  CHECK(message(policy, problem, 90) == "invalid argument: policy.cluster is 2, expected 1 for kTensor");
}
