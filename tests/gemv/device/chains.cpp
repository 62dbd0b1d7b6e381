// Chains of dependent launches, in which each kernel reads what the one before it writes: the bits of plain launches.
//
// What the chain hands on holds NaNs before it is written, and its first kernel takes long, on one or two
// multiprocessors: those behind it start beside it, and one that did not wait would read NaNs.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <random>
#include <set>
#include <vector>

#include "gemv/device/launcher.hpp"
#include "gemv/device/samples.hpp"
#include "gemv/device/tests.hpp"

#include <reset/gemv/instance.hpp>

namespace {

using reset::ActivationType;
using reset::GemvKernel;
using reset::GemvPolicy;
using reset::GemvProblem;

// A chain of dependent launches: each call reads the result of the one before it, so a missing wait shows. Where they
// know that they follow their like, several of them may be on a multiprocessor at once.
int follow_oneself(const reset::DeviceInfo& device, std::int64_t m, Residual residual, reset::GemvAhead ahead) {
  CaseOptions options;
  options.m = m;
  options.activation = ActivationType::kBf16;
  options.output = reset::OutputType::kBf16;
  options.n = options.k = 2048;
  options.residual = residual;
  Case a(options, device);
  Case b(options, device);
  const Stream stream;
  std::vector<std::uint8_t> expected;
  int failures = 0;
  for (int round = 0; round < 40; ++round) {
    const bool dependent = round > 0;
    a.poison();
    b.poison();
    CHECK_CUDA(cudaDeviceSynchronize());
    reset::GemvProblem second = b.problem();
    second.activations.dense = a.problem().output.data;
    reset::GemvProblem third = a.problem();
    third.activations.dense = b.problem().output.data;
    for (const reset::GemvProblem& problem : {a.problem(), second, third}) {
      const GemvPolicy policy = reset::select_gemv_policy(device, problem, ahead);
      failures += launched(run(problem, policy, device, dependent, stream.stream));
    }
    CHECK_CUDA(cudaDeviceSynchronize());
    if (round == 0) expected = a.output();
    if (a.output() != expected) return failures + fail(options, "a chain of dependent launches gives other bits");
  }
  return failures;
}

void poison(void* memory, std::size_t bytes) { CHECK_CUDA(cudaMemset(memory, 0xff, bytes)); }

// Whether the first `count` bfloat16 results hold no NaN, and so nothing that was read before it was written.
bool written(const std::vector<std::uint8_t>& results, std::int64_t count) {
  for (std::size_t i = 0; i < static_cast<std::size_t>(count) * 2; i += 2) {
    if ((results[i + 1] & 0x7f) == 0x7f && (results[i] & 0x80) != 0) return false;
  }
  return true;
}

// Only these multiprocessors: the others are free for what comes behind.
reset::DeviceInfo part_of(reset::DeviceInfo device, int multiprocessors) {
  device.sm_count = multiprocessors;
  for (int& clusters : device.clusters) clusters = std::min(clusters, 1);
  return device;
}

// Weights of about a fifth.
class Matrix {
 public:
  Matrix(std::int64_t n, std::int64_t k, reset::ScaleLayout layout, unsigned seed)
      : packed_(bytes(n * k / 2, seed, 0xff, 0)),
        scales_(bytes(reset::scale_bytes(layout, n, k / 16), seed + 1, 0x07, 0x38)),
        n_(n),
        k_(k),
        layout_(layout) {}

  reset::Nvfp4MatrixView view() const {
    return {packed_.data(),
            n_,
            k_,
            k_ / 2,
            {scales_.data(), layout_, reset::scale_stride(layout_, k_ / 16), 0, 0},
            reset::FusedGlobalScales::uniform({0x1p-4f})};
  }

  // Random bits where `keep` has them, those of `set` besides.
  static std::vector<std::uint8_t> bytes(std::int64_t count, unsigned seed, int keep, int set) {
    std::mt19937 random(seed);
    std::vector<std::uint8_t> result(static_cast<std::size_t>(count));
    for (std::uint8_t& byte : result) byte = static_cast<std::uint8_t>((static_cast<int>(random()) & keep) | set);
    return result;
  }

 private:
  DeviceBytes packed_;
  DeviceBytes scales_;
  std::int64_t n_;
  std::int64_t k_;
  reset::ScaleLayout layout_;
};

// The first kernel of a chain: takes tens of microseconds for a thousand rows, and leaves numbers of about 10.
class SlowStart {
 public:
  explicit SlowStart(const reset::DeviceInfo& device)
      : device_(part_of(device, 1)), weights_(kMostRows, kCols, reset::ScaleLayout::kLinear, 1), x_(activations()) {}

  reset::Status launch(const reset::OutputView& output, std::int64_t m, std::int64_t n, cudaStream_t stream) const {
    GemvProblem problem;
    problem.weights = reset::row_slice(weights_.view(), 0, n);
    problem.activations.dense = x_.data();
    problem.activations.row_stride = kCols;
    problem.tokens = m;
    problem.output = output;
    return run(problem, reset::tensor_policy(device_, m, kCols), device_, false, stream);
  }

 private:
  static constexpr std::int64_t kMostRows = 5392;
  static constexpr std::int64_t kCols = 2048;

  // bfloat16 of both signs, 1 to 2.
  static std::vector<std::uint8_t> activations() {
    std::vector<std::uint8_t> x = Matrix::bytes(reset::kMaxGemvTokens * kCols * 2, 3, 0xff, 0);
    for (std::size_t i = 0; i < x.size(); i += 2) {
      x[i] &= 0x7f;
      x[i] |= 0x80;
      x[i + 1] = static_cast<std::uint8_t>((x[i + 1] & 0x80) | 0x3f);
    }
    return x;
  }

  reset::DeviceInfo device_;
  Matrix weights_;
  DeviceBytes x_;
};

// What a call reads of the kernel ahead of it.
enum class Link { kActivations, kResidual, kAlpha };

class Links {
 public:
  Links(const reset::DeviceInfo& device, bool reduced)
      : device_(device), rounds_(reduced ? 1 : 4), start_(device), alpha_(std::vector<std::uint8_t>(kAlphaRows * 4)) {}

  void run_all(const CaseOptions& options) {
    Case call(options, device_);
    const std::int64_t m = options.m;
    for (const GemvPolicy& policy :
         {reset::select_gemv_policy(device_, call.problem()),
          reset::select_gemv_policy(device_, call.problem(), reset::GemvAhead::kAlike),
          reset::tensor_policy(device_, m, options.k), reset::tensor_ring_policy(device_, m, options.n, options.k),
          reset::tensor_ring_policy(device_, m, options.n, options.k, true),
          reset::ring_policy(device_, options.activation, m, options.k, options.layout)}) {
      if (!validate(policy, call.problem(), device_).ok()) continue;
      for (const Link link : {Link::kActivations, Link::kResidual, Link::kAlpha}) {
        if (link == Link::kActivations && options.activation == ActivationType::kNvfp4) continue;
        run_one(call, policy, link);
      }
      seen_.insert(reset::gemv_instance(policy, shape_of(call.problem())));
      if (policy.cluster > 1) clustered_.insert(policy.tokens);
    }
  }

  int end() const {
    const bool all = seen_.size() == 28 && clustered_.size() == 3;
    if (!all) {
      std::printf("FAILED: chains of %d kernels, with clusters of %d\n", static_cast<int>(seen_.size()),
                  static_cast<int>(clustered_.size()));
    }
    std::printf("links: %d chains, %d failures\n", chains_, failures_);
    return failures_ + (all ? 0 : 1);
  }

 private:
  static constexpr std::int64_t kAlphaRows = 2048;  // the first one is alpha, and the others take time

  void run_one(Case& call, const GemvPolicy& policy, Link link) {
    GemvProblem problem = call.problem();
    reset::OutputView output = problem.output;
    std::int64_t m = problem.tokens;
    std::int64_t n = problem.weights.rows;
    if (link == Link::kActivations) {
      const bool fp16 = problem.activations.type == ActivationType::kFp16;
      output = {const_cast<void*>(problem.activations.dense),
                fp16 ? reset::OutputType::kFp16 : reset::OutputType::kBf16, problem.activations.row_stride};
      n = problem.weights.cols;
    } else if (link == Link::kResidual) {
      output.data = const_cast<void*>(problem.residual);
      problem.alpha.host = 0x1p-20f;  // lest sums be so large that rounding takes the residual away
    } else {
      problem.alpha.device = reinterpret_cast<const float*>(alpha_.data());
      output = {alpha_.data(), reset::OutputType::kFp32, kAlphaRows};
      m = 1;
      n = kAlphaRows;
    }
    const auto stride = m == 1 ? n : output.row_stride;
    const auto bytes = static_cast<std::size_t>(((m - 1) * stride + n) * element_bytes(output.type));
    ++chains_;
    std::vector<std::uint8_t> expected;
    for (int round = 0; round <= rounds_; ++round) {
      call.poison();
      poison(output.data, bytes);
      CHECK_CUDA(cudaDeviceSynchronize());
      failures_ += launched(start_.launch(output, m, n, stream_.stream));
      failures_ += launched(run(problem, policy, device_, round > 0, stream_.stream));
      CHECK_CUDA(cudaDeviceSynchronize());
      const std::vector<std::uint8_t> found = call.output();
      if (round == 0) expected = found;
      if (!written(expected, problem.tokens * problem.output.row_stride))
        return fail(call, policy, link, "the chain makes NaNs");
      if (found != expected) return fail(call, policy, link, "other bits in a dependent launch");
    }
  }

  void fail(const Case& call, const GemvPolicy& policy, Link link, const char* what) {
    ++failures_;
    std::printf("FAILED: %s: kernel %d tokens %d cluster %d odd %d link %d: %s\n", call.options().text().c_str(),
                static_cast<int>(policy.kernel), policy.tokens, policy.cluster, policy.odd_rows, static_cast<int>(link),
                what);
  }

  reset::DeviceInfo device_;
  int rounds_;
  SlowStart start_;
  DeviceBytes alpha_;
  Stream stream_;
  std::set<reset::GemvInstance> seen_;
  std::set<int> clustered_;  // tokens of the kernels that were in clusters
  int chains_ = 0;
  int failures_ = 0;
};

// Every kernel with what links it to the one before it.
int test_links(const reset::DeviceInfo& device, bool reduced) {
  Links links(device, reduced);
  for (const CaseOptions& options : samples()) links.run_all(options);
  for (const ActivationType activation : {ActivationType::kFp16, ActivationType::kBf16}) {
    for (const std::int64_t m : {1, 16}) {
      CaseOptions options = samples().front();
      options.activation = activation;
      options.m = m;
      options.k = 5376;  // in clusters
      links.run_all(options);
      options.k += 16;
      links.run_all(options);
    }
  }
  for (const std::int64_t k : {12288, 20480, 40960}) {  // kRing's 2 and 3 chunks, these with many warps and few
    CaseOptions options = samples().front();
    options.n = 300;
    options.k = k;
    links.run_all(options);
    options.n = 384;
    options.layout = reset::ScaleLayout::kSwizzled128x4;
    if (k <= 20480) links.run_all(options);
  }
  return links.end();
}

// NVFP4 activations of M tokens for the quantiser to write.
class QuantizedRows {
 public:
  QuantizedRows(std::int64_t m, std::int64_t k, reset::ScaleLayout layout)
      : m_(m),
        k_(k),
        layout_(layout),
        packed_(std::vector<std::uint8_t>(static_cast<std::size_t>(m * k / 2))),
        scales_(std::vector<std::uint8_t>(static_cast<std::size_t>(reset::scale_bytes(layout, m, k / 16)))) {}

  reset::Nvfp4MutableMatrixView view() const {
    return {packed_.data(),
            m_,
            k_,
            k_ / 2,
            {scales_.data(), layout_, reset::scale_stride(layout_, k_ / 16), 0, 0},
            reset::FusedGlobalScales::uniform({0x1p-4f})};
  }
  void poison() const {
    ::poison(packed_.data(), static_cast<std::size_t>(m_ * k_ / 2));
    ::poison(scales_.data(), static_cast<std::size_t>(reset::scale_bytes(layout_, m_, k_ / 16)));
  }

 private:
  std::int64_t m_;
  std::int64_t k_;
  reset::ScaleLayout layout_;
  DeviceBytes packed_;
  DeviceBytes scales_;
};

// bfloat16 of M rows.
struct DenseRows {
  std::int64_t m;
  std::int64_t columns;
  DeviceBytes memory = DeviceBytes(std::vector<std::uint8_t>(static_cast<std::size_t>(m * columns * 2)));

  reset::OutputView view() const { return {memory.data(), reset::OutputType::kBf16, columns}; }
  void poison() const { ::poison(memory.data(), static_cast<std::size_t>(m * columns * 2)); }
};

// The two matrices of a QuantizedChain.
struct ChainShape {
  std::int64_t inner = 1536;
  std::int64_t last = 1500;
  reset::ScaleLayout layout = reset::ScaleLayout::kLinear;
  bool tensor_ring = false;  // the kernel, whatever is selected
};

// A product of NVFP4 activations that the quantiser made, quantised, and multiplied again: the links of a decode step.
class QuantizedChain {
 public:
  // `layout`: of the activations.
  QuantizedChain(const reset::DeviceInfo& device, std::int64_t m, reset::ScaleLayout layout, const ChainShape& shape)
      : device_(device),
        few_(part_of(device, 2)),
        start_(device),
        m_(m),
        shape_(shape),
        first_(shape.inner, kFirst, shape.layout, 5),
        second_(shape.last, shape.inner, shape.layout, 7),
        rows_{{m, kFirst}, {m, shape.inner}, {m, shape.last}},
        quantized_{{m, kFirst, layout}, {m, shape.inner, layout}} {}

  int run(int rounds) {
    std::vector<std::uint8_t> expected;
    int failures = 0;
    for (int round = 0; round <= rounds; ++round) {
      for (const DenseRows& rows : rows_) rows.poison();
      for (const QuantizedRows& rows : quantized_) rows.poison();
      CHECK_CUDA(cudaDeviceSynchronize());
      failures += launch(round > 0);
      CHECK_CUDA(cudaDeviceSynchronize());
      const std::vector<std::uint8_t> found = rows_[2].memory.download();
      if (round == 0) expected = found;
      const bool good = written(expected, m_ * shape_.last) && found == expected;
      if (!good) {
        std::printf("FAILED: %d quantised tokens, %d inner columns: %s\n", static_cast<int>(m_),
                    static_cast<int>(shape_.inner), round == 0 ? "NaNs" : "other bits");
      }
      if (!good) return failures + 1;
    }
    return failures;
  }

 private:
  static constexpr std::int64_t kFirst = 1024;

  int launch(bool dependent) const {
    int failures = launched(start_.launch(rows_[0].view(), m_, kFirst, stream_.stream));
    failures += quantize(0, dependent);
    failures += multiply(first_, 0, few_, dependent);  // slow, too
    failures += quantize(1, dependent);
    return failures + multiply(second_, 1, device_, dependent);
  }
  int quantize(int i, bool dependent) const {
    return launched(
        quantize_rows(rows_[i].memory.data(), rows_[i].columns, quantized_[i].view(), dependent, stream_.stream));
  }
  int multiply(const Matrix& weights, int i, const reset::DeviceInfo& device, bool dependent) const {
    GemvProblem problem;
    problem.weights = weights.view();
    problem.activations.type = ActivationType::kNvfp4;
    problem.activations.nvfp4 = quantized_[i].view();
    problem.tokens = m_;
    problem.output = rows_[i + 1].view();
    const GemvPolicy policy = shape_.tensor_ring
                                  ? reset::tensor_ring_policy(device, m_, weights.view().rows, weights.view().cols)
                                  : reset::select_gemv_policy(device, problem);
    return launched(::run(problem, policy, device, dependent, stream_.stream));
  }

  reset::DeviceInfo device_;
  reset::DeviceInfo few_;
  SlowStart start_;
  std::int64_t m_;
  ChainShape shape_;
  Matrix first_;
  Matrix second_;
  DenseRows rows_[3];
  QuantizedRows quantized_[2];
  Stream stream_;
};

}  // namespace

int test_chains(const reset::DeviceInfo& device, bool reduced) {
  if (device.arch < 90) {
    std::printf("chains: no dependent launch on this target\n");
    return 0;
  }
  int failures = 0;
  for (const reset::GemvAhead ahead : {reset::GemvAhead::kAny, reset::GemvAhead::kAlike}) {
    failures += follow_oneself(device, 1, Residual::kNone, ahead);
    for (const std::int64_t m : {1, 2, 8}) failures += follow_oneself(device, m, Residual::kInPlace, ahead);
  }
  failures += test_links(device, reduced);
  for (const std::int64_t m : {1, 2, 8, 9, 16}) {
    for (const reset::ScaleLayout layout : {reset::ScaleLayout::kLinear, reset::ScaleLayout::kSwizzled128x4}) {
      failures += QuantizedChain(device, m, layout, {}).run(reduced ? 1 : 10);
    }
  }
  // kRing's 2 and 3 chunks with either layout of weights, and one token of kTensorRing.
  for (const reset::ScaleLayout layout : {reset::ScaleLayout::kLinear, reset::ScaleLayout::kSwizzled128x4}) {
    for (const ChainShape& shape :
         {ChainShape{12288, 384, layout}, ChainShape{25600, 128, layout}, ChainShape{1536, 384, layout, true}}) {
      failures += QuantizedChain(device, 1, reset::ScaleLayout::kLinear, shape).run(reduced ? 1 : 10);
    }
  }
  std::printf("chains: %d failures\n", failures);
  return failures;
}
