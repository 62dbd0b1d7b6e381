/// @file
/// The exact Gumbel sample of a row or of candidates: cheap bounds for all, the defined score for those that can win.
/// See `chunk_score` for the two races of a whole row.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include <reset/sampler/detail/candidate.hpp>
#include <reset/sampler/detail/row_chunks.hpp>
#include <reset/sampler/random.hpp>

RESET_NAMESPACE_BEGIN
namespace detail {
inline namespace RESET_INSTRUCTION_SET {

/// What sampling knows of a row whose statistics are done.
struct RowSummary {
  const ChunkExtent* extents;  // of every chunk
  float max;                   // of the row
  float temperature;
};

/// By how much scores relative to an offset may be off: floats err by 1e-4 where it matters, since nothing 110 below
/// the maximum can win at all. The defined scores themselves are rounded to multiples of up to 2^-52 of a large offset,
/// by which lower ones may tie with the best.
inline double score_slack_nats(double offset) noexcept { return 1e-3 + std::abs(offset) * 0x1p-51; }

/// The running winner among the tokens of one row.
class GumbelRace {
 public:
  GumbelRace(const RowSummary& row, const RandomKey& key) noexcept
      : key_(key),
        row_max_(row.max),
        temperature_(row.temperature),
        inverse_(hide(1.0f / row.temperature)),
        offset_(div_rn(static_cast<double>(row.max), static_cast<double>(row.temperature))) {}

  /// The best score so far in the units of `bound`, lowered by what float arithmetic may err there.
  float threshold() const noexcept { return threshold_; }

  /// An upper bound on the score of logit `x`, relative to the row's maximum; noise included.
  float bound(float x, float noise_bound) const noexcept { return (x - row_max_) * inverse_ + noise_bound; }

  float row_max() const noexcept { return row_max_; }
  float inverse_temperature() const noexcept { return inverse_; }

  /// Lets a token compete by its exact score.
  void enter(float x, std::int32_t id, std::uint32_t word) noexcept {
    const double score = gumbel_score(x, temperature_, gumbel_from_word(key_, token_place(id), word));
    if (best_id_ >= 0 && (score < best_ || (score == best_ && id > best_id_))) return;
    best_ = score;
    best_id_ = id;
    threshold_ = static_cast<float>(add_rn(add_rn(score, -offset_), -score_slack_nats(offset_)));
  }

  std::int32_t winner() const noexcept { return best_id_; }
  const RandomKey& key() const noexcept { return key_; }

 private:
  RandomKey key_;
  float row_max_;
  float temperature_;
  float inverse_;  // Hidden: where fast-math knew it to be 1, it would add noise to x before it subtracts the maximum.
  double offset_;
  double best_ = 0.0;
  float threshold_ = -1e30f;
  std::int32_t best_id_ = -1;
};

/// The sample among `count` > 0 candidates.
inline std::int32_t race_candidates(GumbelRace& race, const std::uint64_t* keys, std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; ++i) {
    const float x = candidate_logit(keys[i]);
    const std::int32_t id = candidate_id(keys[i]);
    const RandomSlot slot = random_slot(id);
    const std::uint32_t word = random_block(race.key(), slot.block).word[slot.word];
    if (!(race.bound(x, gumbel_bound(word)) < race.threshold())) race.enter(x, id, word);
  }
  return race.winner();
}

inline constexpr std::size_t kRandomLanes = 256;  // blocks of a chunk, and the distance between the ids of one
inline constexpr std::size_t kRaceLanes = 32;     // blocks drawn together

// The words of kRaceLanes consecutive blocks, one array a word.
struct RaceWords {
  alignas(64) std::uint32_t word[4][kRaceLanes];
};

inline void draw_words(const RandomKey& key, std::uint32_t first_block, RaceWords& words) noexcept {
  for (std::size_t lane = 0; lane < kRaceLanes; ++lane) {
    const PhiloxBlock block = random_block(key, first_block + static_cast<std::uint32_t>(lane));
    words.word[0][lane] = block.word[0];
    words.word[1][lane] = block.word[1];
    words.word[2][lane] = block.word[2];
    words.word[3][lane] = block.word[3];
  }
}

// Whether any of kRaceLanes tokens may beat the best so far.
inline bool any_can_win(const float* values, const std::uint32_t* words, float row_max, float inverse,
                        float threshold) noexcept {
  std::int32_t any = 0;
  for (std::size_t lane = 0; lane < kRaceLanes; ++lane) {
    const float bound = (values[lane] - row_max) * inverse + gumbel_bound(words[lane]);
    any |= bound < threshold ? 0 : 1;
  }
  return any != 0;
}

inline void race_lanes(GumbelRace& race, const float* values, std::int32_t first_id, const std::uint32_t* words,
                       std::uint64_t cut) noexcept {
  if (!any_can_win(values, words, race.row_max(), race.inverse_temperature(), race.threshold())) return;
  for (std::size_t lane = 0; lane < kRaceLanes; ++lane) {
    const float x = values[lane];
    const std::int32_t id = first_id + static_cast<std::int32_t>(lane);
    if (race.bound(x, gumbel_bound(words[lane])) < race.threshold()) continue;
    if (is_finite(x) && candidate_key(x, id) >= cut) race.enter(x, id, words[lane]);
  }
}

/// Lets the tokens of a chunk compete whose candidate key is at least `cut` (0: all).
template <class T>
void race_tokens(GumbelRace& race, RowChunks<T>& chunks, std::size_t chunk, std::uint64_t cut) noexcept {
  RaceWords words;
  const float* values = chunks.load(chunk);
  const std::size_t valid = chunks.valid(chunk);
  for (std::size_t lane = 0; lane < kRandomLanes && lane < valid; lane += kRaceLanes) {
    draw_words(race.key(), static_cast<std::uint32_t>(chunk * kRandomLanes + lane), words);
    for (std::size_t w = 0; w < 4; ++w) {
      const std::size_t begin = w * kRandomLanes + lane;
      race_lanes(race, values + begin, static_cast<std::int32_t>(chunk * kEntropyChunk + begin), words.word[w], cut);
    }
  }
}

/// The sample among the tokens of a row whose candidate key is at least `cut`, token by token. The row must be good and
/// at least one token must pass the cut.
template <class T>
std::int32_t race_kept(GumbelRace& race, RowChunks<T>& chunks, const RowSummary& row, std::uint64_t cut) noexcept {
  const float lowest = candidate_logit(cut);
  for (std::size_t c = 0; c < chunks.count(); ++c) {
    const float highest = row.extents[c].max;
    if (is_inf(highest) || highest < lowest || race.bound(highest, kGumbelMax) < race.threshold()) continue;
    race_tokens(race, chunks, c, cut);
  }
  return race.winner();
}

/// The mass of a chunk as `chunk_score` defines it.
inline double defined_mass(const float* values, float max, float temperature) noexcept {
  double sums[kRandomLanes];
  for (std::size_t b = 0; b < kRandomLanes; ++b) {
    const auto weight = [&](std::size_t q) { return mass_of_token(values[q * kRandomLanes + b], max, temperature); };
    sums[b] = add_rn(add_rn(weight(0), weight(1)), add_rn(weight(2), weight(3)));
  }
  for (std::size_t count = kRandomLanes; count > 1; count /= 2) {
    for (std::size_t i = 0; i < count / 2; ++i) sums[i] = add_rn(sums[2 * i], sums[2 * i + 1]);
  }
  return sums[0];
}

/// The race of the chunks of a good row.
template <class T>
class ChunkRace {
 public:
  ChunkRace(const RowSummary& row, const RandomKey& key, RowChunks<T>& chunks) noexcept
      : row_(row),
        key_(key),
        chunks_(chunks),
        inverse_(div_rn(1.0, static_cast<double>(row.temperature))),
        slack_(score_slack_nats(div_rn(static_cast<double>(row.max), static_cast<double>(row.temperature)))) {}

  /// The winner. `bounds`: room for a number a chunk.
  std::size_t run(float* bounds) noexcept {
    bound_all(bounds);
    for (;;) {
      const std::size_t next = static_cast<std::size_t>(std::max_element(bounds, bounds + chunks_.count()) - bounds);
      if (runs_ && widen(bounds[next]) < lead_.score - slack_) return lead_.chunk;
      if (is_inf(bounds[next])) return lead_.chunk;
      bounds[next] = kMinusInfinity;
      enter({next, float_score(next)});
    }
  }

 private:
  // Scores in float arithmetic are relative to the row's maximum.
  struct Entry {
    std::size_t chunk;
    double score;
  };

  double distance(std::size_t chunk) const noexcept {
    return add_rn(widen(row_.extents[chunk].max), -widen(row_.max)) * inverse_;
  }

  // What no chunk's score is above: as if each of its tokens were its best.
  void bound_all(float* bounds) const noexcept {
    constexpr double kMostMass = 6.9314719;  // log 1024, rounded up
    PhiloxBlock words{};
    for (std::size_t c = 0; c < chunks_.count(); ++c) {
      const NoisePlace place = chunk_place(static_cast<std::uint32_t>(c));
      if (place.slot.word == 0) words = random_block(key_, place.slot.block, place.stream);
      const double noise = widen(gumbel_bound(words.word[place.slot.word]));
      const bool competes = !is_inf(row_.extents[c].max);
      bounds[c] = competes ? static_cast<float>(distance(c) + kMostMass + noise) : kMinusInfinity;
    }
  }

  double noise(std::size_t chunk) const noexcept { return chunk_noise(key_, static_cast<std::uint32_t>(chunk)); }

  double float_score(std::size_t chunk) noexcept {
    const ChunkExtent& extent = row_.extents[chunk];
    const ChunkSums sums = chunk_sums(chunks_.load(chunk), extent, extent.max, row_.temperature);
    return distance(chunk) + exact_log(sums.sum) + noise(chunk);
  }

  double defined_score(std::size_t chunk) noexcept {
    const float max = row_.extents[chunk].max;
    const double mass = defined_mass(chunks_.load(chunk), max, row_.temperature);
    return chunk_score(max, row_.temperature, mass, noise(chunk));
  }

  void enter(const Entry& rival) noexcept {
    if (!runs_ || rival.score > lead_.score + slack_) {
      lead_ = rival;
    } else if (rival.score >= lead_.score - slack_) {
      const double own = defined_score(lead_.chunk);
      const double other = defined_score(rival.chunk);
      if (other > own || (other == own && rival.chunk < lead_.chunk)) lead_ = rival;
    }
    runs_ = true;
  }

  const RowSummary& row_;
  const RandomKey& key_;
  RowChunks<T>& chunks_;
  double inverse_;
  double slack_;
  Entry lead_{0, 0.0};
  bool runs_ = false;
};

/// The sample of a whole good row. `bounds`: room for a number a chunk.
template <class T>
std::int32_t race_row(GumbelRace& race, RowChunks<T>& chunks, const RowSummary& row, float* bounds) noexcept {
  race_tokens(race, chunks, ChunkRace<T>(row, race.key(), chunks).run(bounds), 0);
  return race.winner();
}

}  // namespace RESET_INSTRUCTION_SET
}  // namespace detail
RESET_NAMESPACE_END
