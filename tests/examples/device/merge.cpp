// The merge of attention's parts, in bfloat16 and in NVFP4, against a sum in double.
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <random>
#include <vector>

#include <reset/nvfp4/matrix.hpp>
#include <reset/nvfp4/quantize.hpp>

#include "attention.hpp"
#include "device_buffer.hpp"
#include "support/catch.hpp"

namespace {

using engine::cuda::DeviceBuffer;

constexpr int kRows = 2;

// Parts of which the first `present` of each head are written; the others hold what a call before left: NaN.
struct Parts {
  engine::cuda::AttentionShape shape;
  std::vector<float> values;
  std::vector<float2> sums;

  Parts(const engine::cuda::AttentionShape& of, int present, std::mt19937& random) : shape(of) {
    std::normal_distribution<float> normal;
    const int parts = kRows * shape.heads * shape.splits;
    values.assign(static_cast<std::size_t>(parts * shape.head_dim), std::numeric_limits<float>::quiet_NaN());
    for (int part = 0; part < parts; ++part) {
      const bool written = part % shape.splits < present;
      sums.push_back(written ? float2{40.0F * normal(random), 1.0F + std::fabs(normal(random))}
                             : float2{-std::numeric_limits<float>::infinity(), 0.0F});
      for (int i = 0; written && i < shape.head_dim; ++i) values[index(part, i)] = normal(random);
    }
  }

  std::int64_t columns() const { return static_cast<std::int64_t>(shape.heads) * shape.head_dim; }
  std::size_t index(int part, int column) const { return static_cast<std::size_t>(part * shape.head_dim + column); }

  double expected(std::int64_t row, std::int64_t column, int present) const {
    const auto first = static_cast<int>((row * shape.heads + column / shape.head_dim) * shape.splits);
    double most = -std::numeric_limits<double>::infinity();
    for (int i = 0; i < present; ++i) most = std::fmax(most, static_cast<double>(sum(first + i).x));
    double total = 0;
    double value = 0;
    for (int i = 0; i < present; ++i) {
      const double factor = std::exp2(static_cast<double>(sum(first + i).x) - most);
      total += factor * static_cast<double>(sum(first + i).y);
      value += factor * static_cast<double>(values[index(first + i, static_cast<int>(column % shape.head_dim))]);
    }
    return total == 0 ? 0 : value / total;
  }

  const float2& sum(int part) const { return sums[static_cast<std::size_t>(part)]; }
};

template <class T>
std::vector<T> download(const DeviceBuffer<T>& buffer) {
  std::vector<T> values(buffer.size());
  REQUIRE(cudaMemcpy(values.data(), buffer.data(), buffer.bytes(), cudaMemcpyDeviceToHost) == cudaSuccess);
  return values;
}

// Parts on the device, and the call that merges them.
struct OnDevice {
  DeviceBuffer<float> values;
  DeviceBuffer<float2> sums;
  engine::cuda::AttentionCall call;

  explicit OnDevice(const Parts& parts) : values(parts.values), sums(parts.sums) {
    call.shape = parts.shape;
    call.rows = kRows;
    call.parts = values.data();
    call.part_sums = sums.data();
  }
};

std::vector<__nv_bfloat16> merged(const Parts& parts) {
  const OnDevice device(parts);
  DeviceBuffer<__nv_bfloat16> out(static_cast<std::size_t>(kRows * parts.columns()));
  REQUIRE(cudaMemset(out.data(), 0xa5, out.bytes()) == cudaSuccess);
  engine::cuda::merge(device.call, out.data(), {nullptr, false});
  return download(out);
}

// Rows of NVFP4 with linear scales.
struct Quantised {
  std::vector<std::uint8_t> packed;
  std::vector<std::uint8_t> scales;
};

constexpr float kGlobal = 0x1p-8F;

reset::Nvfp4MutableMatrixView view_of(std::int64_t columns, std::uint8_t* packed, std::uint8_t* scales) {
  reset::Nvfp4MutableMatrixView view;
  view.packed = packed;
  view.rows = kRows;
  view.cols = columns;
  view.row_stride = columns / 2;
  view.block_scale = {scales, reset::ScaleLayout::kLinear, columns / 16, 0, 0};
  view.global = reset::FusedGlobalScales::uniform({kGlobal});
  return view;
}

Quantised merged_and_quantised(const Parts& parts) {
  const OnDevice device(parts);
  const auto count = static_cast<std::size_t>(kRows * parts.columns());
  const DeviceBuffer<std::uint8_t> packed(std::vector<std::uint8_t>(count / 2, 0xa5));
  const DeviceBuffer<std::uint8_t> scales(std::vector<std::uint8_t>(count / 16, 0xa5));
  engine::cuda::merge_quantize(device.call, view_of(parts.columns(), packed.data(), scales.data()), {nullptr, false});
  return {download(packed), download(scales)};
}

Quantised expected_quantised(const Parts& parts, int present) {
  const std::int64_t columns = parts.columns();
  const auto count = static_cast<std::size_t>(kRows * columns);
  Quantised expected{std::vector<std::uint8_t>(count / 2), std::vector<std::uint8_t>(count / 16)};
  std::vector<float> x;
  for (std::int64_t i = 0; i < kRows * columns; ++i) {
    x.push_back(static_cast<float>(parts.expected(i / columns, i % columns, present)));
  }
  reset::quantize_rows(reset::RoundToNearest(), x.data(), columns, 0, kRows, nullptr,
                       view_of(columns, expected.packed.data(), expected.scales.data()));
  return expected;
}

// Whether two bytes of codes are the same or, element by element, neighbours.
bool neighbours(std::uint8_t a, std::uint8_t b) {
  const auto near = [](int x, int y) {
    const auto signed_code = [](int code) { return code < 8 ? code : -(code - 8); };
    return std::abs(signed_code(x) - signed_code(y)) <= 1;
  };
  return near(a & 15, b & 15) && near(a >> 4, b >> 4);
}

// Blocks that are not those of the sums in double: a merge in float may round another way now and then, but then to a
// neighbour.
int other_blocks(const Quantised& expected, const Quantised& found) {
  int others = 0;
  for (std::size_t block = 0; block < found.scales.size(); ++block) {
    bool other = found.scales[block] != expected.scales[block];
    REQUIRE(std::abs(found.scales[block] - expected.scales[block]) <= 1);
    for (std::size_t i = block * 8; i < block * 8 + 8; ++i) {
      REQUIRE(neighbours(found.packed[i], expected.packed[i]));
      other = other || found.packed[i] != expected.packed[i];
    }
    others += other ? 1 : 0;
  }
  return others;
}

}  // namespace

TEST_CASE("merged parts are the weighted mean of those that were written", "[merge]") {
  std::mt19937 random(5);
  int blocks = 0;
  int others = 0;
  for (const int head_dim : {16, 32, 64, 128}) {
    for (int splits = 1; splits <= engine::cuda::kMaxSplits; ++splits) {
      for (int present = 0; present <= splits; ++present) {
        const Parts parts({3, 1, head_dim, splits}, present, random);
        CAPTURE(head_dim, splits, present);
        const std::vector<__nv_bfloat16> dense = merged(parts);
        for (std::size_t i = 0; i < dense.size(); ++i) {
          const auto at = static_cast<std::int64_t>(i);
          const double expected = parts.expected(at / parts.columns(), at % parts.columns(), present);
          const double error = std::fabs(static_cast<double>(__bfloat162float(dense[i])) - expected);
          REQUIRE(error <= 1e-5 + 0x1.01p-8 * std::fabs(expected));
        }
        const Quantised quantised = merged_and_quantised(parts);
        blocks += static_cast<int>(quantised.scales.size());
        others += other_blocks(expected_quantised(parts, present), quantised);
      }
    }
  }
  CAPTURE(others, blocks);
  CHECK(others <= blocks / 500);
}

TEST_CASE("a part that is not a number makes the result none", "[merge]") {
  std::mt19937 random(6);
  for (const int bad : {0, 7, 8, 10}) {
    Parts parts({1, 1, 16, 12}, 11, random);
    parts.values[parts.index(bad, 3)] = std::numeric_limits<float>::quiet_NaN();
    const std::vector<__nv_bfloat16> dense = merged(parts);
    CHECK(std::isnan(__bfloat162float(dense[3])));
    CHECK(!std::isnan(__bfloat162float(dense[2])));
    const Quantised quantised = merged_and_quantised(parts);
    CHECK(quantised.scales[0] == 0x7f);
    CHECK(quantised.scales[1] != 0x7f);
  }
}
