// How fast the device can read at all.
#pragma once

#include <cstddef>

#include "kernels.hpp"
#include "timing.hpp"

namespace bench {

// TB/s of the floor's kernel over the 1 GiB at `data`: the asymptote of the floor for large layers.
inline double read_rate(const void* data, unsigned* sink, int sm_count, cudaStream_t stream) {
  constexpr std::size_t kBytes = std::size_t{1} << 30;
  const double time = microseconds(stream, [&](int) { read_only(data, kBytes, sink, sm_count, stream); }, {8, 15});
  return static_cast<double>(kBytes) / time * 1e-6;
}

}  // namespace bench
