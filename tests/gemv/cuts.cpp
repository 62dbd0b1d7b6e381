// The cuts that are chosen are those that were fastest, and keep to the device.
#include <cstdint>
#include <tuple>
#include <utility>

#include "gemv/device_fixture.hpp"
#include "gemv/policy_fixture.hpp"
#include "gemv/problem_fixture.hpp"
#include "support/catch.hpp"

#include <reset/gemv/policy.hpp>

using reset::ActivationType;
using reset::DeviceInfo;
using reset::GemvAhead;
using reset::GemvKernel;
using reset::GemvPolicy;
using reset::GemvProblem;

namespace {

// A call of 16-bit activations and the cut of kTensorRing that it gets.
struct CutCall {
  std::int64_t m, n, k;
  int cluster, k_warps, row_groups, stages;
  int ctas = 1;
  bool exclusive = true;
};

void check_cut(const DeviceInfo& device, const CutCall& call, GemvAhead ahead = GemvAhead::kAny) {
  const GemvProblem problem = well_formed(ActivationType::kBf16, call.m, call.n, call.k);
  const GemvPolicy policy = reset::select_gemv_policy(device, problem, ahead);
  INFO("m " << call.m << " n " << call.n << " k " << call.k);
  CHECK(policy.kernel == GemvKernel::kTensorRing);
  CHECK(policy.cluster == call.cluster);
  CHECK(policy.k_warps == call.k_warps);
  CHECK(policy.row_groups == call.row_groups);
  CHECK(policy.stages == call.stages);
  CHECK(policy.ctas_per_sm == call.ctas);
  CHECK(policy.exclusive == call.exclusive);
}

}  // namespace

TEST_CASE("on an H100 the selector keeps to the cuts that its rules were made for") {
  // Layers of Qwen3-8B, 14B and 32B, R1-Distill-Qwen-7B and 14B, by their K, and odd ones.
  const CutCall calls[] = {
      {1, 3584, 3584, 2, 7, 2, 6},      {1, 4608, 3584, 2, 7, 2, 6},           {1, 18944, 3584, 2, 7, 1, 4, 3},
      {1, 37888, 3584, 2, 7, 1, 5, 2},  {8, 3584, 3584, 2, 7, 1, 7},           {4, 4608, 3584, 2, 7, 2, 4},
      {8, 18944, 3584, 2, 7, 1, 3, 3},  {2, 37888, 3584, 2, 7, 1, 3, 3},       {16, 4608, 3584, 2, 7, 1, 5},
      {16, 37888, 3584, 2, 7, 1, 4, 2}, {1, 4096, 4096, 2, 8, 1, 5, 1, false}, {1, 6144, 4096, 2, 8, 2, 4},
      {1, 12288, 4096, 2, 8, 1, 5, 2},  {8, 4096, 4096, 2, 8, 1, 4},           {8, 6144, 4096, 2, 8, 1, 4, 2},
      {2, 12288, 4096, 2, 8, 1, 4, 2},  {8, 24576, 4096, 2, 8, 1, 4, 2},       {16, 4096, 4096, 2, 8, 1, 6},
      {16, 6144, 4096, 2, 8, 1, 4},     {1, 5120, 5120, 2, 10, 1, 4},          {1, 7168, 5120, 4, 5, 2, 8, 2},
      {1, 10240, 5120, 2, 10, 1, 4, 2}, {1, 13824, 5120, 2, 10, 1, 4, 2},      {4, 5120, 5120, 2, 10, 1, 4},
      {8, 7168, 5120, 4, 5, 3, 15},     {8, 10240, 5120, 2, 10, 1, 3, 2},      {4, 17408, 5120, 4, 5, 2, 6, 2},
      {4, 34816, 5120, 2, 10, 2, 6},    {8, 51200, 5120, 4, 5, 2, 12},         {8, 151936, 5120, 2, 10, 2, 4},
      {16, 5120, 5120, 2, 10, 1, 8},    {16, 7168, 5120, 4, 5, 3, 12},         {16, 8192, 5120, 4, 5, 3, 12},
      {16, 10240, 5120, 4, 5, 3, 12},   {16, 17408, 5120, 4, 5, 3, 12},        {16, 34816, 5120, 4, 5, 3, 9},
      {1, 5120, 8192, 4, 8, 1, 5, 2},   {4, 5120, 8192, 4, 8, 1, 6},           {1, 4096, 12288, 4, 12, 1, 3, 2},
      {8, 4096, 12288, 8, 6, 2, 6},     {16, 4096, 12288, 8, 6, 2, 12},        {1, 5120, 13824, 8, 7, 2, 6},
      {8, 5120, 13824, 8, 7, 1, 5},     {16, 5120, 13824, 8, 7, 2, 10},        {1, 5120, 17408, 8, 9, 1, 5, 2},
      {4, 5120, 17408, 8, 9, 2, 6},     {1, 3584, 18944, 8, 10, 1, 5},         {4, 3584, 18944, 8, 10, 1, 4},
      {16, 3584, 18944, 8, 10, 1, 4},   {1, 5120, 25600, 8, 13, 1, 4},         {8, 5120, 25600, 8, 13, 1, 4},
      {16, 5120, 25600, 8, 13, 1, 5},   {1, 1000, 4112, 2, 9, 1, 6},           {8, 1000, 4112, 2, 9, 1, 4},
      {16, 1000, 4112, 2, 9, 1, 3},     {8, 5119, 1856, 1, 8, 1, 4},           {16, 5119, 1856, 1, 8, 1, 4}};
  for (const CutCall& call : calls) check_cut(device_of(90), call);
}

TEST_CASE("behind its like, a call on an H100 leaves room for the next where its weights come early") {
  // Output and QKV projections, the smaller ones, and an odd one with few rows.
  const CutCall calls[] = {{1, 3584, 3584, 2, 7, 1, 6, 1, false},
                           {8, 3584, 3584, 2, 7, 1, 5, 1, false},
                           {16, 3584, 3584, 2, 7, 1, 5, 1, false},
                           {4, 4608, 3584, 2, 7, 1, 5, 1, false},
                           {1, 4096, 4096, 2, 8, 1, 5, 1, false},
                           {8, 4096, 4096, 2, 8, 1, 4, 1, false},
                           {1, 6144, 4096, 2, 8, 1, 5, 1, false},
                           {1, 5120, 5120, 2, 10, 1, 4, 1, false},
                           {1, 1000, 4112, 2, 9, 1, 4, 1, false},
                           {8, 1000, 4112, 2, 9, 1, 4, 1, false},
                           {1, 5119, 1856, 1, 8, 1, 5, 1, false},
                           {8, 5119, 1856, 1, 8, 1, 4, 1, false},
                           // Weights that would not come early: cuts that steps do not want.
                           {8, 5120, 5120, 4, 5, 3, 15},
                           {8, 7168, 5120, 2, 10, 2, 6},
                           {4, 25600, 5120, 2, 10, 1, 3, 2},
                           {4, 5120, 8192, 4, 8, 1, 4, 2},
                           {1, 5120, 8192, 4, 8, 1, 3, 3},
                           {1, 5120, 17408, 8, 9, 2, 10},
                           {1, 37888, 3584, 2, 7, 1, 4, 3},
                           {16, 24576, 4096, 4, 4, 1, 4, 3},
                           // As behind any kernel: registers do not hold two CTAs, or rows are too many.
                           {16, 4096, 4096, 2, 8, 1, 6},
                           {8, 6144, 4096, 2, 8, 1, 4, 2},
                           {1, 7168, 5120, 4, 5, 2, 8, 2},
                           {8, 24576, 4096, 2, 8, 1, 4, 2},
                           {8, 4096, 12288, 8, 6, 2, 6}};
  for (const CutCall& call : calls) check_cut(device_of(90), call, GemvAhead::kAlike);
}

TEST_CASE("behind its like, a call on an H200 does so where less of its weights comes early") {
  const CutCall calls[] = {{8, 6144, 4096, 2, 8, 1, 4, 1, false},  {8, 5120, 5120, 2, 10, 1, 3, 1, false},
                           {8, 7168, 5120, 2, 10, 1, 3, 1, false}, {1, 7168, 5120, 2, 10, 1, 4, 1, false},
                           {1, 5120, 8192, 4, 8, 1, 3, 3},         {1, 4096, 12288, 4, 12, 1, 3, 2},
                           {1, 10240, 5120, 2, 10, 1, 4, 2},       {8, 12288, 4096, 2, 8, 1, 4, 2}};
  DeviceInfo device = device_of(90);
  device.memory_bandwidth = 4814;
  for (const CutCall& call : calls) check_cut(device, call, GemvAhead::kAlike);
  const auto of_ring = [&](std::int64_t n, std::int64_t k) {
    return reset::select_gemv_policy(device, well_formed(ActivationType::kNvfp4, 1, n, k), GemvAhead::kAlike);
  };
  CHECK(!of_ring(7168, 5120).exclusive);
  CHECK(!of_ring(5120, 8192).exclusive);
  CHECK(of_ring(10240, 5120).exclusive);
}

TEST_CASE("behind its like, a call of kRing has one CTA a multiprocessor in half the shared memory") {
  const auto selected = [](std::int64_t n, std::int64_t k) {
    return reset::select_gemv_policy(device_of(90), well_formed(ActivationType::kNvfp4, 1, n, k), GemvAhead::kAlike);
  };
  for (const auto& [n, k, stages] : {std::tuple{4096, 4096, 12}, {6144, 4096, 12}, {5120, 5120, 9}}) {
    const GemvPolicy policy = selected(n, k);
    INFO("n " << n << " k " << k);
    CHECK(policy.kernel == GemvKernel::kRing);
    CHECK(!policy.exclusive);
    CHECK(policy.ctas_per_sm == 1);
    CHECK(policy.groups == 3);
    CHECK(policy.stages == stages);
  }
  for (const auto& [n, k] : {std::pair{7168, 5120}, {12288, 4096}, {4096, 12288}}) CHECK(selected(n, k).exclusive);
}

TEST_CASE("where memory is fast, the tensor ring keeps to an H200's cuts") {
  // The gate and up, down, QKV and output projections of Qwen3-8B, 14B and 32B, R1-Distill-Qwen-7B and 14B, and others.
  const CutCall calls[] = {
      {1, 24576, 4096, 2, 8, 1, 3, 3},  {8, 24576, 4096, 2, 8, 1, 3, 2},  {1, 12288, 4096, 2, 8, 1, 3, 3},
      {1, 6144, 4096, 2, 8, 2, 4},      {8, 6144, 4096, 2, 8, 1, 4, 2},   {1, 4096, 4096, 4, 4, 1, 7, 2},
      {8, 4096, 4096, 2, 8, 1, 4},      {1, 151936, 4096, 2, 8, 1, 3, 3}, {1, 4096, 12288, 4, 12, 1, 4},
      {8, 4096, 12288, 4, 12, 1, 3},    {16, 4096, 12288, 8, 6, 2, 12},   {1, 37888, 3584, 2, 7, 1, 4, 3},
      {8, 37888, 3584, 2, 7, 1, 5, 2},  {8, 18944, 3584, 2, 7, 2, 10},    {16, 18944, 3584, 2, 7, 2, 10},
      {16, 37888, 3584, 2, 7, 2, 8},    {1, 5120, 5120, 2, 10, 1, 5},     {1, 7168, 5120, 2, 10, 1, 4, 2},
      {1, 10240, 5120, 2, 10, 1, 4, 2}, {8, 10240, 5120, 2, 10, 2, 6},    {8, 34816, 5120, 2, 10, 2, 6},
      {1, 51200, 5120, 2, 10, 2, 6},    {16, 7168, 5120, 4, 5, 3, 12},    {16, 51200, 5120, 2, 10, 1, 6},
      {1, 5120, 8192, 4, 8, 1, 5, 2},   {8, 5120, 8192, 2, 16, 1, 4},     {16, 5120, 13824, 8, 7, 2, 10},
      {1, 5120, 17408, 8, 9, 2, 6},     {1, 3584, 18944, 8, 10, 2, 6},    {8, 3584, 18944, 8, 10, 2, 6},
      {1, 5120, 25600, 8, 13, 2, 6},    {8, 5120, 25600, 8, 13, 1, 3},    {1, 512, 2560, 1, 10, 1, 4}};
  DeviceInfo device = device_of(90);
  device.memory_bandwidth = 4814;
  for (const CutCall& call : calls) check_cut(device, call);
}

TEST_CASE("a multiprocessor with little shared memory has one CTA of as many warps, where it has several elsewhere") {
  DeviceInfo device = device_of(90);
  device.shared_bytes = 99 * 1024;
  const GemvPolicy one = reset::tensor_ring_policy(device, 1, 24576, 4096);
  CHECK(one.ctas_per_sm == 1);
  CHECK(one.row_groups == 2);
  CHECK(one.stages == 4);
  CHECK(reset::ring_policy(device, ActivationType::kNvfp4, 1, 4096).ctas_per_sm == 1);
}

TEST_CASE("registers have room for the CTAs of a launch, and where they may be there for one of the next") {
  const auto check = [](const DeviceInfo& device, const GemvProblem& problem, GemvAhead ahead) {
    const GemvPolicy policy = reset::select_gemv_policy(device, problem, ahead);
    if (policy.kernel != GemvKernel::kTensorRing || policy.odd_rows) return;
    INFO("m " << problem.tokens << " n " << problem.weights.rows << " k " << problem.weights.cols);
    const bool words = reset::detail::scale_copies(shape_of(problem)) == reset::detail::ScaleCopies::kWords;
    const int registers = problem.tokens == 1 ? 72 : problem.tokens == 8 ? 80 : 128;
    const int ctas = policy.ctas_per_sm + (policy.exclusive ? 0 : 1);
    REQUIRE(ctas * reset::cta_threads(policy, words) * registers <= 65536);
  };
  for (const int bandwidth : {3352, 4814}) {
    DeviceInfo device = device_of(90);
    device.memory_bandwidth = bandwidth;
    for (std::int64_t k = 64; k <= 32768; k += 64) {
      for (const std::int64_t n : {512, 4096, 12288, 37888, 201088}) {
        for (const std::int64_t m : {1, 8, 16}) {
          GemvProblem problem = well_formed(ActivationType::kBf16, m, n, k);
          for (const GemvAhead ahead : {GemvAhead::kAny, GemvAhead::kAlike}) check(device, problem, ahead);
          problem.weights.block_scale.stride += 4;  // no multiple of 16, if it was one: scales come in words
          for (const GemvAhead ahead : {GemvAhead::kAny, GemvAhead::kAlike}) check(device, problem, ahead);
        }
      }
    }
  }
}

TEST_CASE("where a cut leaves room for the next launch, shared memory has it") {
  int rooms = 0;
  for (const int bandwidth : {3352, 4814}) {
    DeviceInfo device = device_of(90);
    device.memory_bandwidth = bandwidth;
    for (std::int64_t k = 256; k <= 8192; k += 256) {
      for (std::int64_t n = 512; n <= 12288; n += 512) {
        for (const ActivationType type : {ActivationType::kNvfp4, ActivationType::kBf16}) {
          for (const std::int64_t m : {1, 8, 16}) {
            const GemvProblem problem = well_formed(type, m, n, k);
            const GemvPolicy policy = reset::select_gemv_policy(device, problem, GemvAhead::kAlike);
            if (policy.exclusive) continue;
            INFO(bandwidth << " GB/s, m " << m << " n " << n << " k " << k);
            REQUIRE((policy.ctas_per_sm + 1) * (launched_bytes(policy, problem, device) + 1024) <= 228 * 1024);
            ++rooms;
          }
        }
      }
    }
  }
  CHECK(rooms > 1000);
}

TEST_CASE("as many CTAs of a ring fit a multiprocessor as the policy says, and no more") {
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
    const std::int64_t clusters =
        reset::tensor_clusters(policy, reset::aligned_shape(ActivationType::kBf16, m, n, k), device);
    const std::int64_t needed = reset::tensor_shared_bytes(
        policy, reset::detail::share_tiles(reset::detail::output_runs(n, false), false, clusters));
    const std::int64_t shared = reset::exclusive_shared_bytes(policy, device, needed);
    INFO(device.memory_bandwidth << " GB/s, m " << m << " n " << n << " k " << k);
    REQUIRE(shared >= needed);
    REQUIRE(shared <= device.shared_bytes);
    // The registers of which check_resources.py says that a kernel has no fewer, and those it has at most.
    const int most = policy.tokens == 1 ? 72 : policy.tokens == 8 ? 80 : 128;
    REQUIRE(reset::detail::tensor_ring_most_registers(policy.tokens) == most);
    const int fitting = policy.ctas_per_sm + (policy.exclusive ? 0 : 1);
    REQUIRE(fit(policy, shared, reset::detail::tensor_ring_registers(device.arch, policy.tokens)) == fitting);
    REQUIRE(fit(policy, shared, most) == fitting);
  };
  const auto check_ring = [&](ActivationType type, std::int64_t k, reset::ScaleLayout scales) {
    const GemvPolicy policy = reset::ring_policy(device_of(90), type, 1, k, scales);
    if (policy.stages == 0) return;
    const std::int64_t needed = reset::ring_shared_bytes(policy, type, k, scales);
    REQUIRE(fit(policy, reset::exclusive_shared_bytes(policy, device, needed), 0) == policy.ctas_per_sm);
  };
  for (std::int64_t k = 256; k <= 32768; k += 256) {
    for (const int bandwidth : {0, 4814}) {
      device.memory_bandwidth = bandwidth;
      for (const std::int64_t n : {512, 4096, 24576}) {
        for (const std::int64_t m : {1, 8, 16}) check_tensor_ring(m, n, k);
      }
    }
    check_ring(ActivationType::kNvfp4, k, reset::ScaleLayout::kLinear);
    check_ring(ActivationType::kNvfp4, k, reset::ScaleLayout::kSwizzled128x4);
    check_ring(ActivationType::kBf16, k, reset::ScaleLayout::kLinear);
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

TEST_CASE("many tokens are not held up by weights that all fit the ring") {
  DeviceInfo device = device_of(90);
  device.memory_bandwidth = 3352;
  const auto flight = [&](std::int64_t tokens, std::int64_t tiles, const GemvPolicy& policy) {
    return reset::detail::tensor_ring_flight(policy, device, tokens, tiles).first_lap;
  };
  GemvPolicy policy;
  policy.tokens = 16;
  policy.k_warps = 8;
  policy.stages = 6;
  CHECK(flight(16, 6, policy) == 1);
  CHECK(flight(9, 1, policy) == 1);
  CHECK(flight(16, 7, policy) == 2);
  CHECK(flight(8, 6, policy) == 2);
  CHECK(reset::detail::tensor_ring_flight(policy, device, 16, 6).later == 3);
  policy.k_warps = 5;
  CHECK(flight(16, 6, policy) == 3);
  policy.k_warps = 8;
  device.memory_bandwidth = 0;
  CHECK(flight(16, 6, policy) == 6);
  device.memory_bandwidth = 4814;
  CHECK(flight(16, 6, policy) == 2);
}

TEST_CASE("the threads of a ring cover K, and a multiprocessor's memory holds its CTAs") {
  using reset::ScaleLayout;
  const auto check = [](int arch, ActivationType type, std::int64_t k, ScaleLayout scales) {
    const GemvPolicy policy = reset::ring_policy(device_of(arch), type, 1, k, scales);
    INFO("arch " << arch << " k " << k << " scales " << static_cast<int>(scales));
    const bool dense = type == ActivationType::kFp16;
    const bool linear = scales == ScaleLayout::kLinear;
    const bool served = dense ? linear && k <= 8192 : linear ? k <= 40960 : k <= 32768 && k % 512 == 0;
    REQUIRE((policy.stages > 0) == served);
    if (policy.stages == 0) return;
    REQUIRE(std::int64_t{1024} * policy.chunks * policy.warps_per_group >= k);
    REQUIRE(policy.warps_per_group <= reset::detail::ring_max_group(policy.chunks));
    REQUIRE(reset::cta_threads(policy) <= reset::detail::ring_max_threads(policy.chunks, dense));
    REQUIRE(policy.stages >= (policy.chunks < 3 ? 1 : 2));
    const std::int64_t each = reset::ring_shared_bytes(policy, type, k, scales) + 1024;
    REQUIRE(policy.ctas_per_sm * each <= (arch == 120 ? 100 : 228) * 1024);
  };
  for (const int arch : {90, 100, 120}) {
    for (std::int64_t k = 256; k <= 43008; k += 256) {
      for (const ScaleLayout scales : {ScaleLayout::kLinear, ScaleLayout::kSwizzled128x4}) {
        check(arch, ActivationType::kFp16, k, scales);
        check(arch, ActivationType::kNvfp4, k, scales);
      }
    }
  }
  CHECK(reset::ring_policy(device_of(90), ActivationType::kNvfp4, 2, 4096).stages == 0);
  CHECK(reset::ring_policy(device_of(89), ActivationType::kNvfp4, 1, 4096).stages == 0);
  CHECK(reset::ring_policy(device_of(89), ActivationType::kBf16, 1, 4096).stages == 0);
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
