/// @file
/// How a call of the device sampler is spread over a device.
#pragma once

#include <reset/sampler/device_sampler.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {

inline constexpr int kSamplerThreads = 256;  // the blocks of random numbers of a chunk, and the most chunks of a row
inline constexpr int kSamplerWarps = kSamplerThreads / 32;
inline constexpr int kResidentCtas = 2;  // of a multiprocessor, by their registers

/// Chunks that each group of warps takes one after the other, if so many CTAs share a row.
constexpr int chunk_rounds(int chunks, int parts, int groups) noexcept {
  return (chunks + parts * groups - 1) / (parts * groups);
}

/// The parts of a row if all rows have `ctas` CTAs; and of these no more than its chunks need.
constexpr int even_parts(int rows, int ctas) noexcept { return ctas / rows < 1 ? 1 : ctas / rows; }
constexpr int filling_parts(int chunks, int rows, int groups, int ctas) noexcept {
  const int parts = even_parts(rows, ctas);
  const int rounds = chunk_rounds(chunks, parts, groups);
  return (chunks + rounds * groups - 1) / (rounds * groups);
}

/// Four warps a chunk where all chunks are then read at once, otherwise one. As many CTAs a row as run at once, or as
/// one multiprocessor each takes: where those have less to do than two that share one, or as much, but so little that
/// the two would not hide each other's latencies. Of these there are as many as multiprocessors even where fewer would
/// take no more rounds: a row ends with its last CTA, and most then have one round less.
inline SamplerPolicy choose_policy(const SamplerPolicy& wanted, int chunks, int rows, int sm_count) noexcept {
  SamplerPolicy policy = wanted;
  const int resident = kResidentCtas * sm_count;
  if (policy.chunk_warps == 0) policy.chunk_warps = rows * chunks * 4 <= resident * kSamplerWarps ? 4 : 1;
  const int groups = kSamplerWarps / policy.chunk_warps;
  const int most = (chunks + groups - 1) / groups;
  if (policy.parts == 0) {
    policy.parts = filling_parts(chunks, rows, groups, resident);
    const int alone = even_parts(rows, sm_count);
    const int rounds = kResidentCtas * chunk_rounds(chunks, policy.parts, groups);  // of a multiprocessor
    const int rounds_alone = chunk_rounds(chunks, alone, groups);
    const bool spares = rounds_alone < rounds || (rounds_alone == rounds && rounds == kResidentCtas);
    if (policy.chunk_warps == 1 && spares) policy.parts = alone;
  }
  if (policy.parts > most) policy.parts = most;
  // One CTA of each row waits for the others of the row: no more than half of those that run at once.
  if (2 * rows > resident) policy.parts = 1;
  return policy;
}

}  // namespace detail
RESET_NAMESPACE_END
