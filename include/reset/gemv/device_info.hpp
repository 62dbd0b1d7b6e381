/// @file
/// What the mat-vec is told of a device.
#pragma once

#include <reset/config.hpp>

RESET_NAMESPACE_BEGIN

/// What the engine knows of a device: `gemv_prepare` fills it, once a device, and every launch takes it.
struct DeviceInfo {
  int device = 0;        ///< The ordinal.
  int arch = 0;          ///< The target that the kernels run as were compiled for, ten times its version: 90 for sm_90.
  int sm_count = 0;      ///< Multiprocessors.
  int shared_bytes = 0;  ///< Shared memory that one CTA can have, if it opts in.
  /// Clusters of 2, 4 and 8 CTAs that run at once, one CTA a multiprocessor; 0 below sm_90.
  int clusters[3] = {0, 0, 0};
  void* encode_tensor_map = nullptr;  ///< The driver's cuTensorMapEncodeTiled, for kTensorRing, and for kRing where
                                      ///< block scales are swizzled.
  int memory_bandwidth = 0;           ///< Of its memory, in GB/s, by clock and width of the bus; 0: unknown, or
                                      ///< below sm_90.
};

/// Clusters of 1, 2, 4 or 8 CTAs, one a multiprocessor, that a device runs at once; 0 for other sizes.
constexpr int resident_clusters(const DeviceInfo& device, int size) noexcept {
  return size == 1   ? device.sm_count
         : size == 2 ? device.clusters[0]
         : size == 4 ? device.clusters[1]
         : size == 8 ? device.clusters[2]
                     : 0;
}

RESET_NAMESPACE_END
