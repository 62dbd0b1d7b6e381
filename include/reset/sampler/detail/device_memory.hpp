/// @file
/// What lies where in the memory of a device sampler.
#pragma once

#include <cstddef>
#include <cstdint>

#include <reset/sampler/sampler_types.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

inline constexpr std::size_t kMemoryAlignment = 256;

/// A slot: the request, what is remembered of it, and the calls' own counters.
template <class DetectorState>
struct DeviceSlot {
  RequestParams request;
  SlotState<DetectorState> state;
  std::int32_t pending;  // rows applied and not committed
  std::int32_t in_use;
};

/// A row that was applied and may be committed.
struct DevicePending {
  std::int64_t position;
  float entropy;
  std::int32_t sampled;
  std::int32_t follower;  // the drafted token behind it, or the sampled one
};

/// Half of what a chunk of a row adds to it.
struct alignas(16) ChunkHalf {
  float max;           // NaN or +inf where one is in the chunk
  std::uint32_t call;  // the one it is of
  float first;
  float second;
};

/// All of it: the sum and the weighted sum; the masses at the higher and at the lower temperature.
struct ChunkFacts {
  ChunkHalf sums;
  ChunkHalf masses;
};

/// What is known of a row.
struct RowFacts {
  double log_sum;
  float max;
  float entropy;
  RowStatus status;
};

/// What has come of the race at a temperature that was expected.
struct EarlyToken {
  std::int32_t id;     // negative: none, or none that floats are sure of
  float logit;         // its own
  std::uint64_t cut;   // where drafts are to be judged: the lowest candidate key that truncation has left,
  std::uint64_t mass;  // and the mass of what it has left; 0 where that is not known
};

/// What the last CTA of a row hands to the last of its slot: with the tokens at the two temperatures.
struct RowEnd {
  RowFacts facts;
  EarlyToken early[2];
};

/// Where the arrays of a sampler begin.
struct MemoryLayout {
  std::size_t slots;
  std::size_t pending;
  std::size_t chunks;
  std::size_t entropy_chunks;
  std::size_t ends;
  std::size_t row_calls;
  std::size_t slot_tickets;
  std::size_t bytes;
};

template <class DetectorState>
struct SamplerMemory {
  DeviceSlot<DetectorState>* slots;
  DevicePending* pending;
  ChunkFacts* chunks;
  ChunkFacts* entropy_chunks;  // of the rows that the entropy is of, where they are others
  RowEnd* ends;
  std::uint32_t* row_calls;  // the latest that a row has been in
  std::uint32_t* slot_tickets;

  static MemoryLayout layout(const SamplerConfig& config, std::int32_t max_rows) noexcept {
    const std::size_t slots = static_cast<std::size_t>(config.slots);
    const std::size_t rows = static_cast<std::size_t>(max_rows);
    const std::size_t chunks = chunk_count(static_cast<std::size_t>(config.vocabulary));
    MemoryLayout at{};
    std::size_t end = 0;
    const auto take = [&end](std::size_t bytes) {
      const std::size_t begin = end;
      end += (bytes + kMemoryAlignment - 1) / kMemoryAlignment * kMemoryAlignment;
      return begin;
    };
    at.slots = take(slots * sizeof(DeviceSlot<DetectorState>));
    at.pending = take(slots * static_cast<std::size_t>(config.rows_per_slot) * sizeof(DevicePending));
    at.chunks = take(rows * chunks * sizeof(ChunkFacts));
    at.entropy_chunks = take(config.entropy_logits ? rows * chunks * sizeof(ChunkFacts) : 0);
    at.ends = take(rows * sizeof(RowEnd));
    at.row_calls = take(rows * sizeof(std::uint32_t));
    at.slot_tickets = take(slots * sizeof(std::uint32_t));
    at.bytes = end;
    return at;
  }

  static SamplerMemory at(void* memory, const SamplerConfig& config, std::int32_t max_rows) noexcept {
    const MemoryLayout from = layout(config, max_rows);
    unsigned char* base = static_cast<unsigned char*>(memory);
    SamplerMemory arrays{};
    place(arrays.slots, base + from.slots);
    place(arrays.pending, base + from.pending);
    place(arrays.chunks, base + from.chunks);
    place(arrays.entropy_chunks, base + from.entropy_chunks);
    place(arrays.ends, base + from.ends);
    place(arrays.row_calls, base + from.row_calls);
    place(arrays.slot_tickets, base + from.slot_tickets);
    return arrays;
  }

 private:
  template <class Element>
  static void place(Element*& array, unsigned char* at) noexcept {
    array = reinterpret_cast<Element*>(at);
  }
};

}  // namespace detail
RESET_NAMESPACE_END
