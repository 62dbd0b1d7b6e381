#include "gemv/device/case.hpp"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>

#include "gemv/device/half.hpp"

#include <reset/nvfp4/reference.hpp>

namespace {

using reset::ActivationType;
using reset::GemvGate;
using reset::OutputType;
using reset::ScaleLayout;

constexpr double kUnit = 0x1p-24;

void randomise(std::vector<std::uint8_t>& bytes, std::mt19937& random) {
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
}

// Every code but the NaNs: zero, subnormals, 448 and the negative ones.
void randomise_scales(std::vector<std::uint8_t>& bytes, std::mt19937& random) {
  for (std::uint8_t& byte : bytes) {
    byte = static_cast<std::uint8_t>(random());
    if ((byte & 0x7f) == 0x7f) byte = 0x7e;
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
  char line[256];
  std::snprintf(line, sizeof line,
                "n %d k %d m %d activation %d output %d gate %d layouts %d %d residual %d bias %d alpha %d parts %d "
                "slack %d misalignment %d origin %d %d nan %d seed %u",
                static_cast<int>(n), static_cast<int>(k), static_cast<int>(m), static_cast<int>(activation),
                static_cast<int>(output), static_cast<int>(gate), static_cast<int>(layout), static_cast<int>(x_layout),
                static_cast<int>(residual), bias, device_alpha, parts, slack, misalignment, row_origin, block_origin,
                nan_scale, seed);
  return line;
}

Case::Case(const CaseOptions& options) : options_(options) {
  make_weights();
  make_epilogue();
  make_activations(options.seed);
  poison();
}

void Case::make_weights() {
  std::mt19937 random(options_.seed + 1000);
  const std::int64_t stride = options_.k / 2 + options_.slack;
  packed_.resize(static_cast<std::size_t>((options_.n - 1) * stride + options_.k / 2));
  randomise(packed_, random);
  const std::int64_t rows = options_.row_origin + options_.n;
  const std::int64_t blocks = options_.block_origin + options_.k / 16;
  scales_.resize(static_cast<std::size_t>(reset::scale_bytes(options_.layout, rows, blocks)));
  randomise_scales(scales_, random);
  const reset::BlockScaleView scale{nullptr, options_.layout, reset::scale_stride(options_.layout, blocks),
                                    options_.row_origin, options_.block_origin};
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

void Case::make_activations(unsigned seed) {
  std::mt19937 random(seed);
  reset::ActivationView view;
  view.type = options_.activation;
  auto misalignment = static_cast<std::size_t>(options_.misalignment);
  if (options_.activation == ActivationType::kNvfp4) {
    const std::int64_t stride = options_.k / 2 + options_.slack;
    x_.resize(static_cast<std::size_t>((options_.m - 1) * stride + options_.k / 2));
    randomise(x_, random);
    x_scales_.resize(static_cast<std::size_t>(reset::scale_bytes(options_.x_layout, options_.m, options_.k / 16)));
    randomise_scales(x_scales_, random);
    view.nvfp4 = {x_.data(),
                  options_.m,
                  options_.k,
                  stride,
                  {x_scales_.data(), options_.x_layout, reset::scale_stride(options_.x_layout, options_.k / 16), 0, 0},
                  reset::FusedGlobalScales::uniform({0x1.4p-8f})};
  } else {
    misalignment &= ~std::size_t{1};
    view.row_stride = options_.k + options_.slack;
    x_.resize(static_cast<std::size_t>((options_.m - 1) * view.row_stride + options_.k) * 2);
    std::normal_distribution<double> normal;
    const auto type = options_.activation == ActivationType::kFp16 ? OutputType::kFp16 : OutputType::kBf16;
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(x_.size() / 2); ++i) {
      put_element(x_.data(), type, i, normal(random) * (i % 37 == 0 ? 100.0 : i % 11 == 0 ? 1e-6 : 1.0));
    }
    view.dense = x_.data();
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
  initial_.assign(static_cast<std::size_t>(elements * bytes), options_.nan_scale ? 0x41 : 0xff);
  if (options_.residual == Residual::kInPlace) initial_ = residual_;
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

// The sums over K and the bound that launch.cuh states for them, global scales included.
void Case::compute_sums() {
  const std::int64_t n = options_.n;
  const std::int64_t k = options_.k;
  std::vector<double> x(static_cast<std::size_t>(options_.m * k));
  for (std::int64_t m = 0; m < options_.m; ++m) {
    for (std::int64_t i = 0; i < k; ++i) x[static_cast<std::size_t>(m * k + i)] = activation(m, i);
  }
  const bool nvfp4 = options_.activation == ActivationType::kNvfp4;
  const double factor = (static_cast<double>(k) / (nvfp4 ? 512 : 32) + 64) * kUnit;
  sums_.assign(static_cast<std::size_t>(options_.m * n), {0, 0});
  std::vector<double> weights(static_cast<std::size_t>(k));
  for (std::int64_t row = 0; row < n; ++row) {
    for (std::int64_t i = 0; i < k; ++i)
      weights[static_cast<std::size_t>(i)] = reset::dequantize(host_.weights, row, i);
    for (std::int64_t m = 0; m < options_.m; ++m) {
      double sum = 0;
      double magnitude = 0;
      for (std::int64_t i = 0; i < k; ++i) {
        const double product = weights[static_cast<std::size_t>(i)] * x[static_cast<std::size_t>(m * k + i)];
        sum += product;
        magnitude += std::fabs(product);
      }
      sums_[static_cast<std::size_t>(m * n + row)] = {sum, factor * magnitude};
    }
  }
}

// With alpha and bias; each operation may round once.
Case::Sum Case::scaled(std::int64_t m, std::int64_t row) const {
  const Sum sum = sums_[static_cast<std::size_t>(m * options_.n + row)];
  const double alpha = static_cast<double>(host_.alpha.host) * (options_.device_alpha ? 1.25 : 1.0);
  const double value = sum.value * alpha;
  const double bias = options_.bias ? element(bias_.data(), options_.output, row) : 0.0;
  return {value + bias, sum.bound * alpha + 6 * kUnit * (std::fabs(value) + std::fabs(bias)) + 0x1p-140};
}

Case::Sum Case::expected(std::int64_t m, std::int64_t column) const {
  Sum result = scaled(m, column);
  if (options_.gate != GemvGate::kNone) {
    const Sum other = scaled(m, column + options_.n / 2);
    const Sum gate = options_.gate == GemvGate::kGateUp ? result : other;
    const Sum up = options_.gate == GemvGate::kGateUp ? other : result;
    const double silu = gate.value / (1 + std::exp(-gate.value));
    result.value = silu * up.value;
    // The slope of SiLU is below 1.1; its exponential loses a few units, more the larger its argument.
    result.bound = 1.1 * gate.bound * (std::fabs(up.value) + up.bound) + std::fabs(silu) * up.bound +
                   16 * kUnit * (1 + std::fabs(gate.value)) * std::fabs(result.value) + 0x1p-120;
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
  for (std::int64_t m = 0; m < options_.m; ++m) {
    for (std::int64_t column = 0; column < host_.output.row_stride; ++column) {
      const std::int64_t index = m * host_.output.row_stride + column;
      if (column >= columns) {
        if (std::memcmp(&output[static_cast<std::size_t>(index * bytes)],
                        &initial_[static_cast<std::size_t>(index * bytes)], static_cast<std::size_t>(bytes)) != 0) {
          return "wrote beyond the columns of token " + std::to_string(m);
        }
        continue;
      }
      const double found = element(output.data(), options_.output, index);
      const Sum wanted = expected(m, column);
      // From half a unit beyond the largest number on, the store gives an infinity.
      const double limit = options_.output == OutputType::kFp16 ? 65520.0 : 3.3895e38;
      const bool infinite = reset::detail::is_inf(found);
      const bool good = reset::detail::is_nan(wanted.value) ? reset::detail::is_nan(found)
                        : infinite                          ? std::fabs(wanted.value) + wanted.bound >= limit
                                                            : std::fabs(found - wanted.value) <= wanted.bound;
      if (!reset::detail::is_nan(wanted.value) && !infinite)
        worst_ = std::fmax(worst_, std::fabs(found - wanted.value) / wanted.bound);
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
