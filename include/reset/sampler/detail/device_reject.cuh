/// @file
/// Speculative decoding by rejection: a drafted token is kept with probability min(1, p / q), and what takes its place
/// is drawn from what p leaves above q. The token that comes out is distributed as p, whatever q is.
///
/// Source: Leviathan, Kalman, Matias, "Fast inference from transformers via speculative decoding" (ICML 2023).
#pragma once

#include <cstdint>

#include <reset/sampler/detail/device_draw.cuh>
#include <reset/sampler/detail/rejection.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

/// Puts that of the good row whose facts, chunks and temperature are in the room into it.
template <class T, class Room>
static __device__ __noinline__ void find_target(const DeviceRow<T> row, Room& room) {
  double total = pass_mass(room);
  TargetRule rule{{room.tail.facts.max, kLog2EFloat / room.result().policy.temperature}, 0, 0, 0.0f};
  if (truncates(room.slot().request.sampling, row.columns)) {
    const KeptTokens kept = truncate_row(row, total, room);
    rule.cut = kept.cut;
    rule.listed = kept.count;
    total = kept.count > 0 ? static_cast<double>(list_mass(kept.count, rule.scale, room.list, room.reduction)) : -1.0;
  }
  if (total < 0.0) total = static_cast<double>(total_mass(row, rule.cut, rule.scale, room.reduction));
  rule.inverse = inverse_of(total);
  if (threadIdx.x == 0) room.target = rule;
  __syncthreads();
}

/// What p leaves above q of the tokens of a row, and a race for it: by chunks and then among the tokens of one, as any
/// row's, where nothing is truncated, and otherwise among the tokens that are left. p is good to 1e-6 of itself: where
/// scores come closer than 1.4e-6 p / (p - q) in bits, either may win, which moves no more than 1e-6 of the mass.
template <class T>
class Residual {
 public:
  __device__ __forceinline__ Residual(const DeviceRow<T>& row, const TargetRule& rule, const float* draft,
                                      const RandomKey& key, ReductionRoom& room)
      : row_(row), rule_(rule), draft_(draft, row.columns), key_(key), room_(room) {}

  /// The sample; -1 where nothing is left.
  __device__ __forceinline__ std::int32_t draw(bool whole, const ListRoom& list) const {
    int begin = 0;
    int end = row_.chunks();
    if (whole) {
      const std::uint64_t chunk = best_chunk();
      if (chunk == 0) return -1;
      begin = candidate_id(chunk);
      end = begin + 1;
    }
    const std::uint64_t best = !whole && rule_.listed > 0 ? best_listed(list) : best_of_blocks(begin, end);
    return best == 0 ? -1 : candidate_id(best);
  }

 private:
  __device__ __forceinline__ static std::uint64_t score(float left, float noise, std::int32_t id) {
    return left > 0.0f ? candidate_key(fast_log2(left) + noise, id) : 0;
  }

  // The score of the best chunk, in the place of an id its number.
  __device__ __forceinline__ std::uint64_t best_chunk() const {
    std::uint64_t best = 0;
#pragma unroll 1
    for (int chunk = static_cast<int>(threadIdx.x) / 32; chunk < row_.chunks(); chunk += kSamplerWarps) {
      float sum = left_of_chunk(chunk);
#pragma unroll
      for (int distance = 1; distance < 32; distance *= 2) sum += shuffle_xor(sum, distance);
      const std::uint64_t own = score(sum, chunk_noise_bits(key_, chunk), chunk);
      best = own > best ? own : best;
    }
    return block_best(best, room_);
  }

  // What is left of a lane's tokens of a chunk. Nothing is truncated. Behind the row's end p is 0, and q -inf.
  __device__ __forceinline__ float left_of_chunk(int chunk) const {
    constexpr int kRun = kChunkBlocks / 32;
    constexpr int kAtOnce = 2;
    int first = chunk * kChunk + kRun * (static_cast<int>(threadIdx.x) % 32);
    float sum = 0.0f;
#pragma unroll 1
    for (int quarter = 0; quarter < 4; quarter += kAtOnce, first += kAtOnce * kChunkBlocks) {
      LogitRun<T, kRun> logits[kAtOnce];
      LogitRun<float, kRun> draft[kAtOnce];
#pragma unroll
      for (int n = 0; n < kAtOnce; ++n) logits[n] = load_any<kRun>(row_, first + n * kChunkBlocks);
#pragma unroll
      for (int n = 0; n < kAtOnce; ++n) draft[n] = load_any<kRun>(draft_, first + n * kChunkBlocks);
#pragma unroll
      for (int n = 0; n < kAtOnce; ++n) {
#pragma unroll
        for (int i = 0; i < kRun; ++i) sum += left_above(rule_.probability(logits[n].at(i)), draft[n].at(i));
      }
    }
    return sum;
  }

  // The best token of chunks begin..end - 1: a thread has a block of random numbers in each.
  __device__ __forceinline__ std::uint64_t best_of_blocks(int begin, int end) const {
    std::uint64_t best = 0;
#pragma unroll 1
    for (int chunk = begin; chunk < end; ++chunk) {
      const int first = chunk * kChunk + static_cast<int>(threadIdx.x);
      const PhiloxBlock words = random_block(key_, random_slot(first).block);
#pragma unroll 1
      for (int q = 0; q < 4; ++q) {
        const std::int32_t id = first + q * kChunkBlocks;
        const float noise = -log2_exponential(key_, token_place(id), word_of(words, static_cast<std::uint32_t>(q)));
        const float p = rule_.probability(load_logit(row_, id), id);
        const std::uint64_t own = score(left_above(p, load_logit(draft_, id)), noise, id);
        best = own > best ? own : best;
      }
    }
    return block_best(best, room_);
  }

  __device__ __forceinline__ std::uint64_t best_listed(const ListRoom& list) const {
    std::uint64_t best = 0;
    for (std::int32_t i = static_cast<int>(threadIdx.x); i < rule_.listed; i += kSamplerThreads) {
      const std::int32_t id = candidate_id(list.key[i]);
      const float noise = -log2_exponential(key_, token_place(id), token_word(key_, id));
      const float p = rule_.probability(candidate_logit(list.key[i]));
      const std::uint64_t own = score(left_above(p, draft_.data[id]), noise, id);
      best = own > best ? own : best;
    }
    return block_best(best, room_);
  }

  const DeviceRow<T>& row_;
  TargetRule rule_;
  DeviceRow<float> draft_;
  const RandomKey& key_;
  ReductionRoom& room_;
};

template <class T, class Room>
static __device__ __noinline__ std::int32_t draw_residual(const DeviceRow<T> row, const RandomKey key,
                                                          const float* draft, Room& room) {
  const bool whole = !truncates(room.slot().request.sampling, row.columns);
  return Residual<T>(row, room.target, draft, key, room.reduction).draw(whole, room.list);
}

/// Whether a drafted token, drawn from the probabilities at `draft`, is accepted.
template <class Room>
static __device__ __forceinline__ bool accepts(const TargetRule& rule, std::int64_t position, const DrawnToken& drafted,
                                               const float* draft, Room& room) {
  const double p = static_cast<double>(rule.probability(drafted.logit, drafted.id));
  const double u = random_uniform(random_key(position, RandomPurpose::kAccepting, room));
  return keeps_draft(u, p, draft[drafted.id]);
}

/// Whether it is by what is known of the row early on.
template <class Room>
static __device__ __noinline__ bool accepts_early(std::int64_t position, const DrawnToken drafted, const float* draft,
                                                  Room& room) {
  const float temperature = room.result().policy.temperature;
  const int t = room.tail.expected.index_of(temperature);
  if (t < 0 || room.tail.early[t].mass == 0) return false;
  const EarlyToken& early = room.tail.early[t];
  const float inverse = inverse_of(static_cast<double>(early.mass));
  return accepts({{room.tail.facts.max, kLog2EFloat / temperature}, early.cut, 0, inverse}, position, drafted, draft,
                 room);
}

/// The token behind a row whose drafted token is `drafted`, drawn from the probabilities at `draft`: that one if it is
/// accepted, another if not.
template <class T, class Room>
static __device__ __noinline__ DrawnToken draw_or_accept(const DeviceRow<T> row, std::int64_t position,
                                                         const DrawnToken drafted, const float* draft, Room& room) {
  find_target(row, room);
  if (accepts(room.target, position, drafted, draft, room)) return drafted;
  const std::int32_t id = draw_residual(row, random_key(position, RandomPurpose::kResidual, room), draft, room);
  if (id >= 0) return {id, load_logit(row, id)};
  // Nowhere above the draft's, for all that floats can tell: the two are the same.
  return draw_token(row, position, room);
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
