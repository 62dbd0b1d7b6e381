/// @file
/// The kernel of `sampler_step` and `sampler_apply`: rows in, tokens out.
#pragma once

#include <cstdint>

#include <reset/config.hpp>
#include <reset/detail/launch.cuh>
#include <reset/sampler/detail/device_list.cuh>
#include <reset/sampler/detail/device_list_race.cuh>
#include <reset/sampler/detail/device_pass.cuh>
#include <reset/sampler/detail/device_sample_room.cuh>
#include <reset/sampler/detail/device_sequence.cuh>
#include <reset/sampler/detail/device_slot_rows.cuh>
#include <reset/sampler/detail/device_tail.cuh>
#include <reset/sampler/device_sampler.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_ARCH_NAMESPACE {

/// By the policy's thread in the end of a row. Of rows that are not the `only` one of their slot, others decide.
template <bool kOtherEntropy, class Room>
static __device__ __forceinline__ void prepare_and_decide(const Temperatures& expected, bool only, Room& room) {
  auto& slot = room.slot();
  prepare_out_of_line(slot.request, slot.state.policy, slot.state.mark, room.means());
  wait_for_sums(room.tail);
  room.tail.expected = expected;
  room.tail.facts = merged_facts(room.tail);
  if constexpr (kOtherEntropy) take_entropy(room.tail);
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
  if constexpr (kForRacecheck && kWarps > 1) {
    const int group = static_cast<int>(threadIdx.x) / (32 * kWarps);
    if (chunk - group < row.chunks()) pass_no_chunk<kWarps>();  // the first group of the CTA had one more
  }
}

/// Where the facts of the chunks of a row are that is there for its entropy.
template <class Detector>
static __device__ __forceinline__ ChunkFacts* entropy_facts(const SamplerView<Detector>& view, std::int32_t row) {
  const std::size_t chunks = chunk_count(static_cast<std::size_t>(view.vocabulary));
  return view.memory.entropy_chunks + static_cast<std::size_t>(row) * chunks;
}

/// The chunks of the row that the entropy is of, where it is another, out of line for its registers.
template <class Detector, class T, int kWarps>
static __device__ __noinline__ void pass_entropy(const SamplerView<Detector>& view, const SamplerCall<T>& call,
                                                 SampleRoom<typename Detector::State>& room) {
  constexpr int kGroups = kSamplerWarps / kWarps;
  const auto index = static_cast<std::int32_t>(blockIdx.y);
  const int group = static_cast<int>(threadIdx.x) / (32 * kWarps);
  const int first = static_cast<int>(blockIdx.x) * kGroups + group;
  const DeviceRow<T> row(call.entropy_logits + index * view.row_stride, view.vocabulary);
  ChunkReader<T, kWarps> reader;
  if (first < row.chunks()) reader.load(row, first, static_cast<int>(threadIdx.x) % (32 * kWarps));
  pass_rest<T, kWarps, PassKind::kEntropy>(reader, row, {0.0f, 0.0f}, first, static_cast<int>(gridDim.x) * kGroups,
                                           entropy_facts(view, index), room.call, room.groups[group]);
}

/// By the policy's warp: the facts of that row.
template <class Detector>
static __device__ __noinline__ void merge_entropy(const SamplerView<Detector>& view,
                                                  SampleRoom<typename Detector::State>& room) {
  const int chunks = static_cast<int>(chunk_count(static_cast<std::size_t>(view.vocabulary)));
  const auto index = static_cast<std::int32_t>(blockIdx.y);
  merge_entropy_chunks({entropy_facts(view, index), chunks, room.call}, room.tail);
}

/// `kOtherEntropy`: the entropy is of `entropy_logits`. A kernel of its own, so that no other call carries its code.
template <class Detector, class T, int kWarps, bool kOtherEntropy>
static __global__ void __launch_bounds__(kSamplerThreads, kResidentCtas)
    sample_rows(const __grid_constant__ SamplerView<Detector> view, const __grid_constant__ SamplerCall<T> call,
                SampleMode mode) {
  using Room = SampleRoom<typename Detector::State>;
  constexpr int kGroups = kSamplerWarps / kWarps;
  __shared__ Room room;
  const std::int32_t index = static_cast<std::int32_t>(blockIdx.y);
  const int group = static_cast<int>(threadIdx.x) / (32 * kWarps);
  const int first = static_cast<int>(blockIdx.x) * kGroups + group;
  const int lane = static_cast<int>(threadIdx.x) % (32 * kWarps);
  const DeviceRow<T> row(call.logits + index * view.row_stride, view.vocabulary);
  wait_for_dependencies(ChunkReader<T, kWarps>::place(row, first, lane), &view.memory.row_calls[index],
                        &call.rows[index], view.memory.slots, view.slots, call.count);
  release_dependents();
  // The logits are on their way before the slot is known.
  ChunkReader<T, kWarps> reader;
  if (first < row.chunks()) reader.load(row, first, lane);
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
  if constexpr (kOtherEntropy) pass_entropy<Detector, T, kWarps>(view, call, room);
  // Who ends the row waits for the others. They have started before it: CTAs start in their order, as scans count on.
  // Besides, choose_policy leaves half of a device's room to those that do not wait.
  if (blockIdx.x + 1 != gridDim.x) return;
  const RandomKey key{request.seed, resolve_position(input.position, room.slot().state.next_position), request.purpose};
  const bool judges = call.draft_probabilities != nullptr;
  const KeepRule keep = keep_rule(request.sampling, expected, row.columns, judges);
  const auto teams = [&] { return RaceTeams(rule, expected, races_whole(request.sampling, expected, row.columns)); };
  // By the last warps, which are likely to have had no chunk in the row's last CTA.
  constexpr int kFirstNoise = kSamplerThreads - 32 * kChunkWarps;
  if (self >= kFirstNoise) {
    draw_chunk_noises(key, self - kFirstNoise, room.tail);
  } else if (self == kFirstNoise - 32) {
    init_barriers(room.tail, teams().warps());
    init_list(room.best);
    room.flag = 0;
  }
  __syncthreads();
  const RowChunkFacts row_facts{facts, row.chunks(), room.call};
  const bool only = call.count <= kSamplerThreads && namesakes == 1;
  SlotSequence<Detector, T> sequence(view, call, input.slot, room);
  const int warp = static_cast<int>(threadIdx.x) / 32;
  if constexpr (kOtherEntropy) {
    if (warp == kPolicyWarp) merge_entropy(view, room);
  }
  if (sum_part(warp) >= 0) merge_chunks(row_facts, sum_part(warp), room.tail);
  if (warp < kRaceWarps && keep.wanted > 0) {
    run_list(row, key, rule, expected, keep, row_facts, room.best, room.tail);
  } else if (warp < kRaceWarps) {
    run_races(row, key, rule, expected, row_facts, teams(), room.tail);
  } else if (warp < kPolicyWarp) {
    take_chunks(row_facts, room.chunks);
  } else if (self == 32 * kPolicyWarp) {
    prepare_and_decide<kOtherEntropy>(expected, only, room);
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
    if (threadIdx.x == 0) view.memory.ends[index] = {room.tail.facts, {room.tail.early[0], room.tail.early[1]}};
    if (!is_last(&view.memory.slot_tickets[input.slot], static_cast<std::uint32_t>(rows.count), room.flag)) return;
  }
  sequence.run(rows, only, mode);
}

}  // namespace RESET_ARCH_NAMESPACE
}  // namespace detail
RESET_NAMESPACE_END
