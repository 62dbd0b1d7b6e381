/// @file
/// The rows of a call that are of one slot, by their positions.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/sampler/detail/device_block.cuh>
#include <reset/sampler/detail/device_sample_room.cuh>
#include <reset/sampler/device_sampler.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

/// The absolute position of a row: its own, or by the slot's counter.
static __device__ __forceinline__ std::int64_t resolve_position(std::int64_t position, std::int64_t next) {
  if (position >= 0 || position < kNextPosition - kMaxRowsPerSlot) return position;
  const std::int64_t ahead = kNextPosition - position;
  return next > kMaxPosition - ahead ? kMaxPosition + 1 : next + ahead;  // beyond the last is refused
}

static __device__ __forceinline__ bool is_position(std::int64_t position) {
  return position >= 0 && position <= kMaxPosition;
}

/// The rows of one slot in a call.
struct SlotRows {
  std::int64_t first;  // the lowest position
  std::int32_t count;  // 0: they are not a run of consecutive positions, or too many, or hold a token that is none
};

static __device__ __forceinline__ SlotRows shuffle_xor(const SlotRows& rows, int distance) {
  return {shuffle_xor(rows.first, distance), shuffle_xor(rows.count, distance)};
}

/// Finds the rows of `slot` and puts them into `order` by position. All CTAs of the slot come to the same verdict.
template <class Detector, class T>
static __device__ __noinline__ SlotRows find_rows(const SamplerView<Detector>& view, const SamplerCall<T>& call,
                                                  std::int32_t slot, std::int64_t next,
                                                  SampleRoom<typename Detector::State>& room) {
  const int self = static_cast<int>(threadIdx.x);
  SlotRows rows{kMaxPosition, 0};
  for (int r = self; r < call.count; r += kSamplerThreads) {
    if (call.rows[r].slot != slot) continue;
    const std::int64_t position = resolve_position(call.rows[r].position, next);
    rows.first = position < rows.first ? position : rows.first;
    ++rows.count;
  }
  rows = block_reduce(
      rows,
      [](const SlotRows& a, const SlotRows& b) {
        return SlotRows{a.first < b.first ? a.first : b.first, a.count + b.count};
      },
      room.reduction);
  bool bad = rows.first < 0 || rows.count > view.rows_per_slot || rows.first > kMaxPosition - rows.count + 1;
  if (self == 0) room.places = 0;
  __syncthreads();
  for (int r = self; r < call.count && !bad; r += kSamplerThreads) {
    const SamplerRow row = call.rows[r];
    if (row.slot != slot) continue;
    const std::int64_t place = resolve_position(row.position, next) - rows.first;
    if (place >= rows.count) {
      bad = true;
      break;
    }
    bad = (atomicOr(&room.places, 1ull << place) >> place & 1) != 0 ||
          (place > 0 && (row.token < kPlaceholderToken || row.token >= view.vocabulary));
    if (!bad) room.order[place] = r;  // two that claim one place do not write both
  }
  if (__syncthreads_or(bad ? 1 : 0) != 0) rows.count = 0;
  return rows;
}

/// The same for the row `index` where no other is of its slot.
template <class Room>
static __device__ __forceinline__ SlotRows only_row(std::int32_t index, std::int64_t position, Room& room) {
  if (threadIdx.x == 0) room.order[0] = index;
  __syncthreads();
  return {position, is_position(position) ? 1 : 0};
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
