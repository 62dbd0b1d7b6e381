// The merge of attention's parts on its way to NVFP4, as a thread of the device does it, against a sum in double.
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "merge_on_host.hpp"
#include "support/catch.hpp"

#include <reset/detail/rounding.hpp>

namespace {

// Parts of which the first `present` of each head are written; the others hold what a call before left: NaN.
struct Parts {
  MergeShape shape;
  std::vector<float> values;
  std::vector<float2> sums;

  Parts(const MergeShape& of, int rows, int present, std::mt19937& random) : shape(of) {
    std::normal_distribution<float> normal;
    const int parts = rows * shape.heads * shape.splits;
    values.assign(static_cast<std::size_t>(parts * shape.head_dim), std::numeric_limits<float>::quiet_NaN());
    for (int part = 0; part < parts; ++part) {
      const bool written = part % shape.splits < present;
      sums.push_back(written ? float2{40.0F * normal(random), 1.0F + std::fabs(normal(random))}
                             : float2{-std::numeric_limits<float>::infinity(), 0.0F});
      for (int i = 0; written && i < shape.head_dim; ++i) values[index(part, i)] = normal(random);
    }
  }

  std::size_t index(int part, int column) const { return static_cast<std::size_t>(part * shape.head_dim + column); }

  double expected(int row, int column, int present) const {
    const int first = (row * shape.heads + column / shape.head_dim) * shape.splits;
    double most = -std::numeric_limits<double>::infinity();
    for (int i = 0; i < present; ++i) most = std::fmax(most, static_cast<double>(sum(first + i).x));
    double total = 0;
    double value = 0;
    for (int i = 0; i < present; ++i) {
      const double factor = std::exp2(static_cast<double>(sum(first + i).x) - most);
      total += factor * static_cast<double>(sum(first + i).y);
      value += factor * static_cast<double>(values[index(first + i, column % shape.head_dim)]);
    }
    return total == 0 ? 0 : value / total;
  }

  const float2& sum(int part) const { return sums[static_cast<std::size_t>(part)]; }
};

}  // namespace

TEST_CASE("merged parts are the weighted mean of those that were written") {
  std::mt19937 random(5);
  for (const int head_dim : {16, 64, 128}) {
    for (int splits = 1; splits <= 16; ++splits) {
      for (int present = 0; present <= splits; ++present) {
        const MergeShape shape = {3, head_dim, splits};
        const Parts parts(shape, 2, present, random);
        CAPTURE(head_dim, splits, present);
        for (const int row : {0, 1}) {
          for (int octet = 0; octet < shape.heads * head_dim / 8; ++octet) {
            float result[8];
            merge_on_host(parts.values.data(), parts.sums.data(), shape, row, octet, result);
            for (int i = 0; i < 8; ++i) {
              const double expected = parts.expected(row, octet * 8 + i, present);
              REQUIRE(std::fabs(static_cast<double>(result[i]) - expected) <= 1e-5 * (1 + std::fabs(expected)));
            }
          }
        }
      }
    }
  }
}

TEST_CASE("a part that is not a number makes the result none") {
  std::mt19937 random(6);
  const MergeShape shape = {1, 16, 12};
  for (const int bad : {0, 7, 8, 10}) {
    Parts parts(shape, 1, 11, random);
    parts.values[parts.index(bad, 3)] = std::numeric_limits<float>::quiet_NaN();
    float result[8];
    merge_on_host(parts.values.data(), parts.sums.data(), shape, 0, 0, result);
    CHECK(reset::detail::is_nan(result[3]));
    CHECK(!reset::detail::is_nan(result[2]));
  }
}
