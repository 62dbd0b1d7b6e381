/// @file
/// What a CTA of the kernel that samples knows, and its shared memory.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/sampler/detail/device_block.cuh>
#include <reset/sampler/detail/device_memory.hpp>
#include <reset/sampler/detail/device_pass.cuh>
#include <reset/sampler/detail/device_row.cuh>
#include <reset/sampler/detail/device_select.cuh>
#include <reset/sampler/detail/device_statistics.cuh>
#include <reset/sampler/detail/device_tail_room.cuh>
#include <reset/sampler/device_sampler.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

/// What a kernel knows of its sampler.
template <class Detector>
struct SamplerView {
  SamplerMemory<typename Detector::State> memory;
  Detector detector;
  std::int32_t vocabulary;
  std::int64_t row_stride;
  std::int32_t slots;
  std::int32_t rows_per_slot;
  bool rank;
};

/// The shared memory of a CTA.
template <class DetectorState>
struct SampleRoom {
  using Slot = DeviceSlot<DetectorState>;
  static_assert(sizeof(Slot) % 4 == 0, "slots are copied word by word");
  static constexpr int kSlotWords = static_cast<int>(sizeof(Slot) / 4);

  // Not a Slot itself: shared memory has no constructors.
  alignas(16) std::uint32_t slot_words[kSlotWords];
  alignas(16) std::uint32_t result_words[sizeof(SampledToken) / 4];
  ReductionRoom reduction;
  ChunkRoom chunks;
  ListRoom list;
  TargetRule target;
  TailRoom tail;
  BestRoom best;
  alignas(8) std::uint32_t means_words[sizeof(HistoryMeans) / 4];
  GroupRoom groups[kSamplerWarps];
  unsigned long long places;  // that a row of the slot has
  std::uint32_t call;         // of the row
  std::int32_t order[kMaxRowsPerSlot];
  RowEnd ends[kMaxRowsPerSlot];  // in this order
  std::int32_t flag;

  __device__ __forceinline__ Slot& slot() { return *reinterpret_cast<Slot*>(slot_words); }
  __device__ __forceinline__ HistoryMeans& means() { return *reinterpret_cast<HistoryMeans*>(means_words); }
  __device__ __forceinline__ SampledToken& result() { return *reinterpret_cast<SampledToken*>(result_words); }
};

static __device__ __forceinline__ void copy_words(std::uint32_t* to, const std::uint32_t* from, int count) {
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kSamplerThreads) to[i] = from[i];
}

/// Counts the entropy of a committed row. Out of line: where a slot's sketch is would be kept in registers.
static __device__ __noinline__ void count_entropy(SlotQuantiles quantiles, std::int64_t slot, float entropy) {
  if (quantiles.data != nullptr) quantiles.data[quantiles.per_slot ? slot : 0].add_shared(entropy);
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
