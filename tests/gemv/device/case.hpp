// One mat-vec call with random inputs over the whole range of both codecs, on the host and on the device, and what the
// float64 oracle says of its result.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gemv/device/memory.hpp"

#include <reset/gemv/policy.hpp>
#include <reset/gemv/problem.hpp>

enum class Residual { kNone, kApart, kInPlace };

// What the numbers are like.
enum class Inputs {
  kNormal,     // 16-bit ones of a normal distribution with outliers; every code of NVFP4
  kWide,       // bfloat16 of exponents -30..30 within a token; every finite half
  kTiny,       // NVFP4 whose scales are all subnormal: their halves are, too; otherwise as kNormal
  kEdges,      // NVFP4 whose scales are 448, subnormal, 0, -0 and negative; otherwise as kWide
  kNonFinite,  // some tokens with NaN or infinities: a NaN scale, or one or two elements
};

struct CaseOptions {
  std::int64_t n = 64;
  std::int64_t k = 256;
  std::int64_t m = 1;
  reset::ActivationType activation = reset::ActivationType::kNvfp4;
  reset::OutputType output = reset::OutputType::kFp32;
  reset::GemvGate gate = reset::GemvGate::kNone;
  reset::ScaleLayout layout = reset::ScaleLayout::kLinear;    // of the weights
  reset::ScaleLayout x_layout = reset::ScaleLayout::kLinear;  // of NVFP4 activations
  Residual residual = Residual::kNone;
  bool bias = false;
  bool device_alpha = false;
  int parts = 1;           // fused projections
  int slack = 0;           // bytes between rows of weights; elements or bytes between tokens
  int misalignment = 0;    // bytes, of the packed weights and the activations
  int x_misalignment = 0;  // bytes, of the activations besides; both rounded to 2 for 16-bit ones
  int row_origin = 0;      // in the scale tensor
  int block_origin = 0;    // in the scale tensor
  int blocks_behind = 0;   // of it, beyond K
  int x_row_origin = 0;    // of NVFP4 activations in theirs, as the two below
  int x_block_origin = 0;
  int x_blocks_behind = 0;
  bool nan_scale = false;  // one row of the weights has one
  Inputs inputs = Inputs::kNormal;
  unsigned seed = 1;

  std::string text() const;
};

class Case {
 public:
  // The bound is that of the kernel which `gemv` chooses on the device.
  Case(const CaseOptions& options, const reset::DeviceInfo& device);

  // With pointers to device memory.
  const reset::GemvProblem& problem() const { return device_; }
  const CaseOptions& options() const { return options_; }
  reset::GemvKernel kernel() const { return kernel_; }
  // The bound is that of another kernel from now on.
  void serve_with(reset::GemvKernel kernel) { kernel_ = kernel; }

  void poison();
  // The output with the memory between and behind its rows.
  std::vector<std::uint8_t> output() const { return output_->download(); }
  // Empty if every element is within the bound and nothing else was written; says what is wrong otherwise.
  std::string compare(const std::vector<std::uint8_t>& output) const;
  std::string compare() const { return compare(this->output()); }
  // New activations, in the same memory.
  void refresh(unsigned seed);
  double worst() const { return worst_; }  // error over bound, of the last comparison

 private:
  struct Sum {
    double value;
    double bound;
  };
  // Of a row and a token: the sum, that of the magnitudes, the same as the tensor core aligns them, and what rounding
  // bfloat16 to half may add to its error.
  struct RawSum {
    double value;
    double magnitude;
    double aligned;
    double rounding;
    double integers;
  };
  void make_weights();
  void make_activations(unsigned seed);
  void make_epilogue();
  void make_nvfp4(std::mt19937& random, reset::ActivationView& view);
  void make_dense(std::mt19937& random, reset::ActivationView& view);
  void compute_sums();
  static double integer_rounding(const double* token, const std::vector<double>& weights, std::int64_t begin,
                                 std::int64_t end);
  void compute_rows(const std::vector<double>& x, std::int64_t first_row, std::int64_t last_row);
  double activation(std::int64_t m, std::int64_t k) const;
  double smallest_normal(double largest) const;
  double bound(const RawSum& sum) const;
  Sum scaled(std::int64_t m, std::int64_t row) const;
  Sum expected(std::int64_t m, std::int64_t column) const;

  CaseOptions options_;
  std::vector<std::uint8_t> packed_, scales_, x_, x_scales_, bias_, residual_, initial_, alpha_;
  std::unique_ptr<DeviceBytes> d_packed_, d_scales_, d_x_, d_x_scales_, d_bias_, d_residual_, d_alpha_, output_;
  reset::GemvProblem host_;
  reset::GemvProblem device_;
  std::vector<RawSum> sums_;
  reset::GemvKernel kernel_ = reset::GemvKernel::kTensor;
  mutable double worst_ = 0;
};
