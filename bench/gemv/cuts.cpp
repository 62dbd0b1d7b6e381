#include "cuts.hpp"

#include <algorithm>
#include <cstdio>

#include "launcher.hpp"

namespace bench {

using reset::GemvKernel;
using reset::GemvPolicy;

namespace {

// Exclusive, and where `bytes` leave room for a CTA of the next launch, not so as well.
void add_exclusive_or_not(const reset::DeviceInfo& device, GemvPolicy policy, std::int64_t bytes,
                          std::vector<GemvPolicy>& cuts) {
  cuts.push_back(policy);
  policy.exclusive = false;
  if (bytes <= reset::detail::shared_bytes_each(device, policy.ctas_per_sm + 1)) cuts.push_back(policy);
}

// As many stages as fit each of `shared_bytes`.
void add_stages(const reset::DeviceInfo& device, GemvPolicy policy, std::int64_t tiles,
                const std::vector<std::int64_t>& shared_bytes, std::vector<GemvPolicy>& cuts) {
  int before = 0;
  for (const std::int64_t bytes : shared_bytes) {
    policy.stages = reset::detail::most_stages(policy, tiles, bytes);
    const bool is_new = policy.stages > 0 && policy.stages != before;
    if (is_new) add_exclusive_or_not(device, policy, reset::tensor_shared_bytes(policy, tiles), cuts);
    before = policy.stages;
  }
}

// Of aligned rows or of odd ones. Of several CTAs a multiprocessor each has up to its share of the shared memory.
void add_tensor_ring_cuts(const reset::DeviceInfo& device, const CutShape& shape, int most_groups,
                          const std::vector<std::int64_t>& shared_bytes, bool odd, std::vector<GemvPolicy>& cuts) {
  const std::int64_t runs = reset::detail::output_runs(shape.n, shape.gated);
  const int units = reset::detail::k_units(shape.k);
  for (const int cluster : {1, 2, 4, 8}) {
    const std::int64_t clusters = reset::resident_clusters(device, cluster);
    if (clusters == 0) continue;
    for (int ctas = 1; ctas <= 3; ++ctas) {
      std::vector<std::int64_t> bytes = shared_bytes;
      for (std::int64_t& each : bytes) each = std::min(each, reset::detail::shared_bytes_each(device, ctas));
      for (int groups = 1; groups <= (ctas == 1 ? most_groups : 2); ++groups) {
        GemvPolicy policy;
        policy.kernel = GemvKernel::kTensorRing;
        policy.odd_rows = odd;
        policy.tokens = reset::detail::tensor_tokens(shape.m);
        policy.ctas_per_sm = ctas;
        policy.cluster = policy.slices = cluster;
        policy.k_warps = (units + cluster - 1) / cluster;
        policy.row_groups = groups;
        if (policy.k_warps * groups < 4) continue;
        add_stages(device, policy, reset::detail::share_tiles(runs, shape.gated, clusters * ctas), bytes, cuts);
      }
    }
  }
}

}  // namespace

std::vector<GemvPolicy> tensor_ring_cuts(const reset::DeviceInfo& device, const CutShape& shape, int most_groups,
                                         const std::vector<std::int64_t>& shared_bytes) {
  std::vector<GemvPolicy> cuts;
  if (shape.k % 64 == 0) add_tensor_ring_cuts(device, shape, most_groups, shared_bytes, false, cuts);
  if (shape.k % 256 != 0) add_tensor_ring_cuts(device, shape, most_groups, shared_bytes, true, cuts);
  return cuts;
}

std::vector<GemvPolicy> ring_cuts(const reset::DeviceInfo& device, const CutShape& shape,
                                  reset::ActivationType activation) {
  std::vector<GemvPolicy> cuts;
  const GemvPolicy good = reset::ring_policy(device, activation, shape.m, shape.k);
  if (good.stages == 0) return cuts;
  for (const int chunks : {1, 2, 3}) {
    for (int groups = 1; groups <= 16; ++groups) {
      for (int stages = groups; stages <= 16; stages += groups) {
        for (const int ctas : {1, 2}) {
          GemvPolicy policy = good;
          policy.chunks = chunks;
          policy.warps_per_group = static_cast<int>((shape.k + 1024 * chunks - 1) / (1024 * chunks));
          policy.groups = groups;
          policy.stages = stages;
          policy.ctas_per_sm = ctas;
          if (policy.warps_per_group * groups < 6) continue;
          add_exclusive_or_not(
              device, policy, reset::ring_shared_bytes(policy, activation, shape.k, reset::ScaleLayout::kLinear), cuts);
        }
      }
    }
  }
  return cuts;
}

std::string text_of(const GemvPolicy& p) {
  char line[128];
  if (p.kernel == GemvKernel::kRing) {
    std::snprintf(line, sizeof line, "ring chunks %d warps %d groups %d stages %d ctas %d%s", p.chunks,
                  p.warps_per_group, p.groups, p.stages, p.ctas_per_sm, p.exclusive ? "" : " shared");
  } else {
    std::snprintf(line, sizeof line, "%s cluster %d k_warps %d groups %d slices %d stages %d ctas %d%s%s",
                  name_of(p.kernel), p.cluster, p.k_warps, p.row_groups, p.slices, p.stages, p.ctas_per_sm,
                  p.exclusive ? "" : " shared", p.odd_rows ? " odd" : "");
  }
  return line;
}

}  // namespace bench
