// The cuts that a call of the mat-vec can have, and their names in results.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <reset/gemv/policy.hpp>

namespace bench {

// Shapes of one call. `gated`: the rows are two halves, of which one result is made.
struct CutShape {
  std::int64_t n = 0;
  std::int64_t k = 0;
  std::int64_t m = 1;
  bool gated = false;
};

// Of kTensorRing, with odd rows where K is no multiple of 256, and without where it is one of 64, with up to
// `most_groups` groups of warps; as many stages as fit each of `shared_bytes`.
std::vector<reset::GemvPolicy> tensor_ring_cuts(const reset::DeviceInfo& device, const CutShape& shape, int most_groups,
                                                const std::vector<std::int64_t>& shared_bytes);

// Of kRing, with any number of stages; none where it does not serve the call.
std::vector<reset::GemvPolicy> ring_cuts(const reset::DeviceInfo& device, const CutShape& shape,
                                         reset::ActivationType activation);

std::string text_of(const reset::GemvPolicy& policy);

}  // namespace bench
