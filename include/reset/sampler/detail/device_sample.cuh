/// @file
/// The kernel of `sampler_step` and `sampler_apply`: rows in, tokens out.
#pragma once

#include <cstdint>

#include <reset/sampler/detail/device_list.cuh>
#include <reset/sampler/detail/device_reject.cuh>
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
  TailRoom tail;
  BestRoom best;
  alignas(8) std::uint32_t means_words[sizeof(HistoryMeans) / 4];
  GroupRoom groups[kSamplerWarps];
  unsigned long long places;  // that a row of the slot has
  std::uint32_t call;         // of the row
  std::int32_t order[kMaxRowsPerSlot];
  std::int32_t flag;

  __device__ __forceinline__ Slot& slot() { return *reinterpret_cast<Slot*>(slot_words); }
  __device__ __forceinline__ HistoryMeans& means() { return *reinterpret_cast<HistoryMeans*>(means_words); }
  __device__ __forceinline__ SampledToken& result() { return *reinterpret_cast<SampledToken*>(result_words); }
};

static __device__ __forceinline__ void copy_words(std::uint32_t* to, const std::uint32_t* from, int count) {
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kSamplerThreads) to[i] = from[i];
}

/// The absolute position of a row: its own, or by the slot's counter.
static __device__ __forceinline__ std::int64_t resolve_position(std::int64_t position, std::int64_t next) {
  if (position >= 0 || position < kNextPosition - kMaxRowsPerSlot) return position;
  const std::int64_t ahead = kNextPosition - position;
  return next > kMaxPosition - ahead ? kMaxPosition + 1 : next + ahead;  // beyond the last is refused
}

static __device__ __forceinline__ bool is_position(std::int64_t position) {
  return position >= 0 && position <= kMaxPosition;
}

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

/// The rows of one slot in a call.
struct SlotRows {
  std::int64_t first;  // the lowest position
  std::int32_t count;  // 0: they are not a run of consecutive positions, or too many, or hold a token that is none
};

static __device__ __forceinline__ SlotRows shuffle_xor(const SlotRows& rows, int distance) {
  return {shuffle_xor(rows.first, distance), shuffle_xor(rows.count, distance)};
}

/// Counts the entropy of a committed row. Out of line: where a slot's sketch is would be kept in registers.
static __device__ __noinline__ void count_entropy(SlotQuantiles quantiles, std::int64_t slot, float entropy) {
  if (quantiles.data != nullptr) quantiles.data[quantiles.per_slot ? slot : 0].add_shared(entropy);
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

  /// The only row's facts, early races and policy are in the room, `decided` or prepared; several rows' facts are in
  /// memory.
  __device__ void run(const SlotRows& rows, bool decided, SampleMode mode) {
    std::int32_t done = 0;
    while (done < rows.count) {
      const std::int32_t index = room_.order[done];
      if (rows.count > 1) reload(index, done > 0);
      if (!decided) {
        if (threadIdx.x == 0) decide(room_);
        __syncthreads();
      }
      const RandomKey key{room_.slot().request.seed, rows.first + done, RandomPurpose::kSampling};
      const std::int32_t drafted = done + 1 < rows.count ? call_.rows[room_.order[done + 1]].token : kPlaceholderToken;
      const std::int32_t token = sample(index, key, drafted, mode);
      const std::int32_t follower = drafted == kPlaceholderToken ? token : drafted;
      const bool holds = mode == SampleMode::kApply || follower == token;
      if (threadIdx.x == 0) advance(done, key.position, holds ? follower : token, token, mode);
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
    if (room_.tail.unsure[t] != 0) return;
    const DrawnToken token{room_.tail.early[t], room_.tail.logit[t]};
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
  // The chunks of a row that another CTA has merged.
  __device__ void reload(std::int32_t index, bool unprepared) {
    const int chunks = DeviceRow<T>(nullptr, view_.vocabulary).chunks();
    __syncthreads();
    const RowChunkFacts facts{view_.memory.chunks + static_cast<std::size_t>(index) * chunks, chunks, 0};
    const auto chunk = static_cast<int>(threadIdx.x);
    take_chunk(load_half(facts.masses(chunk)), chunk, chunk < chunks, room_.chunks);
    if (threadIdx.x < 2) room_.tail.unsure[threadIdx.x] = 1;
    auto& slot = room_.slot();
    if (threadIdx.x == 0) {
      room_.tail.facts = view_.memory.facts[index];
      if (unprepared) prepare_out_of_line(slot.request, slot.state.policy, slot.state.mark, room_.means());
    }
    __syncthreads();
  }

  __device__ DrawnToken draw(const DeviceRow<T>& row, const RandomKey& key, const float* draft, std::int32_t drafted) {
    const RowFacts& facts = room_.tail.facts;
    const float temperature = room_.result().policy.temperature;
    if (draft != nullptr && facts.status == RowStatus::kOk && temperature > kArgmaxTemperature) {
      const std::int32_t id = draw_or_accept(row, facts, room_.slot().request.sampling, temperature, key, drafted,
                                             draft, room_.chunks, room_.list, room_.reduction);
      return {id, load_logit(row, id)};
    }
    const int t = room_.tail.expected.index_of(temperature);
    if (t >= 0 && room_.tail.unsure[t] == 0) {
      const std::int32_t id = room_.tail.early[t];
      return {id, room_.tail.logit[t]};
    }
    return draw_token(row, facts, room_.slot().request.sampling, room_.tail.expected, temperature, key, room_.chunks,
                      room_.list, room_.reduction);
  }

  __device__ std::int32_t sample(std::int32_t index, const RandomKey& key, std::int32_t drafted, SampleMode mode) {
    const RowFacts& facts = room_.tail.facts;
    const DeviceRow<T> row(call_.logits + index * view_.row_stride, view_.vocabulary);
    const bool rejects = mode == SampleMode::kStep && call_.draft_probabilities != nullptr && drafted >= 0;
    const float* draft =
        rejects ? call_.draft_probabilities + static_cast<std::size_t>(index) * view_.vocabulary : nullptr;
    const DrawnToken token = draw(row, key, draft, drafted);
    const bool good = facts.status == RowStatus::kOk;
    const std::int32_t rank = good && view_.rank ? rank_of(row, room_.chunks, token, room_.reduction) : -1;
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

/// By the policy's thread in the end of a row. Of rows that are not the `only` one of their slot, others decide.
template <class Room>
static __device__ __forceinline__ void prepare_and_decide(const Temperatures& expected, bool only, Room& room) {
  auto& slot = room.slot();
  prepare_out_of_line(slot.request, slot.state.policy, slot.state.mark, room.means());
  wait_for_sums(room.tail);
  room.tail.expected = expected;
  room.tail.facts = merged_facts(room.tail);
  if (only) decide(room);
}

/// The chunks of this CTA: group by group of warps, every gridDim.x-th run of them.
template <class T, int kWarps, PassKind kKind>
static __device__ __forceinline__ void pass_rest(ChunkReader<T, kWarps>& reader, const DeviceRow<T>& row,
                                                 const PassRule& rule, int chunk, int step, ChunkFacts* facts,
                                                 std::uint32_t call, GroupRoom& room) {
  const int lane = static_cast<int>(threadIdx.x) % (32 * kWarps);
  while (chunk < row.chunks()) {
    // The next chunk comes while this one is worked on.
    ChunkReader<T, kWarps> next;
    const int after = chunk + step;
    if (after < row.chunks()) next.load(row, after, lane);
    pass_chunk<T, kWarps, kKind>(reader, rule, chunk, lane, facts, call, room);
    reader = next;
    chunk = after;
  }
}

template <class Detector, class T, int kWarps>
static __global__ void __launch_bounds__(kSamplerThreads, kResidentCtas)
    sample_rows(const __grid_constant__ SamplerView<Detector> view, const __grid_constant__ SamplerCall<T> call,
                SampleMode mode) {
  using Room = SampleRoom<typename Detector::State>;
  constexpr int kGroups = kSamplerWarps / kWarps;
  __shared__ Room room;
  wait_for_dependencies();
  release_dependents();
  const std::int32_t index = static_cast<std::int32_t>(blockIdx.y);
  const int group = static_cast<int>(threadIdx.x) / (32 * kWarps);
  const int first = static_cast<int>(blockIdx.x) * kGroups + group;
  const DeviceRow<T> row(call.logits + index * view.row_stride, view.vocabulary);
  // The logits are on their way before the slot is known.
  ChunkReader<T, kWarps> reader;
  if (first < row.chunks()) reader.load(row, first, static_cast<int>(threadIdx.x) % (32 * kWarps));
  const std::uint32_t latest = threadIdx.x == 0 ? __ldcg(&view.memory.row_calls[index]) : 0;
  const SamplerRow input = call.rows[index];
  const bool exists = input.slot >= 0 && input.slot < view.slots;
  if (exists) {
    copy_words(room.slot_words, reinterpret_cast<const std::uint32_t*>(&view.memory.slots[input.slot]),
               Room::kSlotWords);
  }
  if (threadIdx.x == 0) room.call = latest + 1;
  // Up to 256 rows, a glance of each thread at one tells whether the slot has others.
  const int self = static_cast<int>(threadIdx.x);
  const int namesakes = __syncthreads_count(self < call.count && call.rows[self].slot == input.slot ? 1 : 0);
  if (!exists || room.slot().in_use == 0) {
    if (blockIdx.x == 0 && threadIdx.x == 0) write_nothing(call, index, RowStatus::kRefused);
    return;
  }
  const RequestParams& request = room.slot().request;
  const Temperatures expected = expected_temperatures(request, room.slot().state.mark.active);
  const PassRule rule{exponent_scale(expected.value[0]), exponent_scale(expected.value[1])};
  ChunkFacts* facts = view.memory.chunks + static_cast<std::size_t>(index) * row.chunks();
  const int step = static_cast<int>(gridDim.x) * kGroups;
  GroupRoom& group_room = room.groups[group];
  const PassKind kind = pass_kind(request.sampling, expected, row.columns);
  if (kind == PassKind::kMass) {
    pass_rest<T, kWarps, PassKind::kMass>(reader, row, rule, first, step, facts, room.call, group_room);
  } else if (kind == PassKind::kMasses) {
    pass_rest<T, kWarps, PassKind::kMasses>(reader, row, rule, first, step, facts, room.call, group_room);
  } else {
    pass_rest<T, kWarps, PassKind::kEntropy>(reader, row, rule, first, step, facts, room.call, group_room);
  }
  // Who ends the row waits for the others. They have started before it: CTAs start in their order, as scans count on.
  // Besides, choose_policy leaves half of a device's room to those that do not wait.
  if (blockIdx.x + 1 != gridDim.x) return;
  const RandomKey key{request.seed, resolve_position(input.position, room.slot().state.next_position),
                      RandomPurpose::kSampling};
  const KeepRule keep = keep_rule(request.sampling, expected, row.columns);
  const auto teams = [&] { return RaceTeams(rule, expected, races_whole(request.sampling, expected, row.columns)); };
  // By the last warps, which are likely to have had no chunk in the row's last CTA.
  constexpr int kFirstNoise = kSamplerThreads - 32 * kChunkWarps;
  if (self >= kFirstNoise) {
    draw_chunk_noises(key, self - kFirstNoise, room.tail);
  } else if (self == kFirstNoise - 32) {
    init_barriers(room.tail, teams().warps());
    room.best.listed = 0;
    room.flag = 0;
  }
  __syncthreads();
  const RowChunkFacts row_facts{facts, row.chunks(), room.call};
  const bool only = call.count <= kSamplerThreads && namesakes == 1;
  SlotSequence<Detector, T> sequence(view, call, input.slot, room);
  const int warp = static_cast<int>(threadIdx.x) / 32;
  if (sum_part(warp) >= 0) merge_chunks(row_facts, sum_part(warp), room.tail);
  if (warp < kRaceWarps && keep.wanted > 0) {
    run_list(row, key, rule, expected, keep, row_facts, room.best, room.tail);
  } else if (warp < kRaceWarps) {
    run_races(row, key, rule, expected, row_facts, teams(), room.tail);
  } else if (warp < kPolicyWarp) {
    take_chunks(row_facts, room.chunks);
  } else if (self == 32 * kPolicyWarp) {
    prepare_and_decide(expected, only, room);
    if (only) sequence.end_early(index, key.position, mode);
  }
  __syncwarp();
  const SlotRows rows = only ? only_row(index, key.position, room)
                             : find_rows(view, call, input.slot, room.slot().state.next_position, room);
  // All that the others had to say is here: they know their call.
  if (threadIdx.x == 0) view.memory.row_calls[index] = room.call;
  if (only && room.flag != 0) {
    sequence.write_slot(mode);
    return;
  }
  if (rows.count == 0) {
    if (threadIdx.x == 0) write_nothing(call, index, RowStatus::kRefused);
    return;
  }
  if (rows.count > 1) {
    if (threadIdx.x == 0) view.memory.facts[index] = room.tail.facts;
    if (!is_last(&view.memory.slot_tickets[input.slot], static_cast<std::uint32_t>(rows.count), room.flag)) return;
  }
  sequence.run(rows, only, mode);
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
