// Policies that the selector would not choose: every path of the tensor-core kernels.
#include <algorithm>
#include <cstdio>
#include <vector>

#include "gemv/device/case.hpp"
#include "gemv/device/launcher.hpp"
#include "gemv/device/pinned_runs.hpp"
#include "gemv/device/samples.hpp"
#include "gemv/device/tests.hpp"

namespace {

using reset::ActivationType;
using reset::GemvGate;
using reset::GemvKernel;
using reset::GemvPolicy;
using reset::OutputType;

// Every cut of K in four ways with and without an idle warp, one to three groups of warps, and rows in boxes or one by
// one.
std::vector<GemvPolicy> policies(std::int64_t k, std::int64_t tokens) {
  std::vector<GemvPolicy> list;
  const auto units = static_cast<int>((k + 255) / 256);
  for (const GemvKernel kernel : {GemvKernel::kTensor, GemvKernel::kTensorRing}) {
    for (const int cut : {1, 2, 3, 4, 8}) {
      for (int groups = 1; groups <= 3; ++groups) {
        for (int laps = 1; laps <= (kernel == GemvKernel::kTensorRing ? 4 : 1); laps *= 2) {
          for (int choice = 0; choice < (kernel == GemvKernel::kTensorRing ? 4 : 2); ++choice) {
            const int idle = choice % 2;
            GemvPolicy policy;
            policy.kernel = kernel;
            policy.tokens = tokens <= 8 && (cut + groups + idle) % 4 != 0 ? 8 : 16;
            if (tokens == 1 && (groups + laps + idle) % 3 != 0) policy.tokens = 1;
            policy.slices = cut;
            policy.cluster = kernel == GemvKernel::kTensor ? 1 : cut;
            policy.k_warps = (units + cut - 1) / cut + idle;
            policy.row_groups = groups;
            policy.odd_rows = choice / 2 == 1;
            policy.stages = groups * laps;
            if (kernel == GemvKernel::kTensorRing) policy.ctas_per_sm = 1 + (laps + choice) % 3;
            policy.exclusive = (groups + laps) % 2 == 0;
            list.push_back(policy);
          }
        }
      }
    }
  }
  return list;
}

// kRing with every number of chunks, one to three groups of warps with and without one that idles, and stages for one
// lap of the groups or for several.
std::vector<GemvPolicy> ring_policies(std::int64_t k) {
  std::vector<GemvPolicy> list;
  for (const int chunks : {1, 2, 3}) {
    for (int groups = 1; groups <= 3; ++groups) {
      for (const int laps : {1, 2, 4}) {
        GemvPolicy policy;
        policy.kernel = GemvKernel::kRing;
        policy.tokens = 1;
        policy.chunks = chunks;
        policy.warps_per_group = static_cast<int>((k + 1024 * chunks - 1) / (1024 * chunks)) + groups % 2;
        policy.groups = groups;
        policy.stages = groups * laps;
        policy.ctas_per_sm = 1 + laps % 2;
        policy.exclusive = groups != 2;
        list.push_back(policy);
      }
    }
  }
  return list;
}

struct Sweep {
  int runs[2][9] = {};        // of the tensor-core kernels, by kernel and slices
  int by_tokens[2][17] = {};  // the same, by kernel and the tokens that it is compiled for
  int odd[17] = {};           // of those of kTensorRing the ones with odd rows
  int rings[4][3] = {};       // of kRing, by chunks and gate
  int spread_rings[4] = {};   // of these the ones with block scales in boxes, by chunks,
  int dense_rings = 0;        // and those of 16-bit activations
  int crowded[2] = {0, 0};    // of those for 16 tokens, by ring: CTAs have fewer threads than results
  PinnedRuns pinned{run};

  void run_all(const CaseOptions& options, const reset::DeviceInfo& device, int step) {
    Case call(options, device);
    const std::vector<GemvPolicy> list = policies(options.k, options.m);
    for (std::size_t i = static_cast<std::size_t>(options.seed) % static_cast<std::size_t>(step); i < list.size();
         i += static_cast<std::size_t>(step)) {
      if (validate(list[i], call.problem(), device).ok()) run_one(call, list[i], device);
    }
  }

  void run_rings(const CaseOptions& options, const reset::DeviceInfo& device) {
    Case call(options, device);
    for (const GemvPolicy& policy : ring_policies(options.k)) {
      if (!validate(policy, call.problem(), device).ok()) continue;
      pinned.run(call, policy, device);
      ++rings[policy.chunks][static_cast<std::size_t>(options.gate)];
      const bool dense = options.activation != ActivationType::kNvfp4;
      if (dense) ++dense_rings;
      if (!dense && options.layout == reset::ScaleLayout::kSwizzled128x4) ++spread_rings[policy.chunks];
    }
  }

  void run_one(Case& call, const GemvPolicy& policy, const reset::DeviceInfo& device) {
    pinned.run(call, policy, device);
    const bool ring = policy.kernel == GemvKernel::kTensorRing;
    ++runs[ring][policy.slices];
    ++by_tokens[ring][policy.tokens];
    if (policy.odd_rows) ++odd[policy.tokens];
    const reset::GemvShape shape = shape_of(call.problem());
    const bool words =
        ring && !policy.odd_rows && reset::detail::scale_copies(shape) == reset::detail::ScaleCopies::kWords;
    const std::int64_t ctas = tensor_clusters(policy, shape, device) * policy.cluster;
    const std::int64_t results = result_columns(call.problem()) * call.options().m;
    if (policy.tokens == 16 && results > ctas * cta_threads(policy, words)) ++crowded[ring];
  }

  // Nothing may have been left out silently.
  int missing(const reset::DeviceInfo& device) const {
    int count = 0;
    for (const int slices : {1, 2, 3, 4, 8}) {
      count += runs[0][slices] == 0;
      count += device.arch >= 90 && slices != 3 && runs[1][slices] == 0;
    }
    for (const int tokens : {1, 8, 16}) {
      count += by_tokens[0][tokens] == 0;
      count += device.arch >= 90 && (odd[tokens] == 0 || odd[tokens] == by_tokens[1][tokens]);
    }
    for (const int chunks : {1, 2, 3}) {
      for (int gate = 0; gate < 3; ++gate) count += device.arch >= 90 && rings[chunks][gate] < 5;
      count += device.arch >= 90 && spread_rings[chunks] < 5;
    }
    count += device.arch >= 90 && dense_rings < 5;
    count += crowded[0] < 5 || (device.arch >= 90 && crowded[1] < 5);
    if (count > 0) std::printf("FAILED: %d kinds of policies were not run\n", count);
    return count;
  }
};

// What kRing serves: with and without a gate, rows without gaps and with them, swizzled scales in boxes and not.
void sweep_rings(Sweep& sweep, const std::vector<reset::DeviceInfo>& devices, bool reduced) {
  const std::int64_t shapes[][2] = {{258, 2048}, {130, 4352}, {1000, 3328}, {512, 2560}, {70, 12288}, {384, 12800}};
  unsigned turn = 0;
  for (const auto& shape : shapes) {
    for (const GemvGate gate : {GemvGate::kNone, GemvGate::kGateUp, GemvGate::kUpGate}) {
      for (const reset::DeviceInfo& device : devices) {
        CaseOptions options;
        options.n = shape[0];
        options.k = shape[1];
        options.gate = gate;
        options.seed = ++turn + 900;
        options.slack = turn % 2 == 0 ? 16 : 0;
        options.x_block_origin = turn % 3 == 0 ? 1 : 0;
        options.parts = 1 + static_cast<int>(turn % 3);
        if (options.n % 128 == 0 && gate == GemvGate::kNone) options.layout = reset::ScaleLayout::kSwizzled128x4;
        if (reduced && options.n * options.k >= 1400000) continue;
        sweep.run_rings(options, device);
        options.layout = reset::ScaleLayout::kLinear;
        options.activation = turn % 2 == 0 ? ActivationType::kBf16 : ActivationType::kFp16;
        sweep.run_rings(options, device);
      }
    }
  }
}

}  // namespace

int test_policies(const reset::DeviceInfo& device, bool reduced) {
  // On few multiprocessors each CTA has many tiles: the rings and the slots of sums go round several times, and their
  // producers wait for what is on its way; with slow memory besides they have one stage on its way at a time.
  const reset::DeviceInfo few = with_few_multiprocessors(device);
  reset::DeviceInfo slow = few;
  slow.memory_bandwidth = 1;
  // 11 and 17 units of K leave warps idle; 40 rows are fewer tiles than CTAs of a cluster; 272, 4112 and 2880 end in a
  // unit, the last of them as kTensorRing takes it, too. 256 rows have swizzled scales, which come in boxes.
  const std::int64_t shapes[][2] = {{1000, 2816}, {40, 2048},  {130, 272},  {258, 4352},
                                    {126, 4112},  {130, 2880}, {256, 2880}, {256, 4352}};
  Sweep sweep;
  // Two and four tokens are stored at a time: whatever is left of them.
  const std::int64_t tokens[2][5] = {{1, 5, 8, 9, 16}, {1, 6, 8, 11, 14}};
  unsigned turn = 0;
  for (const auto& shape : shapes) {
    for (const std::int64_t m : tokens[turn / 15 % 2]) {
      for (const ActivationType activation : {ActivationType::kNvfp4, ActivationType::kFp16, ActivationType::kBf16}) {
        CaseOptions options;
        options.n = reduced ? std::min<std::int64_t>(shape[0], 130) : shape[0];
        options.k = shape[1];
        options.m = m;
        options.activation = activation;
        options.seed = ++turn;
        options.residual = turn / 3 % 3 == 0   ? Residual::kNone
                           : turn / 3 % 3 == 1 ? Residual::kApart
                                               : Residual::kInPlace;
        options.bias = turn / 2 % 3 == 1;
        if (turn % 2 == 0) options.gate = turn % 4 == 0 ? GemvGate::kGateUp : GemvGate::kUpGate;
        // Sevens, so that in time they meet each number of tokens, which come in fifteens with their types.
        if (turn % 7 == 4 || turn % 7 == 6 || options.n == 256) options.layout = reset::ScaleLayout::kSwizzled128x4;
        if (turn % 7 == 0) options.misalignment = 4;
        if (turn % 7 == 2) options.x_misalignment = 1 << turn / 7 % 4;
        sweep.run_all(options, turn % 3 == 0 ? device : turn % 3 == 1 ? few : slow, reduced ? 29 : 1);
        options.layout = reset::ScaleLayout::kLinear;
        options.output = turn % 2 == 0 ? OutputType::kFp16 : OutputType::kBf16;
        // What of odd rows lies beside the pieces that are copied.
        options.misalignment = turn % 4 == 1 ? 8 : 0;
        options.row_origin = turn % 3 == 1 ? 37 : 0;
        options.block_origin = turn % 5 == 2 ? 3 : 0;
        if (!reduced) sweep.run_all(options, turn % 3 == 0 ? few : device, 3);
      }
    }
  }
  sweep_rings(sweep, {device, few, slow}, reduced);
  int total[3] = {0, 0, 0};
  for (const auto& chunks : sweep.rings) {
    for (const int runs : chunks) total[2] += runs;
  }
  for (int kernel = 0; kernel < 2; ++kernel) {
    for (const int runs : sweep.runs[kernel]) total[kernel] += runs;
  }
  std::printf(
      "policies: %d runs of kTensor, %d of kTensorRing, %d of kRing, %d failures, worst error %.2f of its bound\n",
      total[0], total[1], total[2], sweep.pinned.failures, sweep.pinned.worst);
  return sweep.pinned.failures + sweep.missing(device);
}
