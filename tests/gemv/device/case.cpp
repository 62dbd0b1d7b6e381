#include "gemv/device/case.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <thread>

#include "gemv/device/half.hpp"

#include <reset/nvfp4/reference.hpp>

namespace {

using reset::ActivationType;
using reset::GemvGate;
using reset::OutputType;
using reset::ScaleLayout;

constexpr double kUnit = 0x1p-24;
constexpr std::int64_t kRowsBehind = 3;  // of poison behind the output: as many as a thread could store too many

void randomise(std::vector<std::uint8_t>& bytes, std::mt19937& random) {
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
}

// Every code but the NaNs: zero, subnormals, 448 and the negative ones. The edges: those that decode at a limit.
void randomise_scales(std::vector<std::uint8_t>& bytes, Inputs inputs, std::mt19937& random) {
  constexpr std::uint8_t kEdges[] = {0x7e, 0xfe, 0x01, 0x81, 0x07, 0x08, 0x00, 0x80};
  for (std::uint8_t& byte : bytes) {
    byte = static_cast<std::uint8_t>(random());
    if ((byte & 0x7f) == 0x7f) byte = 0x7e;
    if (inputs == Inputs::kEdges) byte = kEdges[byte % 8];
    if (inputs == Inputs::kTiny) byte = static_cast<std::uint8_t>((byte & 0x80) | (1 + byte % 7));
  }
}

// What of a scale tensor is not the matrix's becomes NaN: it may be read, and must not count.
void spoil_surroundings(std::vector<std::uint8_t>& bytes, const reset::BlockScaleView& scale, std::int64_t rows,
                        std::int64_t blocks) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto place = reset::scale_coordinate(scale.layout, scale.stride, static_cast<std::int64_t>(i));
    const std::int64_t row = place.row - scale.row_origin;
    const std::int64_t block = place.block - scale.block_origin;
    if (row < 0 || row >= rows || block < 0 || block >= blocks) bytes[i] = 0x7f;
  }
}

reset::Nvfp4MatrixView with_memory(reset::Nvfp4MatrixView view, const std::uint8_t* packed,
                                   const std::uint8_t* scales) {
  view.packed = packed;
  view.block_scale.data = scales;
  return view;
}

}  // namespace

std::string CaseOptions::text() const {
  char line[320];
  std::snprintf(
      line, sizeof line,
      "n %d k %d m %d activation %d output %d gate %d layouts %d %d residual %d bias %d alpha %d parts %d "
      "slack %d misalignment %d %d origin %d %d behind %d origin of x %d %d behind %d nan %d inputs %d seed %u",
      static_cast<int>(n), static_cast<int>(k), static_cast<int>(m), static_cast<int>(activation),
      static_cast<int>(output), static_cast<int>(gate), static_cast<int>(layout), static_cast<int>(x_layout),
      static_cast<int>(residual), bias, device_alpha, parts, slack, misalignment, x_misalignment, row_origin,
      block_origin, blocks_behind, x_row_origin, x_block_origin, x_blocks_behind, nan_scale, static_cast<int>(inputs),
      seed);
  return line;
}

Case::Case(const CaseOptions& options, const reset::DeviceInfo& device) : options_(options) {
  make_weights();
  make_epilogue();
  make_activations(options.seed);
  kernel_ = reset::select_gemv_policy(device, device_).kernel;
  poison();
}

void Case::make_weights() {
  std::mt19937 random(options_.seed + 1000);
  const std::int64_t stride = options_.k / 2 + options_.slack;
  packed_.resize(static_cast<std::size_t>((options_.n - 1) * stride + options_.k / 2));
  randomise(packed_, random);
  const std::int64_t rows = options_.row_origin + options_.n;
  const std::int64_t blocks = options_.block_origin + options_.k / 16 + options_.blocks_behind;
  scales_.resize(static_cast<std::size_t>(reset::scale_bytes(options_.layout, rows, blocks)));
  randomise_scales(scales_, options_.inputs, random);
  const reset::BlockScaleView scale{nullptr, options_.layout, reset::scale_stride(options_.layout, blocks),
                                    options_.row_origin, options_.block_origin};
  spoil_surroundings(scales_, scale, options_.n, options_.k / 16);
  if (options_.nan_scale) {
    scales_[static_cast<std::size_t>(scale.offset(options_.n / 2, options_.k / 16 - 1))] = 0x7f;
  }
  reset::FusedGlobalScales global{};
  global.count = options_.parts;
  for (int part = 0; part < options_.parts; ++part) {
    global.parts[part] = {options_.n * part / options_.parts + (part > 0 ? 1 : 0),
                          {0x1.8p-9f * static_cast<float>(part + 1)}};
  }
  host_.weights = {packed_.data(), options_.n, options_.k, stride, scale, global};
  host_.weights = with_memory(host_.weights, packed_.data(), scales_.data());
  d_packed_ = std::make_unique<DeviceBytes>(packed_, static_cast<std::size_t>(options_.misalignment));
  d_scales_ = std::make_unique<DeviceBytes>(scales_);
  host_.tokens = options_.m;
  host_.gate = options_.gate;
  device_ = host_;
  device_.weights = with_memory(host_.weights, d_packed_->data(), d_scales_->data());
}

void Case::make_nvfp4(std::mt19937& random, reset::ActivationView& view) {
  const std::int64_t stride = options_.k / 2 + options_.slack;
  x_.resize(static_cast<std::size_t>((options_.m - 1) * stride + options_.k / 2));
  randomise(x_, random);
  const std::int64_t blocks = options_.x_block_origin + options_.k / 16 + options_.x_blocks_behind;
  x_scales_.resize(
      static_cast<std::size_t>(reset::scale_bytes(options_.x_layout, options_.x_row_origin + options_.m, blocks)));
  randomise_scales(x_scales_, options_.inputs, random);
  const reset::BlockScaleView scale{x_scales_.data(), options_.x_layout, reset::scale_stride(options_.x_layout, blocks),
                                    options_.x_row_origin, options_.x_block_origin};
  spoil_surroundings(x_scales_, scale, options_.m, options_.k / 16);
  view.nvfp4 = {x_.data(), options_.m, options_.k, stride, scale, reset::FusedGlobalScales::uniform({0x1.4p-8f})};
  if (options_.inputs == Inputs::kNonFinite) {
    const std::int64_t place = view.nvfp4.block_scale.offset(options_.m / 2, options_.k / 16 - 1);
    x_scales_[static_cast<std::size_t>(place)] = 0x7f;
  }
}

void Case::make_dense(std::mt19937& random, reset::ActivationView& view) {
  const bool bf16 = options_.activation == ActivationType::kBf16;
  const auto type = bf16 ? OutputType::kBf16 : OutputType::kFp16;
  view.row_stride = options_.k + options_.slack;
  const std::int64_t count = (options_.m - 1) * view.row_stride + options_.k;
  x_.resize(static_cast<std::size_t>(count) * 2);
  view.dense = x_.data();
  const auto put_code = [&](std::int64_t token, std::int64_t k, std::uint32_t code) {
    const auto place = static_cast<std::size_t>((token * view.row_stride + k) * 2);
    x_[place] = static_cast<std::uint8_t>(code);
    x_[place + 1] = static_cast<std::uint8_t>(code >> 8);
  };
  std::normal_distribution<double> normal;
  const bool wide = options_.inputs == Inputs::kWide || options_.inputs == Inputs::kEdges;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto bits = static_cast<std::uint32_t>(random());
    const std::int64_t block = i / 16;
    if (wide && block % 7 == 3) {
      put_code(0, i, 0);
    } else if (wide && bf16 && block % 7 == 5) {
      put_code(0, i, (bits & 0x807fu) | (1 + (bits >> 16) % 14) << 7);  // as small as normal ones are
    } else if (!wide) {
      put_element(x_.data(), type, i, normal(random) * (i % 37 == 0 ? 100.0 : i % 11 == 0 ? 1e-6 : 1.0));
    } else if (bf16) {
      put_code(0, i, (bits & 0x807fu) | (97 + (bits >> 16) % 61) << 7);
    } else {
      put_code(0, i, (bits & 0x7c00u) == 0x7c00u ? (bits & 0x8000u) | 0x7bffu : bits);
    }
  }
  if (options_.inputs != Inputs::kNonFinite) return;
  const std::uint32_t infinity = bf16 ? 0x7f80 : 0x7c00;
  const unsigned turn = options_.seed % 4;
  const bool alone = options_.m == 1;
  if (!alone || turn == 0) put_code(0, 1, infinity | 1);  // a NaN
  put_code(options_.m / 2, options_.k / 3, alone && turn == 1 ? infinity | 0x8000 : infinity);
  if (alone && turn == 2) put_code(0, 0, infinity | 0x8000);
  if (options_.m > 3) {
    put_code(options_.m - 1, 0, infinity);
    put_code(options_.m - 1, options_.k - 1, infinity | 0x8000);
  }
}

void Case::make_activations(unsigned seed) {
  std::mt19937 random(seed);
  reset::ActivationView view;
  view.type = options_.activation;
  auto misalignment = static_cast<std::size_t>(options_.misalignment + options_.x_misalignment);
  if (options_.activation == ActivationType::kNvfp4) {
    make_nvfp4(random, view);
  } else {
    misalignment &= ~std::size_t{1};
    make_dense(random, view);
  }
  host_.activations = view;
  device_.activations = view;
  if (d_x_ == nullptr) {
    d_x_ = std::make_unique<DeviceBytes>(x_, misalignment);
    d_x_scales_ = std::make_unique<DeviceBytes>(x_scales_);
  }
  d_x_->upload(x_);
  d_x_scales_->upload(x_scales_);
  if (options_.activation == ActivationType::kNvfp4) {
    device_.activations.nvfp4 = with_memory(view.nvfp4, d_x_->data(), d_x_scales_->data());
  } else {
    device_.activations.dense = d_x_->data();
  }
  compute_sums();
}

void Case::refresh(unsigned seed) { make_activations(seed); }

void Case::make_epilogue() {
  std::mt19937 random(options_.seed + 2000);
  std::normal_distribution<double> normal;
  const std::int64_t columns = reset::result_columns(host_);
  const std::int64_t bytes = reset::element_bytes(options_.output);
  const std::int64_t stride = columns + options_.slack;
  const std::int64_t elements = options_.m * stride;
  const auto fill = [&](std::vector<std::uint8_t>& data, std::int64_t count) {
    data.resize(static_cast<std::size_t>(count * bytes));
    for (std::int64_t i = 0; i < count; ++i) put_element(data.data(), options_.output, i, normal(random));
  };
  fill(residual_, elements);
  // What is not written must not pass for a result.
  const bool may_be_nan = options_.nan_scale || options_.inputs == Inputs::kNonFinite;
  initial_.assign(static_cast<std::size_t>((elements + kRowsBehind * stride) * bytes), may_be_nan ? 0x41 : 0xff);
  if (options_.residual == Residual::kInPlace) std::copy(residual_.begin(), residual_.end(), initial_.begin());
  output_ = std::make_unique<DeviceBytes>(initial_);
  device_.output = {output_->data(), options_.output, stride};
  host_.output = device_.output;
  device_.alpha.host = host_.alpha.host = 0.75f;
  if (options_.device_alpha) {
    const float alpha = 1.25f;
    alpha_.resize(4);
    std::memcpy(alpha_.data(), &alpha, 4);
    d_alpha_ = std::make_unique<DeviceBytes>(alpha_);
    device_.alpha.device = reinterpret_cast<const float*>(d_alpha_->data());
  }
  if (options_.bias) {
    fill(bias_, options_.n);
    d_bias_ = std::make_unique<DeviceBytes>(bias_);
    device_.bias = d_bias_->data();
  }
  if (options_.residual == Residual::kInPlace) device_.residual = output_->data();
  if (options_.residual == Residual::kApart) {
    d_residual_ = std::make_unique<DeviceBytes>(residual_);
    device_.residual = d_residual_->data();
  }
}

void Case::poison() { output_->upload(initial_); }

double Case::activation(std::int64_t m, std::int64_t k) const {
  if (options_.activation == ActivationType::kNvfp4) return reset::dequantize(host_.activations.nvfp4, m, k);
  const auto type = options_.activation == ActivationType::kFp16 ? OutputType::kFp16 : OutputType::kBf16;
  return element(x_.data(), type, m * host_.activations.row_stride + k);
}

void Case::compute_sums() {
  std::vector<double> x(static_cast<std::size_t>(options_.m * options_.k));
  for (std::int64_t m = 0; m < options_.m; ++m) {
    for (std::int64_t i = 0; i < options_.k; ++i) x[static_cast<std::size_t>(m * options_.k + i)] = activation(m, i);
  }
  sums_.assign(static_cast<std::size_t>(options_.m * options_.n), RawSum{});
  const auto most = static_cast<std::int64_t>(std::min(16u, std::max(1u, std::thread::hardware_concurrency())));
  const std::int64_t threads = std::min(most, options_.n * options_.k * options_.m / 200000 + 1);
  std::vector<std::thread> others;
  for (std::int64_t t = 1; t < threads; ++t) {
    others.emplace_back([&, t] { compute_rows(x, options_.n * t / threads, options_.n * (t + 1) / threads); });
  }
  compute_rows(x, 0, options_.n / threads);
  for (std::thread& other : others) other.join();
}

// What an activation becomes the smallest normal half for, or less; `largest`: of the token's 256 of K.
double Case::smallest_normal(double largest) const {
  if (options_.activation == ActivationType::kFp16) return 0x1p-14;
  if (options_.activation == ActivationType::kBf16) return 0x1p-29 * largest;
  return static_cast<double>(host_.activations.nvfp4.global.parts[0].scale.value);
}

// What rounding to integers, 16 by 16, changes at most: half a unit where the largest is 2^14 units or more, or one of
// 2^-126.
double Case::integer_rounding(const double* token, const std::vector<double>& weights, std::int64_t begin,
                              std::int64_t end) {
  double most = 0;
  for (std::int64_t block = begin; block < end; block += 16) {
    double largest = 0;
    double weight_sum = 0;
    for (std::int64_t i = block; i < block + 16; ++i) {
      largest = std::max(largest, std::fabs(token[i]));
      weight_sum += std::fabs(weights[static_cast<std::size_t>(i)]);
    }
    most += std::max(0x1p-15 * largest, 0x1p-127) * weight_sum;
  }
  return most;
}

// Global scales included.
void Case::compute_rows(const std::vector<double>& x, std::int64_t first_row, std::int64_t last_row) {
  const std::int64_t k = options_.k;
  std::vector<double> weights(static_cast<std::size_t>(k));
  for (std::int64_t row = first_row; row < last_row; ++row) {
    for (std::int64_t i = 0; i < k; ++i)
      weights[static_cast<std::size_t>(i)] = reset::dequantize(host_.weights, row, i);
    // A weight becomes the smallest normal half where its product with its block scale is 1.
    const auto least_weight = static_cast<double>(host_.weights.global.at(row).value);
    for (std::int64_t m = 0; m < options_.m; ++m) {
      const double* token = &x[static_cast<std::size_t>(m * k)];
      RawSum& sum = sums_[static_cast<std::size_t>(m * options_.n + row)];
      for (std::int64_t begin = 0; begin < k; begin += 256) {
        double largest = 0;
        double weight_sum = 0;
        sum.integers += integer_rounding(token, weights, begin, std::min(begin + 256, k));
        for (std::int64_t i = begin; i < std::min(begin + 256, k); ++i) {
          const double weight = weights[static_cast<std::size_t>(i)];
          sum.value += weight * token[i];
          sum.magnitude += std::fabs(weight * token[i]);
          largest = std::max(largest, std::fabs(token[i]));
          weight_sum += std::fabs(weight);
        }
        const double least = smallest_normal(largest);
        for (std::int64_t i = begin; i < std::min(begin + 256, k); ++i) {
          const double weight = std::fabs(weights[static_cast<std::size_t>(i)]);
          const double x_i = std::fabs(token[i]);
          if (weight * x_i != 0) sum.aligned += std::max(weight, least_weight) * std::max(x_i, least);
        }
        sum.rounding += std::max(0x1p-40 * largest, 0x1p-151) * weight_sum;
      }
    }
  }
}

// The error of a sum, u = 2^-24.
//
// kRing: exact within blocks of 16, a rounding for each of a thread's blocks and one for each step of the reduction.
// Of 16-bit activations it multiplies integers, which differ by what `integer_rounding` says.
//
// Tensor cores: products of halves are exact. One mma adds 16 of them and the sum before, aligned to the largest and
// each cut off at 2^-23 = 2u of it, and cuts the result off at as much: 17 * 2u + 2u = 36u of the sum of magnitudes,
// or, where the hardware takes 8 products at a time, 2 (9 * 2u + 2u) = 40u. A warp's 256 of K are two chains of 8 such
// links, and no link sees more than its chain's magnitudes: 320u. Adding the chains, the warps and the slices up rounds
// once for each 256 of K and each token's factor is a power of two: K / 256 u, and 16u for what is of second order or
// incomplete: (336 + K / 256) u times the sum of magnitudes. The magnitude by which a product is aligned is that of its
// factors' exponents: a subnormal half counts as the smallest normal one (measured: 430u of |x W| with weights of
// 2^-24), a zero factor not at all. Kernels for one token multiply elements that are not scaled, of which 0.5 is a
// subnormal half and counts as 1: twice the magnitude, but a block's chain has 4 links, 160u. Bfloat16 activations are
// rounded to halves where, 256 of K by 256, the largest magnitude lies from 2^15 on (or, if it is tiny, from its own
// exponent plus 126): half a unit of a subnormal half is 2^-25, 2^-40 of the largest, times the sum of the weights'
// magnitudes.
double Case::bound(const RawSum& sum) const {
  const auto k = static_cast<double>(options_.k);
  if (kernel_ == reset::GemvKernel::kRing) {
    const double rounding = options_.activation == ActivationType::kNvfp4 ? 0.0 : sum.integers;
    return (k / 512 + 64) * kUnit * (sum.magnitude + rounding) + rounding;
  }
  const double rounding = options_.activation == ActivationType::kBf16 ? sum.rounding : 0.0;
  return (336 + k / 256) * kUnit * sum.aligned + rounding;
}

// With alpha and bias; each operation may round once.
Case::Sum Case::scaled(std::int64_t m, std::int64_t row) const {
  const RawSum& sum = sums_[static_cast<std::size_t>(m * options_.n + row)];
  const double alpha = static_cast<double>(host_.alpha.host) * (options_.device_alpha ? 1.25 : 1.0);
  const double value = sum.value * alpha;
  const double bias = options_.bias ? element(bias_.data(), options_.output, row) : 0.0;
  return {value + bias, bound(sum) * alpha + 6 * kUnit * (std::fabs(value) + std::fabs(bias)) + 0x1p-136};
}

Case::Sum Case::expected(std::int64_t m, std::int64_t column) const {
  Sum result = scaled(m, column);
  if (options_.gate != GemvGate::kNone) {
    const Sum other = scaled(m, column + options_.n / 2);
    const Sum gate = options_.gate == GemvGate::kGateUp ? result : other;
    const Sum up = options_.gate == GemvGate::kGateUp ? other : result;
    const double silu = gate.value / (1 + std::exp(-gate.value));
    result.value = silu * up.value;
    // The slope of SiLU is below 1.1, the library's is within 16u of it and 2^-118, and the product rounds once.
    const double most = std::fabs(up.value) + up.bound;
    result.bound =
        1.1 * gate.bound * most + std::fabs(silu) * (up.bound + 17 * kUnit * most) + 0x1p-118 * most + 0x1p-126;
  }
  if (options_.residual != Residual::kNone) {
    const double residual = element(residual_.data(), options_.output, m * host_.output.row_stride + column);
    result.value += residual;
    result.bound += 2 * kUnit * (std::fabs(result.value) + std::fabs(residual));
  }
  const double rounding = options_.output == OutputType::kFp32   ? kUnit
                          : options_.output == OutputType::kFp16 ? 0x1p-11
                                                                 : 0x1p-8;
  result.bound += rounding * (std::fabs(result.value) + result.bound) + 0x1p-126;
  if (options_.output == OutputType::kFp16) result.bound += 0x1p-25;
  return result;
}

std::string Case::compare(const std::vector<std::uint8_t>& output) const {
  worst_ = 0;
  const std::int64_t columns = reset::result_columns(host_);
  const std::int64_t bytes = reset::element_bytes(options_.output);
  for (std::int64_t m = 0; m < options_.m + kRowsBehind; ++m) {
    for (std::int64_t column = 0; column < host_.output.row_stride; ++column) {
      const std::int64_t index = m * host_.output.row_stride + column;
      if (m >= options_.m || column >= columns) {
        if (std::memcmp(&output[static_cast<std::size_t>(index * bytes)],
                        &initial_[static_cast<std::size_t>(index * bytes)], static_cast<std::size_t>(bytes)) != 0) {
          return m < options_.m ? "wrote beyond the columns of token " + std::to_string(m)
                                : "wrote behind the last token";
        }
        continue;
      }
      const double found = element(output.data(), options_.output, index);
      const Sum wanted = expected(m, column);
      const bool finite = !reset::detail::is_nan(wanted.value) && !reset::detail::is_inf(wanted.value);
      // From half a unit beyond the largest number on, the store gives an infinity.
      const double limit = options_.output == OutputType::kFp16 ? 65520.0 : 3.3895e38;
      bool good = false;
      if (reset::detail::is_nan(wanted.value)) {
        good = reset::detail::is_nan(found);
      } else if (reset::detail::is_inf(found)) {
        good = std::signbit(found) == std::signbit(wanted.value) &&
               (!finite || std::fabs(wanted.value) + wanted.bound >= limit);
      } else if (finite) {
        good = std::fabs(found - wanted.value) <= wanted.bound;
        worst_ = std::fmax(worst_, std::fabs(found - wanted.value) / wanted.bound);
      }
      if (!good) {
        char line[160];
        std::snprintf(line, sizeof line, "token %d column %d: found %.9g, expected %.9g within %.3g",
                      static_cast<int>(m), static_cast<int>(column), found, wanted.value, wanted.bound);
        return line;
      }
    }
  }
  return "";
}
