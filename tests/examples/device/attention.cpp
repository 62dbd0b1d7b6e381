// Attention over as long a past as the engine has, by its kernels alone, against sums in double.
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "attention.hpp"
#include "device_buffer.hpp"
#include "examples/device/reduced.hpp"
#include "support/catch.hpp"

namespace {

using engine::cuda::DeviceBuffer;

constexpr int kHeads = 8;  // of one key-value head
constexpr int kDim = 128;
constexpr int kSlots = 3;
constexpr int kVectors = kHeads + 2;  // of a row: queries, key, value
constexpr int kTile = 64;             // tokens that a CTA reads at a time
constexpr float kEpsilon = 1e-6F;
// Makes a key that is a query as likely as all of some tens of thousands of others together, or a third of them.
constexpr float kEcho = 0.42F;

using Vector = std::array<float, kDim>;

float rounded(double x) { return __bfloat162float(__float2bfloat16(static_cast<float>(x))); }

std::size_t size_of(std::int64_t count) { return static_cast<std::size_t>(count); }

// Keys and values of every slot, and what both kinds of rows go through.
struct Past {
  int capacity;
  std::vector<Vector> keys, values;  // [slot][position], numbers that bfloat16 has
  std::vector<float2> rotations;
  Vector query_weight, key_weight;

  Past(int positions, std::mt19937& random) : capacity(positions) {
    std::uniform_real_distribution<float> uniform(-1, 1);
    for (int i = 0; i < kDim; ++i) {
      query_weight[size_of(i)] = rounded(1.5 + 0.5 * static_cast<double>(uniform(random)));
      key_weight[size_of(i)] = rounded(static_cast<double>(kEcho * query_weight[size_of(i)]));
    }
    for (int slot = 0; slot < kSlots; ++slot) {
      for (int position = 0; position < capacity; ++position) {
        keys.emplace_back();
        for (float& x : keys.back()) x = rounded(2 * static_cast<double>(uniform(random)));
        values.push_back(value(position, random));
      }
    }
    for (int position = 0; position < capacity; ++position) {
      for (int i = 0; i < kDim / 2; ++i) {
        const float angle = static_cast<float>(position) * std::pow(1e6F, -2.0F * static_cast<float>(i) / kDim);
        rotations.push_back({std::cos(angle), std::sin(angle)});
      }
    }
  }

  // One column for every 64th tile, which tells the weight of those tiles; the other columns are random.
  static Vector value(int position, std::mt19937& random) {
    std::uniform_real_distribution<float> uniform(-1, 1);
    Vector x;
    for (int i = 0; i < kDim; ++i) {
      const float in_tile = position / kTile % (kDim / 2) == i ? 1.0F : 0.0F;
      x[size_of(i)] = i < kDim / 2 ? in_tile : rounded(static_cast<double>(uniform(random)));
    }
    return x;
  }

  std::size_t at(int slot, int position) const { return size_of(slot) * size_of(capacity) + size_of(position); }

  // RMSNorm and rotary position, as bfloat16.
  Vector prepared(const Vector& x, const Vector& weight, int position) const {
    double squares = 0;
    for (const float element : x) squares += static_cast<double>(element) * static_cast<double>(element);
    const double factor = 1 / std::sqrt(squares / kDim + static_cast<double>(kEpsilon));
    Vector result;
    for (std::size_t i = 0; i < kDim / 2; ++i) {
      const double low = static_cast<double>(x[i]) * factor * static_cast<double>(weight[i]);
      const double high = static_cast<double>(x[i + kDim / 2]) * factor * static_cast<double>(weight[i + kDim / 2]);
      const float2 turn = rotations[size_of(position) * (kDim / 2) + i];
      result[i] = rounded(low * static_cast<double>(turn.x) - high * static_cast<double>(turn.y));
      result[i + kDim / 2] = rounded(high * static_cast<double>(turn.x) + low * static_cast<double>(turn.y));
    }
    return result;
  }
};

// A token that reads the past: its queries, its key, its value.
struct Row {
  int slot;
  int position;
  std::array<Vector, kVectors> vectors;

  Row(int of_slot, int at, std::mt19937& random) : slot(of_slot), position(at) {
    std::normal_distribution<float> normal;
    for (int head = 0; head < kHeads; ++head) {
      for (float& x : vectors[size_of(head)]) x = rounded(static_cast<double>(normal(random)));
    }
    vectors[kHeads] = vectors[kHeads - 1];  // the last head finds the row's own token
    vectors[kHeads + 1] = Past::value(position, random);
  }
  Vector query(const Past& past, int head) const {
    return past.prepared(vectors[size_of(head)], past.query_weight, position);
  }
  // What the row's own token adds to the past, which the kernels are to store.
  void store(Past& past) const {
    past.keys[past.at(slot, position)] = past.prepared(vectors[kHeads], past.key_weight, position);
    past.values[past.at(slot, position)] = vectors[kHeads + 1];
  }
  // The other heads each find a token, at the beginning, in the middle and at the end of the past.
  void echo(Past& past) const {
    const int places[] = {0, 1, kTile - 1, kTile, position / 2, position - kTile, position - 1};
    for (int head = 0; head + 1 < kHeads; ++head) {
      const Vector found = query(past, head);
      Vector& key = past.keys[past.at(slot, places[head])];
      std::transform(found.begin(), found.end(), key.begin(),
                     [](float x) { return rounded(static_cast<double>(kEcho * x)); });
    }
  }
};

// The result of a head, and of each column the mean magnitude of what it is the mean of.
struct Expected {
  std::array<double, kDim> mean = {};
  std::array<double, kDim> magnitude = {};
};

Expected expected(const Past& past, const Row& row, int head) {
  const Vector query = row.query(past, head);
  std::vector<double> scores;
  for (int position = 0; position <= row.position; ++position) {
    const Vector& key = past.keys[past.at(row.slot, position)];
    double score = 0;
    for (std::size_t i = 0; i < kDim; ++i) score += static_cast<double>(query[i]) * static_cast<double>(key[i]);
    scores.push_back(score / std::sqrt(static_cast<double>(kDim)));
  }
  const double largest = *std::max_element(scores.begin(), scores.end());
  Expected result;
  double total = 0;
  for (int position = 0; position <= row.position; ++position) {
    const double weight = std::exp(scores[size_of(position)] - largest);
    const Vector& value = past.values[past.at(row.slot, position)];
    total += weight;
    for (std::size_t i = 0; i < kDim; ++i) {
      result.mean[i] += weight * static_cast<double>(value[i]);
      result.magnitude[i] += weight * std::fabs(static_cast<double>(value[i]));
    }
  }
  for (std::size_t i = 0; i < kDim; ++i) {
    result.mean[i] /= total;
    result.magnitude[i] /= total;
  }
  return result;
}

std::vector<__nv_bfloat16> flat(const Vector* vectors, std::size_t count) {
  std::vector<__nv_bfloat16> values;
  for (std::size_t i = 0; i < count; ++i) {
    for (const float x : vectors[i]) values.push_back(__float2bfloat16(x));
  }
  return values;
}

// The past as it is before the rows have stored theirs, on the device, and the call that reads it.
struct OnDevice {
  DeviceBuffer<__nv_bfloat16> keys, values, query_weight, key_weight, qkv;
  DeviceBuffer<float2> rotations;
  DeviceBuffer<float> parts;
  DeviceBuffer<float2> sums;
  DeviceBuffer<std::int32_t> positions;
  engine::cuda::AttentionCall call;

  OnDevice(const Past& past, const std::vector<Row>& rows, int splits)
      : keys(flat(past.keys.data(), past.keys.size())),
        values(flat(past.values.data(), past.values.size())),
        query_weight(flat(&past.query_weight, 1)),
        key_weight(flat(&past.key_weight, 1)),
        qkv(flat_rows(rows)),
        rotations(past.rotations),
        parts(rows.size() * size_of(kHeads * splits * kDim)),
        sums(rows.size() * size_of(kHeads * splits)),
        positions(positions_of(rows)) {
    call.shape.heads = kHeads;
    call.shape.kv_heads = 1;
    call.shape.head_dim = kDim;
    call.shape.splits = splits;
    engine::cuda::prepare_attention(call.shape);
    call.norms = {nullptr, query_weight.data(), key_weight.data(), kEpsilon, rotations.data()};
    call.cache = {keys.data(), values.data(), past.capacity};
    call.qkv = qkv.data();
    call.rows = static_cast<int>(rows.size());
    call.parts = parts.data();
    call.part_sums = sums.data();
  }

  static std::vector<__nv_bfloat16> flat_rows(const std::vector<Row>& rows) {
    std::vector<__nv_bfloat16> all;
    for (const Row& row : rows) {
      const auto one = flat(row.vectors.data(), row.vectors.size());
      all.insert(all.end(), one.begin(), one.end());
    }
    return all;
  }
  static std::vector<std::int32_t> positions_of(const std::vector<Row>& rows) {
    std::vector<std::int32_t> all;
    for (const Row& row : rows) all.push_back(row.position);
    return all;
  }

  // What attend() writes itself.
  std::vector<__nv_bfloat16> direct() {
    const auto count = size_of(call.rows) * kHeads * kDim;
    const DeviceBuffer<__nv_bfloat16> out(count);
    REQUIRE(cudaMemset(out.data(), 0xff, out.bytes()) == cudaSuccess);
    call.out = out.data();
    engine::cuda::attend(call, {nullptr, false});
    call.out = nullptr;
    std::vector<__nv_bfloat16> found(count);
    REQUIRE(cudaMemcpy(found.data(), out.data(), out.bytes(), cudaMemcpyDeviceToHost) == cudaSuccess);
    return found;
  }

  std::vector<__nv_bfloat16> merged() const {
    const auto count = size_of(call.rows) * kHeads * kDim;
    const DeviceBuffer<__nv_bfloat16> out(count);
    REQUIRE(cudaMemset(out.data(), 0xff, out.bytes()) == cudaSuccess);
    engine::cuda::merge(call, out.data(), {nullptr, false});
    std::vector<__nv_bfloat16> found(count);
    REQUIRE(cudaMemcpy(found.data(), out.data(), out.bytes(), cudaMemcpyDeviceToHost) == cudaSuccess);
    return found;
  }
};

// Softmax weights and results are each rounded to bfloat16, by 2^-9 of them at most; twice that leaves room for scores
// in float and for a query next to a tie.
void check_rows(const std::vector<__nv_bfloat16>& found, const std::vector<std::vector<Expected>>& wanted) {
  double worst = 0;
  int wrong = 0;  // counts what is not a number, too
  std::size_t at = 0;
  for (const auto& row : wanted) {
    for (const Expected& head : row) {
      for (std::size_t i = 0; i < kDim; ++i, ++at) {
        const double bound = 0x1p-8 * (head.magnitude[i] + std::fabs(head.mean[i])) + 1e-6;
        const double error = std::fabs(static_cast<double>(__bfloat162float(found[at])) - head.mean[i]);
        worst = std::max(worst, error / bound);
        wrong += error <= bound ? 0 : 1;
      }
    }
  }
  std::printf("  attention: worst error %.3f of its bound\n", worst);
  CHECK(wrong == 0);
}

void check_same(const std::vector<__nv_bfloat16>& found, const std::vector<__nv_bfloat16>& expected) {
  REQUIRE(found.size() == expected.size());
  CHECK(std::memcmp(found.data(), expected.data(), found.size() * sizeof found[0]) == 0);
}

std::vector<std::vector<Expected>> all_expected(const Past& past, const std::vector<Row>& rows) {
  std::vector<std::vector<Expected>> all;
  for (const Row& row : rows) {
    all.emplace_back();
    for (int head = 0; head < kHeads; ++head) all.back().push_back(expected(past, row, head));
  }
  return all;
}

// Whether the caches hold what the rows had to store; a key next to a tie may have been rounded the other way.
void check_stored(const OnDevice& device, const Past& past, const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    const std::size_t from = past.at(row.slot, row.position);
    std::array<__nv_bfloat16, kDim> key, value;
    REQUIRE(cudaMemcpy(key.data(), device.keys.data() + from * kDim, sizeof key, cudaMemcpyDeviceToHost) ==
            cudaSuccess);
    REQUIRE(cudaMemcpy(value.data(), device.values.data() + from * kDim, sizeof value, cudaMemcpyDeviceToHost) ==
            cudaSuccess);
    for (std::size_t i = 0; i < kDim; ++i) {
      REQUIRE(__bfloat162float(value[i]) == past.values[from][i]);
      REQUIRE(std::fabs(__bfloat162float(key[i]) - past.keys[from][i]) <=
              0x1p-7F * std::fabs(past.keys[from][i]) + 1e-6F);
    }
  }
}

}  // namespace

TEST_CASE("a step's attention near 32 thousand tokens is that of sums in double", "[attention]") {
  const int capacity = testing::at_most(32768, 1024);
  std::mt19937 random(8);
  Past past(capacity, random);
  // The last position, the last of a tile, the first of a tile.
  const int positions[kSlots] = {capacity - 1, capacity - 5 * kTile - 1, capacity - 3 * kTile};
  std::vector<Row> rows;
  for (int slot = 0; slot < kSlots; ++slot) rows.emplace_back(slot, positions[slot], random);
  for (const Row& row : rows) row.echo(past);
  Past whole = past;
  for (const Row& row : rows) row.store(whole);
  const auto wanted = all_expected(whole, rows);
  for (const int splits : {1, 5, engine::cuda::kMaxSplits}) {
    CAPTURE(splits);
    OnDevice device(past, rows, splits);
    device.call.positions = device.positions.data();
    engine::cuda::attend(device.call, {nullptr, false});
    check_rows(device.merged(), wanted);
    check_stored(device, whole, rows);
    if (splits == 1) check_same(device.direct(), device.merged());
  }
}

TEST_CASE("a row at a negative position gives zeros", "[attention]") {
  std::mt19937 random(10);
  const Past past(2 * kTile, random);
  std::vector<Row> rows;
  for (int slot = 0; slot < kSlots; ++slot) rows.emplace_back(slot, kTile, random);
  rows[1].position = -1;
  OnDevice device(past, rows, 1);
  device.call.positions = device.positions.data();
  engine::cuda::attend(device.call, {nullptr, false});
  const auto found = device.direct();
  check_same(found, device.merged());
  for (std::size_t i = kHeads * kDim; i < 2 * kHeads * kDim; ++i) REQUIRE(__bfloat162float(found[i]) == 0.0F);
}

TEST_CASE("a prompt's attention near 32 thousand tokens is that of sums in double", "[attention]") {
  const int capacity = testing::at_most(32768, 1024);
  constexpr int kSlot = 1;
  std::mt19937 random(9);
  Past past(capacity, random);
  std::vector<Row> rows;
  for (int position = capacity - 5; position < capacity; ++position) rows.emplace_back(kSlot, position, random);
  rows.front().echo(past);
  Past whole = past;
  for (const Row& row : rows) row.store(whole);
  OnDevice device(past, rows, 1);
  device.call.first_slot = kSlot;
  device.call.first_position = rows.front().position;
  engine::cuda::store_prompt(device.call, {nullptr, false});
  engine::cuda::attend(device.call, {nullptr, false});
  check_rows(device.merged(), all_expected(whole, rows));
  check_stored(device, whole, rows);
  check_same(device.direct(), device.merged());
}
