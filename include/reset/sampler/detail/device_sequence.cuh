/// @file
/// The rows of a slot one after the other, once their facts are there.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/sampler/detail/device_draw.cuh>
#include <reset/sampler/detail/device_reject.cuh>
#include <reset/sampler/detail/device_sample_room.cuh>
#include <reset/sampler/detail/device_slot_rows.cuh>
#include <reset/sampler/device_sampler.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

/// Writes what a row gave.
template <class T>
static __device__ __forceinline__ void write_result(const SamplerCall<T>& call, std::int32_t row,
                                                    const SampledToken& result) {
  if (call.tokens != nullptr) call.tokens[row] = result.token;
  if (call.results != nullptr) call.results[row] = result;
}

template <class T>
static __device__ __forceinline__ void write_nothing(const SamplerCall<T>& call, std::int32_t row, RowStatus why) {
  SampledToken nothing;
  nothing.status = why;
  write_result(call, row, nothing);
}

/// What the calls that sample do with the slot.
enum class SampleMode : std::uint8_t {
  kApply,  ///< Rows wait for a commit.
  kStep,   ///< Drafts are matched against the slot's own samples, or accepted by chance, and what holds is committed.
};

static __device__ __noinline__ void prepare_out_of_line(const RequestParams& request, ReSETState& policy, StepMark mark,
                                                        HistoryMeans& means) {
  means = prepare_row(request, policy, mark);
}

static __device__ __noinline__ void finish_out_of_line(const RequestParams& request, ReSETState& policy, StepMark mark,
                                                       const HistoryMeans& means, SampledToken& row) {
  finish_row(request, policy, mark, means, row);
}

/// By one thread: the temperature of the row whose facts and prepared policy are in the room.
template <class Room>
static __device__ __forceinline__ void decide(Room& room) {
  auto& slot = room.slot();
  SampledToken& result = room.result();
  result = SampledToken();
  result.status = room.tail.facts.status;
  result.entropy = room.tail.facts.entropy;
  result.stop = slot.state.early_stop.stop;
  finish_out_of_line(slot.request, slot.state.policy, slot.state.mark, room.means(), result);
}

/// The rows of a slot one after the other: temperature, token, and the history that the next one sees.
template <class Detector, class T>
class SlotSequence {
 public:
  using Room = SampleRoom<typename Detector::State>;

  __device__ SlotSequence(const SamplerView<Detector>& view, const SamplerCall<T>& call, std::int32_t slot, Room& room)
      : view_(view), call_(call), slot_(slot), room_(room) {}

  /// The only row's facts, early races and chunks are in the room, and its policy, `decided` or prepared; what ended
  /// several rows is in memory.
  __device__ void run(const SlotRows& rows, bool decided, SampleMode mode) {
    if (rows.count > 1) {
      for (auto i = static_cast<std::int32_t>(threadIdx.x); i < rows.count; i += kSamplerThreads) {
        room_.ends[i] = view_.memory.ends[room_.order[i]];
      }
      __syncthreads();
    }
    std::int32_t done = 0;
    while (done < rows.count) {
      const std::int32_t index = room_.order[done];
      if (threadIdx.x == 0 && rows.count > 1) take_end(done);
      if (threadIdx.x == 0 && !decided) decide(room_);
      __syncthreads();
      const std::int64_t position = rows.first + done;
      const std::int32_t drafted = done + 1 < rows.count ? call_.rows[room_.order[done + 1]].token : kPlaceholderToken;
      const std::int32_t token = sample(index, rows.count > 1, position, drafted, mode);
      const std::int32_t follower = drafted == kPlaceholderToken ? token : drafted;
      const bool holds = mode == SampleMode::kApply || follower == token;
      if (threadIdx.x == 0) advance(done, position, holds ? follower : token, token, mode);
      __syncthreads();
      ++done;
      if (!holds) break;
    }
    for (std::int32_t i = done + static_cast<std::int32_t>(threadIdx.x); i < rows.count; i += kSamplerThreads) {
      write_nothing(call_, room_.order[i], RowStatus::kUnused);
    }
    finish(rows.count, mode);
  }

  /// By the thread that has decided: the end of a slot's only row but for `write_slot`, if the race at the temperature
  /// has a winner that floats are sure of. `flag` tells.
  __device__ void end_early(std::int32_t index, std::int64_t position, SampleMode mode) {
    const int t = room_.tail.expected.index_of(room_.result().policy.temperature);
    if (t < 0 || view_.rank || !is_position(position)) return;
    barrier_wait(shared_address(&room_.tail.settled[t]), 0);
    const DrawnToken token{room_.tail.early[t].id, room_.tail.early[t].logit};
    if (token.id < 0) return;
    conclude(index, token, -1);
    advance(0, position, token.id, token.id, mode);
    set_pending(1, mode);
    room_.flag = 1;
  }

  /// By all threads: a step leaves its slot in memory.
  __device__ void write_slot(SampleMode mode) {
    if (mode == SampleMode::kApply) return;
    copy_words(reinterpret_cast<std::uint32_t*>(&view_.memory.slots[slot_]), room_.slot_words, Room::kSlotWords);
  }

 private:
  // By one thread: one of several rows. The policy is prepared for the first.
  __device__ void take_end(std::int32_t done) {
    const RowEnd& end = room_.ends[done];
    room_.tail.facts = end.facts;
    room_.tail.early[0] = end.early[0];
    room_.tail.early[1] = end.early[1];
    auto& slot = room_.slot();
    if (done > 0) prepare_out_of_line(slot.request, slot.state.policy, slot.state.mark, room_.means());
  }

  // An early token, or by the way that needs none. Several rows' chunks have been merged by other CTAs.
  __device__ DrawnToken draw(std::int32_t index, bool several, const DeviceRow<T>& row, std::int64_t position,
                             const float* draft, std::int32_t drafted) {
    if (draft != nullptr) {
      const DrawnToken token{drafted, load_logit(row, drafted)};
      if (accepts_early(position, token, draft, room_)) return token;
      if (several) take_chunks_again(index);
      return draw_or_accept(row, position, token, draft, room_);
    }
    const int t = room_.tail.expected.index_of(room_.result().policy.temperature);
    if (t >= 0 && room_.tail.early[t].id >= 0) return {room_.tail.early[t].id, room_.tail.early[t].logit};
    if (several) take_chunks_again(index);
    return draw_token(row, position, room_);
  }

  __device__ __forceinline__ void take_chunks_again(std::int32_t index) {
    const int count = DeviceRow<T>(nullptr, view_.vocabulary).chunks();
    load_chunks(view_.memory.chunks + static_cast<std::size_t>(index) * count, count, room_.chunks);
  }

  __device__ std::int32_t sample(std::int32_t index, bool several, std::int64_t position, std::int32_t drafted,
                                 SampleMode mode) {
    const RowFacts& facts = room_.tail.facts;
    const DeviceRow<T> row(call_.logits + index * view_.row_stride, view_.vocabulary);
    const bool rejects = mode == SampleMode::kStep && call_.draft_probabilities != nullptr && drafted >= 0 &&
                         facts.status == RowStatus::kOk && room_.result().policy.temperature > kArgmaxTemperature;
    const float* draft =
        rejects ? call_.draft_probabilities + static_cast<std::size_t>(index) * view_.vocabulary : nullptr;
    const DrawnToken token = draw(index, several, row, position, draft, drafted);
    std::int32_t rank = -1;
    if (view_.rank && facts.status == RowStatus::kOk) {
      if (several) take_chunks_again(index);
      rank = rank_of(row, room_.chunks, token, room_.reduction);
    }
    if (threadIdx.x == 0) conclude(index, token, rank);
    return token.id;
  }

  // By one thread: what the row gives.
  __device__ void conclude(std::int32_t index, const DrawnToken& token, std::int32_t rank) {
    const RowFacts& facts = room_.tail.facts;
    SampledToken& result = room_.result();
    result.token = token.id;
    result.rank = rank;
    if (facts.status == RowStatus::kOk) {
      const double distance = add_rn(static_cast<double>(token.logit), -static_cast<double>(facts.max));
      result.logprob = static_cast<float>(add_rn(distance, -facts.log_sum));
    }
    write_result(call_, index, result);
  }

  // The token behind a row enters the history.
  __device__ void advance(std::int32_t done, std::int64_t position, std::int32_t follower, std::int32_t token,
                          SampleMode mode) {
    const float entropy = room_.result().entropy;
    auto& slot = room_.slot();
    if (mode == SampleMode::kStep && slot.state.mark.active) count_entropy(call_.quantiles, slot_, entropy);
    follow_token(view_.detector, slot.request, slot.state, TokenEvent{follower, entropy, position});
    if (mode == SampleMode::kApply) {
      view_.memory.pending[static_cast<std::size_t>(slot_) * view_.rows_per_slot + done] = {position, entropy, token,
                                                                                            follower};
    }
  }

  __device__ void finish(std::int32_t count, SampleMode mode) {
    if (threadIdx.x == 0) set_pending(count, mode);
    __syncthreads();
    write_slot(mode);
  }

  // Rows that wait for a commit: none behind a step, whose slot is written as a whole.
  __device__ void set_pending(std::int32_t count, SampleMode mode) {
    if (mode == SampleMode::kApply) {
      view_.memory.slots[slot_].pending = count;
    } else {
      room_.slot().pending = 0;
    }
  }

  const SamplerView<Detector>& view_;
  const SamplerCall<T>& call_;
  std::int32_t slot_;
  Room& room_;
};

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
