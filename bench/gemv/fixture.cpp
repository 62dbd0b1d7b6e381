#include "fixture.hpp"

#include <cuda_profiler_api.h>

#include "launcher.hpp"
#include "rates.hpp"

namespace bench {
namespace {

constexpr std::size_t kMaxTokens = 16;
constexpr std::size_t kMaxK = 32768;
constexpr std::size_t kMaxN = 51200;
const auto kGlobalScale = reset::FusedGlobalScales::uniform({0x1p-9f});

// A call behind the same one; what is ahead counts for a dependent launch.
reset::LaunchOptions options_of(const Case& c) {
  reset::LaunchOptions options;
  options.dependent_launch = c.pdl;
  if (c.pdl) options.ahead = reset::GemvAhead::kAlike;
  return options;
}

}  // namespace

GemvFixture::GemvFixture(bool baselines) : device_(prepare_device(0)) {
  CHECK_CUDA(cudaStreamCreate(&stream_));
  pool_ = std::make_unique<ColdPool>(stream_);
  if (baselines) blas_ = std::make_unique<Blas>(stream_);
  allocate(codes_, kMaxTokens * kMaxK / 2);
  allocate(scales_, kMaxTokens * kMaxK / 16);
  allocate(bf16_, kMaxTokens * kMaxK * 2);
  allocate(fp16_, kMaxTokens * kMaxK * 2);
  allocate(fp8_, kMaxTokens * kMaxK);
  allocate(output_, kMaxTokens * kMaxN * 2);
  allocate(scratch_, 16);
  fill(codes_, kMaxTokens * kMaxK / 2, kRandomE2m1, 2000, stream_);
  fill(scales_, kMaxTokens * kMaxK / 16, kRandomScales, 2001, stream_);
  fill(bf16_, kMaxTokens * kMaxK * 2, kRandomBf16, 2002, stream_);
  fill(fp16_, kMaxTokens * kMaxK * 2, kRandomFp16, 2003, stream_);
  fill(fp8_, kMaxTokens * kMaxK, kRandomE4m3, 2004, stream_);
}

GemvFixture::~GemvFixture() {
  blas_.reset();
  pool_.reset();
  for (void* data : {static_cast<void*>(codes_), static_cast<void*>(scales_), bf16_, fp16_, fp8_, output_,
                     static_cast<void*>(scratch_)}) {
    cudaFree(data);
  }
  cudaStreamDestroy(stream_);
}

void GemvFixture::take(const Layer& layer, reset::ScaleLayout layout) {
  pool_->take(static_cast<std::size_t>(packed_bytes(layer)), kRandomE2m1,
              static_cast<std::size_t>(reset::scale_bytes(layout, layer.n, layer.k / 16)));
}

reset::GemvProblem GemvFixture::problem(const Case& c, int copy) const {
  const std::int64_t k = c.layer.k;
  const std::uint8_t* weights = pool_->copy(copy);
  reset::GemvProblem problem;
  problem.weights = {weights, c.layer.n, k, k / 2, {}, kGlobalScale};
  problem.weights.block_scale.data = weights + packed_bytes(c.layer);
  problem.weights.block_scale.layout = c.layout;
  problem.weights.block_scale.stride = reset::scale_stride(c.layout, k / 16);
  problem.tokens = c.m;
  problem.gate = c.gate;
  problem.activations.type = c.activation;
  problem.activations.dense = c.activation == reset::ActivationType::kFp16 ? fp16_ : bf16_;
  problem.activations.row_stride = k;
  problem.activations.nvfp4 = {codes_, c.m, k, k / 2, {}, kGlobalScale};
  problem.activations.nvfp4.block_scale.data = scales_;
  problem.activations.nvfp4.block_scale.stride = k / 16;
  problem.output = {output_, reset::OutputType::kBf16, c.layer.n};
  return problem;
}

double GemvFixture::time_us(const Case& c) {
  take(c.layer, c.layout);
  return microseconds(stream_, [&](int i) { launch_gemv(problem(c, i), device_, options_of(c), stream_); });
}

double GemvFixture::any_ahead_us(const Case& c) {
  take(c.layer, c.layout);
  reset::LaunchOptions options = options_of(c);
  options.ahead = reset::GemvAhead::kAny;
  return microseconds(stream_, [&](int i) { launch_gemv(problem(c, i), device_, options, stream_); });
}

double GemvFixture::prefetched_us(const Case& c) {
  take(c.layer, c.layout);
  return microseconds(stream_, [&](int i) {
    reset::LaunchOptions options = options_of(c);
    require(options.prefetch.add(problem(c, i + 1).weights));
    launch_gemv(problem(c, i), device_, options, stream_);
  });
}

void GemvFixture::profile(const Case& c) {
  take(c.layer, c.layout);
  launch_gemv(problem(c, 0), device_, options_of(c), stream_);
  CHECK_CUDA(cudaStreamSynchronize(stream_));
  CHECK_CUDA(cudaProfilerStart());
  launch_gemv(problem(c, 1), device_, options_of(c), stream_);
  CHECK_CUDA(cudaStreamSynchronize(stream_));
  CHECK_CUDA(cudaProfilerStop());
}

reset::GemvPolicy GemvFixture::selected(const Case& c) {
  take(c.layer, c.layout);
  return reset::select_gemv_policy(device_, problem(c, 0), options_of(c).ahead);
}

std::optional<double> GemvFixture::time_us(const Case& c, const reset::GemvPolicy& policy, Repeats repeats) {
  take(c.layer, c.layout);
  if (!validate(policy, problem(c, 0), device_).ok()) return std::nullopt;
  return microseconds(
      stream_, [&](int i) { launch_gemv(problem(c, i), policy, device_, options_of(c), stream_); }, repeats);
}

double GemvFixture::floor_us(const Layer& layer) {
  const auto [entry, is_new] = floors_.try_emplace({layer.n, layer.k, 0});
  if (!is_new) return entry->second;
  take(layer, reset::ScaleLayout::kLinear);
  const auto bytes = static_cast<std::size_t>(weight_bytes(layer));
  return entry->second = microseconds(stream_, [&](int i) {
           read_only(pool_->copy(i), bytes, static_cast<unsigned*>(output_), device_.sm_count, stream_);
         });
}

const Bf16Baseline& GemvFixture::bf16(const Layer& layer, std::int64_t m) {
  const auto [entry, is_new] = bf16_baselines_.try_emplace({layer.n, layer.k, m});
  if (!is_new || !blas_) return entry->second;
  pool_->take(static_cast<std::size_t>(layer.n * layer.k * 2), kRandomBf16);
  const auto copy = [&](int i) { return static_cast<const void*>(pool_->copy(i)); };
  return entry->second = blas_->measure_bf16(product(layer, m), copy, bf16_, output_);
}

const Fp8Baseline& GemvFixture::fp8(const Layer& layer, std::int64_t m) {
  const auto [entry, is_new] = fp8_baselines_.try_emplace({layer.n, layer.k, m});
  if (!is_new || !blas_) return entry->second;
  pool_->take(static_cast<std::size_t>(layer.n * layer.k), kRandomE4m3);
  const auto copy = [&](int i) { return static_cast<const void*>(pool_->copy(i)); };
  return entry->second = blas_->measure_fp8(product(layer, m), copy, fp8_, output_);
}

double GemvFixture::sm_clock_mhz() { return bench::sm_clock_mhz(scratch_, device_.sm_count, stream_); }

double GemvFixture::read_rate() {
  pool_->take(ColdPool::kBytes, kRandomE2m1);
  return bench::read_rate(pool_->data(), static_cast<unsigned*>(output_), device_.sm_count, stream_);
}

}  // namespace bench
