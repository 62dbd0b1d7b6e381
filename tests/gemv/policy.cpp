// The selector serves every shape on every target within the limits of the kernels, and the cut of the work visits
// every weight exactly once.
#include <cstdint>
#include <vector>

#include "gemv/problem_fixture.hpp"
#include "support/catch.hpp"

#include <reset/gemv/detail/tile_rows.hpp>
#include <reset/gemv/policy.hpp>

using reset::ActivationType;
using reset::GemvGate;
using reset::GemvKernel;
using reset::GemvPolicy;

namespace {

reset::DeviceInfo device_of(int arch) {
  reset::DeviceInfo device;
  device.arch = arch;
  device.sm_count = 132;
  device.shared_bytes = (arch >= 120 || arch == 86 || arch == 89 ? 99 : arch == 80 ? 163 : 227) * 1024;
  return device;
}

template <int kRows>
void check_tiles(std::int64_t rows, bool gated) {
  const reset::detail::TileRows<kRows> work{rows, gated};
  std::vector<int> visits(static_cast<std::size_t>(rows));
  for (std::int64_t tile = 0; tile < work.tiles(); ++tile) {
    for (int slot = 0; slot < kRows; ++slot) {
      const std::int64_t readable = work.readable_row(tile, slot);
      REQUIRE((readable >= 0 && readable < rows));
      if (!work.holds(tile, slot)) continue;
      REQUIRE(readable == work.row(tile, slot));
      ++visits[static_cast<std::size_t>(readable)];
      // A gate finds the pair of a row half a tile further on.
      if (gated && slot < kRows / 2) REQUIRE(work.row(tile, slot + kRows / 2) == readable + rows / 2);
    }
  }
  for (const int visit : visits) REQUIRE(visit == 1);
}

}  // namespace

TEST_CASE("every row is in exactly one tile") {
  for (std::int64_t rows = 1; rows <= 67; ++rows) {
    check_tiles<1>(rows, false);
    check_tiles<2>(rows, false);
    check_tiles<4>(rows, false);
    if (rows % 2 == 0) check_tiles<2>(rows, true);
    if (rows % 2 == 0) check_tiles<4>(rows, true);
  }
}

TEST_CASE("the selected policy is valid for every target, activation, M and K") {
  for (const int arch : {80, 86, 89, 90, 100, 103, 120, 121}) {
    for (const auto activation : {ActivationType::kNvfp4, ActivationType::kFp16, ActivationType::kBf16}) {
      for (std::int64_t m = 1; m <= 16; ++m) {
        for (std::int64_t k = 16; k <= 66000; k += k < 2000 ? 16 : 240) {
          const reset::GemvProblem problem = well_formed(activation, m, 1000, k / 16 * 16);
          const GemvPolicy policy = reset::select_gemv_policy(arch, problem);
          const reset::Status status = validate(policy, problem, device_of(arch));
          INFO("arch " << arch << " m " << m << " k " << k << ": " << status.message());
          REQUIRE(status.ok());
        }
      }
    }
  }
}

TEST_CASE("the ring kernel is chosen where it serves, and only there") {
  const auto chosen = [](int arch, const reset::GemvProblem& problem) {
    return reset::select_gemv_policy(arch, problem).kernel == GemvKernel::kRing;
  };
  const auto nvfp4 = ActivationType::kNvfp4;
  for (const std::int64_t k : {256, 3584, 4096, 5120, 8192, 12288, 18944, 25600, 40960}) {
    CHECK(chosen(90, well_formed(nvfp4, 1, 1000, k)));
    CHECK(chosen(100, well_formed(nvfp4, 2, 1000, k)));
    CHECK_FALSE(chosen(89, well_formed(nvfp4, 1, 1000, k)));
    CHECK_FALSE(chosen(90, well_formed(nvfp4, 3, 1000, k)));
    CHECK_FALSE(chosen(90, well_formed(ActivationType::kBf16, 1, 1000, k)));
  }
  CHECK_FALSE(chosen(90, well_formed(nvfp4, 1, 1000, 4112)));
  CHECK_FALSE(chosen(90, well_formed(nvfp4, 1, 1000, 41216)));
  const reset::GemvProblem plain = well_formed(nvfp4, 1, 1000, 4096);
  reset::GemvProblem problem = plain;
  ++problem.weights.packed;
  CHECK_FALSE(chosen(90, problem));
  problem = plain;
  problem.weights.row_stride += 8;
  CHECK_FALSE(chosen(90, problem));
  problem = plain;
  problem.weights.block_scale.block_origin = 3;
  problem.weights.block_scale.stride += 16;
  CHECK_FALSE(chosen(90, problem));
  problem = plain;
  problem.weights.block_scale.layout = reset::ScaleLayout::kSwizzled128x4;
  CHECK_FALSE(chosen(90, problem));
  problem = well_formed(nvfp4, 1, 1000, 25600);  // one row a tile: no pairs
  problem.gate = GemvGate::kGateUp;
  CHECK_FALSE(chosen(90, problem));
}

TEST_CASE("the threads of a ring cover K, and half a multiprocessor's memory holds it") {
  for (const int arch : {90, 100, 120}) {
    for (const std::int64_t m : {1, 2}) {
      for (std::int64_t k = 256; k <= 40960; k += 256) {
        const GemvPolicy policy = reset::ring_policy(arch, ActivationType::kNvfp4, m, k);
        INFO("arch " << arch << " m " << m << " k " << k);
        REQUIRE(policy.stages >= 1);
        REQUIRE(std::int64_t{1024} * policy.chunks * policy.warps_per_group >= k);
        REQUIRE(reset::cta_threads(policy) <= reset::detail::ring_max_threads(policy.chunks));
        REQUIRE(policy.ctas_per_sm * (reset::ring_shared_bytes(policy, k) + 1024) <= (arch == 120 ? 100 : 228) * 1024);
      }
    }
  }
}

TEST_CASE("a policy that cannot serve a call is refused by name") {
  const reset::GemvProblem problem = well_formed(ActivationType::kNvfp4, 1, 1000, 4096);
  const GemvPolicy good = reset::ring_policy(90, ActivationType::kNvfp4, 1, 4096);
  REQUIRE(validate(good, problem, device_of(90)).ok());
  CHECK(validate(good, problem, device_of(80)).code() == reset::StatusCode::kUnsupported);
  const auto refused = [&](auto change, const char* argument) {
    GemvPolicy policy = good;
    change(policy);
    const reset::Status status = validate(policy, problem, device_of(90));
    CHECK(status.code() == reset::StatusCode::kInvalidArgument);
    CHECK(std::string(status.argument()) == argument);
  };
  refused([](GemvPolicy& p) { p.tokens = 0; }, "policy.tokens");
  refused([](GemvPolicy& p) { p.tokens = 3; }, "policy.tokens");
  refused([](GemvPolicy& p) { p.tokens = 2; }, "policy.kernel");
  refused([](GemvPolicy& p) { p.kernel = static_cast<GemvKernel>(9); }, "policy.kernel");
  refused([](GemvPolicy& p) { p.chunks = 4; }, "policy.chunks");
  refused([](GemvPolicy& p) { p.warps_per_group = 3; }, "policy.warps_per_group");
  refused([](GemvPolicy& p) { p.groups = 0; }, "policy.groups");
  refused([](GemvPolicy& p) { p.groups = 5; }, "policy.groups");
  refused([](GemvPolicy& p) { p.stages = p.groups + 1; }, "policy.stages");
  refused([](GemvPolicy& p) { p.ctas_per_sm = 0; }, "policy.ctas_per_sm");
  refused([](GemvPolicy& p) { p = reset::general_policy(1, 64), p.slices = 3; }, "policy.slices");
}
